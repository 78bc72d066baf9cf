"""The time window of a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from background_agents.ports import Clock, Timer


class Deadline:
    """Calls ``passed`` once, when the window is over; a window of None never ends."""

    def __init__(self, clock: Clock, window: timedelta | None, passed: Callable[[], None]) -> None:
        self._clock = clock
        self._window = window
        self._passed = passed
        self._timer: Timer | None = None
        self._ends_at: datetime | None = None

    @property
    def left(self) -> timedelta | None:
        """How much of the open window is left; None while there is none."""
        if self._ends_at is None:
            return None
        return max(self._ends_at - self._clock.now(), timedelta(0))

    def open(self, used: timedelta = timedelta(0)) -> None:
        """Begin the window, of which ``used`` is already gone; an open one begins anew."""
        self.close()
        if self._window is not None:
            left = max(self._window - used, timedelta(0))
            self._timer = self._clock.call_later(left, self._passed)
            self._ends_at = self._clock.now() + left

    def close(self) -> None:
        """Forget the window; nothing will be called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._ends_at = None
