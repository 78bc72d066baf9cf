"""The time of a run: its window, and how long it has taken, whatever the wall clock does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from background_agents.ports.clock import Clock, Timer

TURN_LIMIT = timedelta(seconds=5)
"""How long a turn may take to begin: 30 ms, on a cold OpenCode more than a second.

OpenCode stores a prompt that reaches a session between the end of a failed run and the storing
of its error (50 ms, seconds on a busy machine) without beginning a turn. Sent again under the
same ids, the prompt begins one; it leaves no second message, and no second turn if it was
taken up after all.
"""

ABORT_LIMIT = timedelta(seconds=2)
"""After an abort by a user OpenCode tells of the aborted message within 0.25 s, and of nothing
where none was being written. When its own end was the cause, it is gone after 0.01 s, or 0.1 s on
a machine that is overloaded."""


class Alarm:
    """Calls ``rings`` once, when something that was expected has not come in time."""

    def __init__(self, clock: Clock, rings: Callable[[], None]) -> None:
        self._clock = clock
        self._rings = rings
        self._timer: Timer | None = None
        self.is_over = False
        """It has rung, and was neither set anew nor cleared since."""

    @property
    def is_set(self) -> bool:
        """Whether it is still to ring."""
        return self._timer is not None

    def set(self, limit: timedelta) -> None:
        """Expect it from now on, for so long."""
        self.clear()
        self._timer = self._clock.call_later(limit, self._ring)

    def clear(self) -> None:
        """Expect it no more; twice is once."""
        self.is_over = False
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _ring(self) -> None:
        self._timer = None
        self.is_over = True
        self._rings()


class Deadline:
    """Calls ``passed`` once, when the window is over; a window of None never ends."""

    def __init__(self, clock: Clock, window: timedelta | None, passed: Callable[[], None]) -> None:
        self._clock = clock
        self._window = window
        self._alarm = Alarm(clock, passed)
        self._ends_at_s: float | None = None
        """As ``Clock.monotonic_s`` says."""
        self._paused = False
        self._left: timedelta | None = None
        """What is left of an open window while it stands still."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and was neither opened anew nor made to stand still since."""
        return self._alarm.is_over

    @property
    def left(self) -> timedelta | None:
        """How much of the open window is left; None while there is none."""
        if self._ends_at_s is None:
            return self._left
        return timedelta(seconds=max(self._ends_at_s - self._clock.monotonic_s(), 0.0))

    def open(self, used: timedelta = timedelta(0)) -> None:
        """Begin the window, of which ``used`` is already gone; an open one begins anew."""
        self._stop()
        window = self._window
        self._left = None if window is None else max(window - used, timedelta(0))
        if not self._paused:
            self._run()

    def set(self, window: timedelta | None) -> None:
        """Make the window so long; of an open one as much is gone as before."""
        before, left = self._window, self.left
        self._window = window
        if before is not None and left is not None:
            self.open(used=before - left)

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
        self._alarm.set(self._left)
        self._ends_at_s = self._clock.monotonic_s() + self._left.total_seconds()
        self._left = None

    def _stop(self) -> None:
        self._alarm.clear()
        self._ends_at_s = None


class Stopwatch:
    """How long a run has taken; of what was before this process only the wall clock tells."""

    def __init__(self, clock: Clock, so_far: timedelta) -> None:
        self._clock = clock
        self._so_far = so_far
        self._begun_s = clock.monotonic_s()

    @property
    def elapsed(self) -> timedelta:
        return self._so_far + timedelta(seconds=self._clock.monotonic_s() - self._begun_s)

    def start_anew(self) -> None:
        """Begin from nothing."""
        self._so_far, self._begun_s = timedelta(0), self._clock.monotonic_s()
