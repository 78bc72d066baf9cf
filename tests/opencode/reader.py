"""A reader of the documentation, who does what a page says and sees what comes of it.

The home has everything in its usual place. The model is set by OpenCode's configuration alone, and
knows what to do by the words that it is told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from walkthrough import Command, Names, Saved, Seen, Step, Typed

from background_agents.client.connection import all_of
from background_agents.domain.errors import NotServed
from lab.harness.home import Home, find_binary
from lab.harness.tmux import LOOK_AGAIN_S, Terminal, terminal
from lab.harness.tui import Tui
from lab.model_server import Answers, ToldModel

COMMAND_LIMIT_S = 60.0
"""Of the slowest, which starts an OpenCode or installs a package: some seconds."""

LOOK_LIMIT_S = 20.0
"""How long a reader looks again before giving up; what is waited for takes a second."""

LOOKS = ("status", "peek", "list", "show", "doctor")
"""Commands that change nothing: a reader repeats one until it shows what the page shows."""

HOME = "/home/you"
"""How pages call the reader's home."""

FRAMES = dict.fromkeys(map(ord, "┃│▄▀█╹╻"), " ")
"""What OpenCode draws around words."""

LEFT = "watch ended with"
"""What the shell says once ``watch`` has given the terminal back."""

Meanwhile = Callable[[Command], Awaitable[None]]
"""What else is done once a command of the page has run."""


class ReaderHome(Home):
    """A home as a reader has it: everything in its usual place."""

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def config(self) -> Path:
        return self.home / ".config" / "opencode"

    @property
    def data(self) -> Path:
        return self.home / ".local" / "share" / "opencode"

    @property
    def programs(self) -> Path:
        """Where the programs are that a reader has, on the ``PATH``."""
        return self.home / "bin"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        env = super().environment()
        odd = ("XDG_", "VIRTUAL_ENV", "PYTHON", "PIP_")
        plain = {name: value for name, value in env.items() if not name.startswith(odd)}
        path = f"{self.programs}:/usr/local/bin:/usr/bin:/bin"
        return {**plain, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100", **(extra or {})}


@asynccontextmanager
async def reader_home(
    root: Path, answers: Answers, config: Mapping[str, object] | None = None
) -> AsyncIterator[ReaderHome]:
    """Make a home with Python, OpenCode and a model; end what was started on demand there."""
    binary = find_binary()
    home = ReaderHome(root, binary.version)
    async with ToldModel(answers=answers) as model:
        home.create(model.base_url, config)
        home.programs.mkdir()
        (home.programs / "opencode").symlink_to(binary.path)
        (home.programs / "python3").symlink_to(os.path.realpath(sys.executable))
        try:
            yield home
        finally:
            await asyncio.to_thread(_end_services, home.data / "delegations")


def _end_services(data_root: Path) -> None:
    """End an OpenCode that was started on demand; by itself it would, a minute later."""
    for client in all_of(data_root):
        with client, suppress(NotServed, ProcessLookupError):
            os.kill(client.about().host_pid, signal.SIGTERM)


@dataclass
class Shell:
    """A shell in which one command after the other is typed."""

    process: asyncio.subprocess.Process
    typed: int = 0

    async def run(self, command: str) -> tuple[int, str]:
        """Return the exit code and all that the command printed."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        self.typed += 1
        mark = f"--- {self.typed} ended with "
        # `$?` is left as a reader would find it.
        after = f"code=$?; printf '%s%d\\n' '{mark}' $code; (exit $code)"
        stdin.write(f"{command}\n{after}\n".encode())
        out = ""
        async with asyncio.timeout(COMMAND_LIMIT_S):
            while mark not in out:
                line = await stdout.readline()
                assert line, f"the shell ended in {command}: {out}"
                out += line.decode()
        printed, _, code = out.partition(mark)
        return int(code), printed


@asynccontextmanager
async def shell_in(
    home: ReaderHome, folder: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Shell]:
    """Run a shell that begins in a folder."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "--noprofile", "--norc"),
        cwd=folder,
        env=home.environment(env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Shell(process)
    finally:
        process.kill()
        await process.communicate()


class Reader:
    """Does what a page says, and fails where it is not what the page shows."""

    def __init__(
        self, home: ReaderHome, shell: Shell, stack: AsyncExitStack, meanwhile: Meanwhile
    ) -> None:
        self.names = Names()
        self._home = home
        self._shell = shell
        self._stack = stack
        self._meanwhile = meanwhile
        self._tui: Tui | None = None
        self._board: Terminal | None = None

    async def does(self, step: Step) -> None:
        """Do one thing, and compare."""
        if isinstance(step, Command):
            await self._leave_board()
        match step:
            case Command(text="opencode"):
                self._tui = await self._stack.enter_async_context(self._opencode())
            case Command(text="background-agents watch"):
                self._board = await self._stack.enter_async_context(self._watch())
            case Command():
                await self._runs(step)
                await self._meanwhile(step)
            case Saved():
                _, folder = await self._shell.run("pwd")
                Path(folder.strip(), step.name).write_text(step.text, "utf-8")
            case Typed():
                await self.tui.send(step.text)
            case Seen():
                await self._sees(step)

    @property
    def tui(self) -> Tui:
        assert self._tui is not None, "the page has not started OpenCode yet"
        return self._tui

    async def _runs(self, step: Command) -> None:
        looks = any(f"background-agents {look}" in step.text for look in LOOKS)
        deadline = time.monotonic() + (LOOK_LIMIT_S if looks else 0)
        while True:
            code, printed = await self._shell.run(self.names.real(step.text))
            seen = printed.replace(str(self._home.home), HOME)
            # Where the page shows why it did not work, it need not have worked.
            if self.names.fits(step.output, seen) and (code == 0 or step.output):
                return
            if time.monotonic() >= deadline:
                shown = f"$ {step.text}\n{step.output}"
                pytest.fail(f"The page shows\n{shown}\n\nbut it ended with {code}:\n{seen}")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _sees(self, step: Seen) -> None:
        for line in step.lines:
            is_there = partial(self._is_there, line)
            if self._board is not None:
                await until(self._board, is_there, repr(line))
            else:
                await self.tui.until(is_there, repr(line))

    def _is_there(self, line: str, screen: str) -> bool:
        return self.names.is_on(line, screen.translate(FRAMES))

    async def _leave_board(self) -> None:
        """Press ``q``, as the board says; it gives the terminal back."""
        board, self._board = self._board, None
        if board is not None:
            await board.press("q")
            await until(board, lambda screen: f"{LEFT} 0" in screen, "the shell again")

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[Terminal]:
        _, folder = await self._shell.run("pwd")
        _, program = await self._shell.run("command -v background-agents")
        shell = ["sh", "-c", f"{program.strip()} watch; echo '{LEFT}' $?; exec cat"]
        env = self._home.environment()
        async with terminal(shell, Path(folder.strip()), env) as window:
            yield window

    @asynccontextmanager
    async def _opencode(self) -> AsyncIterator[Tui]:
        _, folder = await self._shell.run("pwd")
        command = [str(self._home.programs / "opencode")]
        env = self._home.environment()
        async with terminal(command, Path(folder.strip()), env) as window:
            tui = Tui(self._home, window)
            await tui.started()
            yield tui


async def until(window: Terminal, holds: Callable[[str], bool], what: str) -> None:
    """Look at a window until ``holds``; no program is told when another one draws."""
    deadline = time.monotonic() + LOOK_LIMIT_S
    while not holds(screen := (await window.look()).text):
        assert time.monotonic() < deadline, f"The board did not show {what}, but:\n{screen}"
        await asyncio.sleep(LOOK_AGAIN_S)
