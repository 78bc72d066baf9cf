"""Notices a prompt that was accepted and is not taken up.

OpenCode stores a prompt that reaches a session between the end of a failed run and the storing
of its error (50 ms, seconds on a busy machine) without beginning a turn. Sent again under the
same ids, the prompt begins one; it leaves no second message, and no second turn if it was
taken up after all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from background_agents.ports.clock import Clock, Timer

LIMIT = timedelta(seconds=5)
"""How long a turn may take to begin: 30 ms, on a cold OpenCode more than a second."""


class Beginning:
    """Waits for the turn that a prompt begins; ``overdue`` is called when it does not come."""

    def __init__(self, clock: Clock, overdue: Callable[[], None]) -> None:
        self.is_overdue = False
        """No turn has begun in time, since the last prompt."""
        self._clock = clock
        self._overdue = overdue
        self._timer: Timer | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether a prompt was sent whose turn has not begun."""
        return self._timer is not None

    def expect(self) -> None:
        """Wait from now on: a prompt was sent."""
        self.close()
        self._timer = self._clock.call_later(LIMIT, self._pass)

    def close(self) -> None:
        """Wait no more: a turn has begun, or none is wanted."""
        self.is_overdue = False
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def give_up(self) -> None:
        """Take the prompt for one that is not taken up."""
        self.close()
        self.is_overdue = True

    def _pass(self) -> None:
        self.give_up()
        self._overdue()
