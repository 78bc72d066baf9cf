"""OpenCode's TUI in a terminal of its own, and what its user does and sees there.

Has the isolated home of ``opencode_home`` and keeps the screens that it looked at, as
evidence for when a test fails. Knows nothing of delegations.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from lab.harness.home import PROVIDER, Home, find_binary
from lab.harness.line import Line
from lab.harness.shared import ending_shared
from lab.harness.tmux import HEIGHT, LOOK_AGAIN_S, WIDTH, Screen, Terminal, terminal

START_TIMEOUT_S = 40.0
"""A first start reads a 170 MB binary from disk and migrates a database; 4-6 s when warm."""

SCREEN_TIMEOUT_S = 20.0
"""How long tests wait for a screen that takes a second at most."""

LEADER = "C-x"
"""What OpenCode's two-key commands begin with."""

EMPTY = "Ask anything"
"""Stands in the input of a session that has not begun."""

PASTED = "[Pasted"
"""Stands in the input for a text that is long."""

SPINNER = dict.fromkeys(map(ord, "⬝■"))
"""Moves all the time; a screen that differs in nothing else is not another one."""


class NotShown(AssertionError):
    """The screen never showed what was waited for."""


class Tui:
    """The TUI on a home; made by ``running_tui``. ``screens`` are those of the current chat."""

    def __init__(self, home: Home, window: Terminal) -> None:
        self.home = home
        self.screens: list[Screen] = []
        self._window = window

    @property
    def pid(self) -> int:
        """The process in the window: OpenCode's."""
        return self._window.pid

    async def press(self, *keys: str) -> None:
        """Press keys; see ``Terminal.press``."""
        await self._window.press(*keys)

    async def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        await self._window.resize(columns, rows)

    async def started(self) -> None:
        """Return once it takes messages: before it has read its models, Enter sends none."""
        await self.shows(EMPTY, PROVIDER, timeout_s=START_TIMEOUT_S)

    async def send(self, text: str) -> None:
        """Send a message, as the user does; it should be one line."""
        await self._window.paste(text)
        beginning = text[:30]
        await self.until(
            lambda screen: PASTED in screen or beginning in screen, f"{beginning!r} in the input"
        )
        await self.press("Enter")
        await self.until(lambda screen: PASTED not in screen, f"{beginning!r} sent")

    async def type(self, command: str) -> None:
        """Type a slash command and send it: one that is pasted is a message."""
        await self.press(*command)
        await self.until(lambda screen: f"┃  {command}" in screen, f"{command!r} in the input")
        await self.press("Enter")

    async def gone(self) -> str:
        """Return what OpenCode leaves on the screen, once it has ended."""
        deadline = time.monotonic() + SCREEN_TIMEOUT_S
        while time.monotonic() < deadline:
            if (screen := await self._look()).ended:
                return screen.text
            await asyncio.sleep(LOOK_AGAIN_S)
        raise NotShown(f"OpenCode did not end in {SCREEN_TIMEOUT_S:g} s.")

    async def shows(self, *texts: str, timeout_s: float = SCREEN_TIMEOUT_S) -> str:
        """Return the first screen that shows all of ``texts``, each on one line."""
        return await self.until(
            lambda screen: all(text in screen for text in texts),
            " and ".join(map(repr, texts)),
            timeout_s=timeout_s,
        )

    async def toast(self, *texts: str) -> str:
        """Return the text of the first toast that says all of ``texts``."""
        screen = await self.until(
            lambda screen: all(text in toast_on(screen) for text in texts),
            "a toast with " + " and ".join(map(repr, texts)),
        )
        return toast_on(screen)

    async def until(
        self, holds: Callable[[str], bool], what: str, *, timeout_s: float = SCREEN_TIMEOUT_S
    ) -> str:
        """Return the first screen for which ``holds``; ``what`` says in words what that is.

        Looks again and again, because no program is told when another one draws.

        Raises:
            NotShown: There was none within ``timeout_s`` seconds, or OpenCode has ended.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            screen = await self._look()
            if holds(screen.text):
                return screen.text
            if screen.ended:
                raise NotShown(f"OpenCode ended before the screen showed {what}.")
            if time.monotonic() >= deadline:
                raise NotShown(f"The screen did not show {what} in {timeout_s:g} s.")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _look(self) -> Screen:
        screen = await self._window.look()
        last = self.screens[-1].text if self.screens else None
        if last is None or last.translate(SPINNER) != screen.text.translate(SPINNER):
            self.screens.append(screen)
        return screen

    @asynccontextmanager
    async def chat(self, evidence: Path) -> AsyncIterator[None]:
        """Begin a session in which the user talks; its screens are evidence.

        An error that passes through leaves them in the folder ``evidence``, and carries
        its name and the last screen as a note.
        """
        self.screens.clear()
        async with self.kept(evidence):
            # What was typed and not sent would go with it, hence C-u.
            await self.press(LEADER, "n", "C-u")
            # A session that opens under a toast hides the upper part of it, and of the
            # ones that follow: it draws the messages over it. One stays for 5 s.
            await self.until(
                lambda screen: EMPTY in screen and not toast_on(screen), "a new session, no toast"
            )
            yield

    @asynccontextmanager
    async def kept(self, evidence: Path) -> AsyncIterator[None]:
        """Let an error that passes through leave the screens in the folder ``evidence``."""
        # What an earlier run has left there would speak of something else.
        await asyncio.to_thread(shutil.rmtree, evidence, ignore_errors=True)
        try:
            yield
        except BaseException as error:
            await asyncio.to_thread(_write, self.screens, evidence)
            last = _dense(self.screens[-1].text) if self.screens else ""
            error.add_note(f"The screens are in {evidence}; the last one:\n{last}")
            raise


def toast_on(screen: str) -> str:
    """Return what the toast says that lies over the chat, as one line; empty without one.

    OpenCode breaks words at hyphens, too, such as a delegation's id.
    """
    # Its box alone has a bar at both sides; what is beside the chat follows the second.
    split = [line.rsplit("┃", 2) for line in screen.splitlines()]
    lines = (line[1].strip() for line in split if len(line) == 3)
    said = " ".join(line for line in lines if line)
    return re.sub(r"(?<=\w-) (?=\w)", "", " ".join(said.split()))


def _write(screens: list[Screen], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, screen in enumerate(screens):
        after_s = screen.at_s - screens[0].at_s
        text = f"{after_s:.2f} s after the first\n{_trimmed(screen.text)}\n"
        (folder / f"{number:02}.txt").write_text(text, encoding="utf-8")


def _trimmed(screen: str) -> str:
    return "\n".join(line.rstrip() for line in screen.rstrip().splitlines())


def _dense(screen: str) -> str:
    return "\n".join(line for line in _trimmed(screen).splitlines() if line.strip())


@asynccontextmanager
async def running_tui(
    root: Path,
    base_url: str,
    line: Line = Line.ONE,
    *,
    evidence: Path,
    config: Mapping[str, object] | None = None,
    screen: Mapping[str, object] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    serves: bool = True,
) -> AsyncIterator[Tui]:
    """Run the TUI on a new home under ``root``, with our plugin; end it on the way out.

    ``base_url`` is the scripted model's; ``evidence`` is the folder for the screens of a
    start that failed; ``config`` is merged over OpenCode's own; ``screen`` is its ``tui.json``.
    Our plugin is there if it ``serves``; whoever plays the service themselves has none.
    """
    home, command = await asyncio.to_thread(_new_home, root, base_url, line, config, serves)
    if screen is not None:
        (home.config / "tui.json").write_bytes(msgspec.json.encode(screen))
    async with (
        ending_shared(home),
        terminal(command, home.project, home.environment(), size) as window,
    ):
        tui = Tui(home, window)
        async with tui.kept(evidence):
            await tui.started()
        yield tui


def _new_home(
    root: Path, base_url: str, line: Line, config: Mapping[str, object] | None, serves: bool
) -> tuple[Home, list[str]]:
    binary = find_binary(line)
    home = Home(root, binary.version)
    home.create(base_url, config)
    if serves:
        home.install_plugin()
    return home, [str(binary.path)]
