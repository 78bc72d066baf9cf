"""What may happen to a run, beside what its runtime tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from background_agents.ports import RuntimeEvent


class SlotGranted:
    """There is a place for this run."""


class DeadlinePassed:
    """The time window is over."""


class QuietLimit:
    """An abort has had its time."""


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the run to end."""

    by: str
    reason: str


Signal = RuntimeEvent | SlotGranted | DeadlinePassed | QuietLimit | StopAsked
