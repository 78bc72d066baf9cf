"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from background_agents.ports.clock import Timer

START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class ManualTimer:
    """A callback that waits for its time."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    @property
    def pending(self) -> bool:
        """Whether it still has to be called."""
        return self._callback is not None

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        """Make the call, unless it was made or cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class ManualClock:
    """``ports.clock.Clock`` under a test's control.

    ``advance`` lets time pass; ``step_wall`` changes what people call the time while
    none passes, as an administrator or NTP does.
    """

    def __init__(self, start: datetime = START) -> None:
        self._wall = start
        self._elapsed = timedelta()
        self._order = count()
        self._timers: list[tuple[timedelta, int, ManualTimer]] = []

    def now(self) -> datetime:
        return self._wall

    def monotonic_s(self) -> float:
        return self._elapsed.total_seconds()

    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> Timer:
        timer = ManualTimer(callback)
        due = self._elapsed + max(delay, timedelta())
        heapq.heappush(self._timers, (due, next(self._order), timer))
        return timer

    async def sleep(self, delay: timedelta) -> None:
        awake = asyncio.Event()
        timer = self.call_later(delay, awake.set)
        try:
            await awake.wait()
        finally:
            timer.cancel()

    def advance(self, delay: timedelta) -> None:
        """Let ``delay`` pass and make the calls that fall due, each at its own moment.

        Calls that those calls order within ``delay`` are made too. A sleeper that
        wakes goes on when the event loop next runs, with all of ``delay`` gone.
        """
        end = self._elapsed + delay
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._pass_until(due)
            timer.fire()
        self._pass_until(end)

    def step_wall(self, step: timedelta) -> None:
        """Change the wall clock alone; nothing falls due by it."""
        self._wall += step

    @property
    def pending(self) -> int:
        """How many calls and sleepers wait for their time."""
        return sum(timer.pending for _, _, timer in self._timers)

    def _pass_until(self, moment: timedelta) -> None:
        self._wall += moment - self._elapsed
        self._elapsed = moment
