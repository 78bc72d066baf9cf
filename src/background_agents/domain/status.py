"""The lifecycle, as one table.

Every status, every event that may happen in it and where it leads is a line of
``TRANSITIONS``. What is terminal, the diagram in the documentation and the exhaustive
test are derived from it; nothing else in the project decides where an event leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from background_agents.domain import events as ev


class Status(StrEnum):
    """Where a delegation stands; the specification's *Lifecycle* gives each meaning."""

    REGISTERED = "registered"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


_R, _RUN, _WAIT = Status.REGISTERED, Status.RUNNING, Status.WAITING

_ENDINGS: Mapping[type[ev.Event], Status] = {
    ev.Failed: Status.FAILED,
    ev.TimedOut: Status.TIMED_OUT,
    ev.Stopped: Status.STOPPED,
    ev.Interrupted: Status.INTERRUPTED,
}

_NOTICES: tuple[type[ev.Event], ...] = (ev.NoticeQueued, ev.NoticeConfirmed)

_IN_A_RUN: tuple[type[ev.Event], ...] = (
    ev.Progressed,
    ev.ToolCalled,
    ev.SteerSent,
    ev.SteerConfirmed,
    ev.StopRequested,
    ev.ParentNotified,
    ev.KeptTold,
    *_NOTICES,
)


def _stays(status: Status, kinds: tuple[type[ev.Event], ...]) -> dict[type[ev.Event], Status]:
    return dict.fromkeys(kinds, status)


TRANSITIONS: Mapping[Status, Mapping[type[ev.Event], Status]] = {
    _R: {
        ev.Launched: _RUN,
        ev.Resumed: _R,
        **_stays(_R, (ev.StopRequested, *_NOTICES)),
        **_ENDINGS,
    },
    _RUN: {
        ev.InputRequested: _WAIT,
        ev.Resumed: _RUN,
        ev.Relaunched: _RUN,
        **_stays(_RUN, _IN_A_RUN),
        **_ENDINGS,
        ev.Completed: Status.COMPLETED,
    },
    _WAIT: {
        ev.InputRequested: _WAIT,
        # While another request is still open the delegation keeps waiting: the one
        # move whose target depends on data, settled in Delegation.
        ev.InputAnswered: _RUN,
        ev.Resumed: _WAIT,
        **_stays(_WAIT, _IN_A_RUN),
        **_ENDINGS,
    },
    **{
        ended: _stays(ended, (ev.Described, ev.Read, *_NOTICES))
        for ended in (Status.COMPLETED, *_ENDINGS.values())
    },
}

TERMINAL: frozenset[Status] = frozenset(
    status for status, moves in TRANSITIONS.items() if set(moves.values()) == {status}
)
"""The statuses that no event leaves."""

ACTIVE: frozenset[Status] = frozenset(Status) - TERMINAL


def is_unread(status: Status, read_at: datetime | None) -> bool:
    """Whether a delegation has ended and nobody has read its result."""
    return status in TERMINAL and read_at is None


def target(status: Status, kind: type[ev.Event]) -> Status | None:
    """Return where ``kind`` leads from ``status``, or None when it may not happen there."""
    return TRANSITIONS[status].get(kind)


def mermaid() -> str:
    """Draw the lifecycle as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.REGISTERED}: Registered"]
    for status, moves in TRANSITIONS.items():
        for kind, to in moves.items():
            if to is not status:
                lines.append(f"    {status} --> {to}: {kind.__name__}")
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines)
