"""Waiting for delegations, bounded, without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from background_agents.domain.delegation import Delegation
from background_agents.ports import Clock


@dataclass(frozen=True)
class Waited:
    """What a wait found at its end."""

    delegations: Sequence[Delegation]
    """All that were waited for, as they now are."""
    spoke: Sequence[str]
    """Those that have told their supervisor something meanwhile."""
    limit: timedelta
    now: datetime

    @property
    def ended(self) -> list[Delegation]:
        return [one for one in self.delegations if one.is_terminal]

    @property
    def asking(self) -> list[Delegation]:
        return [one for one in self.delegations if one.requests]

    @property
    def calls_for_attention(self) -> bool:
        """Whether the supervisor has to do something before waiting can make sense."""
        return bool(self.asking or self.spoke)


class Bell:
    """Rings whenever something happened to a delegation that a supervisor may wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Let those who wait look again."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, holds: Callable[[], Awaitable[bool]], limit: timedelta) -> None:
        """Return once ``holds`` does, looking at each ring, or when ``limit`` is over."""
        over = asyncio.Event()

        def end() -> None:
            over.set()
            self.ring()

        timer = self._clock.call_later(limit, end)
        try:
            while True:
                ring = self._next  # taken before looking, so that no ring is missed between
                if await holds() or over.is_set():
                    return
                await ring.wait()
        finally:
            timer.cancel()
