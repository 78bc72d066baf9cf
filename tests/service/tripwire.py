"""An error at a chosen step: what fakes stumble over, to see what becomes of those who wait."""

from __future__ import annotations


class Tripwire:
    """Raises ``error`` at the ``at``-th step over it, once; fakes may share one."""

    def __init__(self, at: int, error: Exception) -> None:
        self.steps = 0
        self._at = at
        self._error = error

    def step(self) -> None:
        """Take one step."""
        self.steps += 1
        if self.steps == self._at:
            raise self._error


def step_over(wire: Tripwire | None) -> None:
    """Take a step where a wire may be."""
    if wire is not None:
        wire.step()
