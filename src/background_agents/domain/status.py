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

CUT_SHORT: Mapping[Status, type[ev.CutShort]] = {
    Status.FAILED: ev.Failed,
    Status.TIMED_OUT: ev.TimedOut,
    Status.STOPPED: ev.Stopped,
    Status.INTERRUPTED: ev.Interrupted,
}
"""The endings without a whole result, and the event that leads to each."""

_ENDINGS: Mapping[type[ev.Event], Status] = {kind: status for status, kind in CUT_SHORT.items()}

_NOTICES: tuple[type[ev.Event], ...] = (ev.NoticeQueued, ev.NoticeConfirmed)

_IN_A_RUN: tuple[type[ev.Event], ...] = (
    ev.Progressed,
    ev.ToolCalled,
    ev.SteerSent,
    ev.SteerConfirmed,
    ev.Annotated,
    ev.Extended,
    ev.LimitReached,
    ev.StopRequested,
    ev.ParentNotified,
    ev.KeptTold,
    *_NOTICES,
)


TRANSITIONS: Mapping[Status, Mapping[type[ev.Event], Status]] = {
    _R: {
        ev.Launched: _RUN,
        ev.Resumed: _R,
        **dict.fromkeys((ev.Annotated, ev.Extended, ev.StopRequested, *_NOTICES), _R),
        **_ENDINGS,
    },
    _RUN: {
        ev.InputRequested: _WAIT,
        ev.Resumed: _RUN,
        ev.Relaunched: _RUN,
        **dict.fromkeys(_IN_A_RUN, _RUN),
        **_ENDINGS,
        ev.Completed: Status.COMPLETED,
    },
    _WAIT: {
        ev.InputRequested: _WAIT,
        # While another request is still open the delegation keeps waiting: the one
        # move whose target depends on data, settled in Delegation.
        ev.InputAnswered: _RUN,
        ev.Resumed: _WAIT,
        **dict.fromkeys(_IN_A_RUN, _WAIT),
        **_ENDINGS,
    },
    **{
        ended: dict.fromkeys(
            (ev.Annotated, ev.Described, ev.ChangesMade, ev.Read, *_NOTICES), ended
        )
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
