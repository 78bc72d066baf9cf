"""The time window of a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from background_agents.ports import Clock, Timer


class Deadline:
    """Calls ``passed`` once, when the window is over; a window of None never ends."""

    def __init__(self, clock: Clock, window: timedelta | None, passed: Callable[[], None]) -> None:
        self._clock = clock
        self._window = window
        self._passed = passed
        self._timer: Timer | None = None

    def open(self, used: timedelta = timedelta(0)) -> None:
        """Begin the window, of which ``used`` is already gone; an open one begins anew."""
        self.close()
        if self._window is not None:
            left = max(self._window - used, timedelta(0))
            self._timer = self._clock.call_later(left, self._passed)

    def close(self) -> None:
        """Forget the window; nothing will be called."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
