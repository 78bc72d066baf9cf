"""Waiting for delegations, bounded, without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from background_agents.ports.clock import Clock


class Bell:
    """Rings whenever something happened to a delegation that a supervisor may wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: asyncio.Event | None = None
        """Of those who wait now, if anybody does: a ring that nobody hears costs nothing."""

    def ring(self) -> None:
        """Let those who wait look again."""
        if self._next is not None:
            self._next.set()
            self._next = None

    def next(self) -> asyncio.Event:
        """Return what the next ring sets; taken before looking, so that no ring is missed."""
        self._next = self._next or asyncio.Event()
        return self._next

    async def until(self, holds: Callable[[], Awaitable[bool]], limit: timedelta) -> None:
        """Return once ``holds`` does, looking at each ring, or when ``limit`` is over."""
        over = asyncio.Event()

        def end() -> None:
            over.set()
            self.ring()

        timer = self._clock.call_later(limit, end)
        try:
            while True:
                ring = self.next()
                if await holds() or over.is_set():
                    return
                await ring.wait()
        finally:
            timer.cancel()
