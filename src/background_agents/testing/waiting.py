"""Waiting in tests: for a condition, at each change, never longer than a limit; and gates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LIMIT_S = 10.0
"""Everything that tests wait for takes milliseconds here, and a second on a busy machine."""


class Changes:
    """Tells those who wait that they may look again."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something is different now."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, holds: Callable[[], bool], *, limit_s: float = LIMIT_S) -> None:
        """Return once ``holds`` does. Raises ``TimeoutError`` after ``limit_s`` seconds."""
        async with asyncio.timeout(limit_s):
            while not holds():
                await self._next.wait()


class Gate:
    """Holds answers back until it is open."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] | None = []

    def hold(self, passed: Callable[[], None]) -> None:
        """Call ``passed`` once the gate is open."""
        if self._waiting is None:
            passed()
        else:
            self._waiting.append(passed)

    def open(self) -> None:
        """Let everything pass, in the order of arrival, from now on."""
        waiting, self._waiting = self._waiting or [], None
        for passed in waiting:
            passed()
