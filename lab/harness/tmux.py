"""A program in a terminal of its own: one window of a private tmux server.

Starts the program, types, and reads the screen as a person would see it. Knows nothing of
OpenCode; and nothing of the user's tmux, whose server and configuration it never touches.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from background_agents.domain.errors import DelegationError

WIDTH, HEIGHT = 200, 50
"""Columns and rows: what the tests read fits on it without scrolling."""

END_TIMEOUT_S = 5.0
"""OpenCode ends within 0.2 s of a SIGTERM; what takes longer than this is killed."""

LOOK_AGAIN_S = 0.05
"""Between two looks at the window; a look itself takes 5 ms."""


class TmuxMissing(DelegationError):
    """There is no tmux to run."""

    def __init__(self) -> None:
        super().__init__(
            "tmux was not found, and the TUI can only be tested in a terminal: "
            "install tmux (Debian and Ubuntu: apt-get install tmux; macOS: brew install tmux)."
        )


class TmuxFailed(DelegationError):
    """A tmux command was refused; what tmux printed is the message."""


@dataclass(frozen=True)
class Screen:
    """What the window showed, and when (``time.monotonic()`` seconds)."""

    at_s: float
    text: str
    ended: bool
    """The program in the window has ended."""


class Terminal:
    """The window and the program in it; made by ``terminal``."""

    def __init__(self, tmux: str, socket: Path, env: Mapping[str, str]) -> None:
        self._tmux = tmux
        self._socket = socket
        self._env = env
        self._pid: int | None = None

    async def start(
        self, command: Sequence[str], folder: Path, size: tuple[int, int] = (WIDTH, HEIGHT)
    ) -> None:
        """Run ``command`` in the window, whose ``size`` is in columns and rows."""
        settings = (
            *("set", "-g", "status", "off", ";"),
            # The last screen of a program that has ended says why.
            *("set", "-g", "remain-on-exit", "on", ";"),
        )
        # A lone word would be given to a shell; `env` makes two of it.
        across, down = map(str, size)
        window = ("new-session", "-d", "-x", across, "-y", down, "-c", str(folder), "env", *command)
        await self._run("start-server", ";", *settings, *window)
        self._pid = int(await self._run("display-message", "-p", "#{pane_pid}"))

    @property
    def pid(self) -> int:
        """The program in the window."""
        if self._pid is None:
            raise TmuxFailed("The window was not opened.")
        return self._pid

    async def look(self, *, styled: bool = False) -> Screen:
        """Return what the window shows now; ``styled`` with the sequences that colour it."""
        # What is coloured to the end of its line is so without a letter, too.
        capture = ("capture-pane", "-p", *(("-e", "-N") if styled else ()))
        shown = await self._run("display-message", "-p", "#{pane_dead}", ";", *capture)
        dead, _, text = shown.partition("\n")
        return Screen(time.monotonic(), text, dead == "1")

    async def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them: ``Enter``, ``Escape``, ``C-x``, ``n``."""
        await self._run("send-keys", *keys)

    async def paste(self, text: str) -> None:
        """Paste text, as a terminal does: the program is told where it begins and ends."""
        await self._run("load-buffer", "-", ";", "paste-buffer", "-p", "-d", given=text)

    async def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, as a person does with the mouse."""
        await self._run("resize-window", "-x", str(columns), "-y", str(rows))

    async def end(self) -> None:
        """End the program, all that it started, and the tmux server."""
        try:
            await self._end_program()
        finally:
            with suppress(TmuxFailed):  # a server that has not started has no window either
                await self._run("kill-server")

    async def _end_program(self) -> None:
        if self._pid is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, signal.SIGTERM)
        with suppress(TmuxFailed):
            await self._wait_ended()
        # tmux made the program the leader of a group, so what it leaves behind is in it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    async def _wait_ended(self) -> None:
        """Look until the program has ended: tmux's hook for it came in half of the cases only."""
        deadline = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < deadline:
            if (await self.look()).ended:
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _run(self, *args: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *(self._tmux, "-u", "-S", str(self._socket), "-f", os.devnull, *args),
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said, refused = await process.communicate(given.encode())
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise TmuxFailed(f"tmux {args[0]}: {refused.decode(errors='replace').strip()}")
        return said.decode(errors="replace")


@asynccontextmanager
async def terminal(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> AsyncIterator[Terminal]:
    """Run ``command`` in a window; end it, and all that it started, on the way out.

    Raises:
        TmuxMissing: There is no tmux.
        TmuxFailed: tmux did not open the window.
    """
    tmux = shutil.which("tmux")
    if tmux is None:
        raise TmuxMissing
    # The developer may work in a tmux too; ours must not take itself for a part of it.
    own = {name: value for name, value in env.items() if not name.startswith("TMUX")}
    # Not under pytest's folder, whose path may be longer than a socket's may be.
    with tempfile.TemporaryDirectory(prefix="tmux-") as place:
        window = Terminal(tmux, Path(place) / "socket", own)
        try:
            await window.start(command, folder, size)
            yield window
        finally:
            await window.end()
