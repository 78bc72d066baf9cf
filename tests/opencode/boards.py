"""The live board in a terminal of its own, beside a running OpenCode, and what is seen there."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lab.harness.home import Home
from lab.harness.tmux import LOOK_AGAIN_S, Terminal, terminal

LIMIT_S = 20.0
"""What takes a second at most; a look at a frozen process takes five."""

SHELL = "stty -a > ../before; {watch}; code=$?; stty -a > ../after; echo ended with $code; exec cat"
"""What a person's shell does around a program, so that what it leaves behind can be seen."""

WATCH = f"{sys.executable} -m background_agents watch"


@dataclass
class Board:
    """A window with ``watch`` in it."""

    home: Home
    window: Terminal
    screens: list[str] = field(default_factory=list)

    async def press(self, *keys: str) -> None:
        await self.window.press(*keys)

    async def shows(self, *texts: str, without: tuple[str, ...] = ()) -> str:
        """Return the first screen that shows all of ``texts`` and none of ``without``."""
        what = f"{texts!r}" + (f" without {without!r}" if without else "")
        return await self.until(
            lambda screen: (
                all(text in screen for text in texts)
                and not any(text in screen for text in without)
            ),
            what,
        )

    async def until(self, holds: Callable[[str], bool], what: str) -> str:
        """Return the first screen for which ``holds``; no program is told when another draws."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            screen = (await self.window.look()).text
            if holds(screen):
                self.screens.append(screen)
                return screen
            if time.monotonic() >= deadline:
                raise AssertionError(f"The board did not show {what}, but:\n{screen}")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def quit(self) -> str:
        """Press q and return the screen that the shell has then."""
        await self.press("q")
        return await self.shows("ended with 0")

    def settings(self) -> tuple[str, str]:
        """Return the terminal's settings before and after."""
        root = self.home.root
        return (root / "before").read_text(), (root / "after").read_text()


@asynccontextmanager
async def watching(
    home: Home,
    size: tuple[int, int] = (200, 50),
    *,
    env: Mapping[str, str] | None = None,
    command: str = WATCH,
) -> AsyncIterator[Board]:
    """Run ``watch`` in the home's project."""
    # Without the sizes that the tests' own environment may tell of.
    around = {
        name: value
        for name, value in home.environment({"PS1": "$ ", **(env or {})}).items()
        if name not in ("COLUMNS", "LINES")
    }
    shell = ["sh", "-c", SHELL.format(watch=command)]
    async with terminal(shell, home.project, around, size) as window:
        yield Board(home, window)
