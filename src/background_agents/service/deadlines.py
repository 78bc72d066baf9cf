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
        self._paused = False
        self.is_over = False
        """The window has ended, and was neither opened anew nor made to stand still since."""
        self._left: timedelta | None = None
        """What is left of an open window while it stands still."""

    @property
    def left(self) -> timedelta | None:
        """How much of the open window is left; None while there is none."""
        if self._ends_at is None:
            return self._left
        return max(self._ends_at - self._clock.now(), timedelta(0))

    def open(self, used: timedelta = timedelta(0)) -> None:
        """Begin the window, of which ``used`` is already gone; an open one begins anew."""
        self._stop()
        if self._window is None:
            return
        self._left = max(self._window - used, timedelta(0))
        if not self._paused:
            self._run()

    def pause(self) -> None:
        """Let the window stand still; twice is once."""
        self._left = self.left
        self._stop()
        self._paused = True

    def resume(self) -> None:
        """Let the window go on."""
        self._paused = False
        self._run()

    def close(self) -> None:
        """Forget the window; nothing will be called."""
        self._stop()
        self._left = None

    def _run(self) -> None:
        if self._left is None:
            return
        self._timer = self._clock.call_later(self._left, self._end)
        self._ends_at = self._clock.now() + self._left
        self._left = None

    def _end(self) -> None:
        self.is_over = True
        self._passed()

    def _stop(self) -> None:
        self.is_over = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._ends_at = None
