"""Where a run stands, as one table: what each sign leads to in each phase, and what is done there.

Pure, like ``domain/status.py``. A ``Run`` looks up what it hears, carries out the step, and looks
up what that came to in the same way, until nothing follows. A pair with ``IGNORE`` changes nothing;
one that does not stand here cannot come.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import NamedTuple


class Phase(StrEnum):
    """Where a run stands, between the asking for its slot and its stored ending."""

    QUEUED = "queued"
    """It waits for a slot, and has no session."""
    LAUNCHING = "launching"
    """It gets its session and its prompt; what comes meanwhile waits in the inbox."""
    UNSURE = "unsure"
    """What became of its prompt is not known, and is to be looked at: another process has sent
    it, or the runtime did not take it, or has begun nothing."""
    PROMPTED = "prompted"
    """A prompt was accepted, and no turn was seen to begin."""
    REFUSED = "refused"
    """An error or an abort was told of before a turn was seen to begin."""
    WORKING = "working"
    """A turn was seen to begin."""
    RESTING = "resting"
    """Its turn is over; what is still open, or still to be told, decides whether the run is."""
    STOPPING = "stopping"
    """It is to end; what comes is heard by ``Stopping``, until its session is quiet."""
    ENDING = "ending"
    """How it ended is known, and being stored; the inbox is closed."""
    OVER = "over"
    """The ending is stored, or nobody here conducts the run any more."""


class Sign(Enum):
    """What a signal says of a run, or what a step of it came to."""

    SLOT = auto()  # there is a place for it
    BUSY = auto()  # its session works: told, or found by a look
    IDLE = auto()  # its session has nothing left to do
    FAILED = auto()  # an error was told of
    ABORTED = auto()  # an abort was told of
    DELETED = auto()  # its session is gone: told, or found by a look
    RESTORED = auto()  # events may have been lost, and with them what ran
    TALK = auto()  # something is wanted, said, asked or answered, whatever the session does
    RECORD = auto()  # something is to be stored of it, whether it has begun or not
    STOP = auto()  # its end is wanted, or its time is over
    TURN_OVERDUE = auto()  # a prompt was accepted, and has begun no turn in time
    LOOK_DUE = auto()  # the runtime is to be asked how the session is
    TOLD = auto()  # its session has got a message about what it had delegated

    ACCEPTED = auto()  # the runtime has taken the prompt, and its turn is to come
    SETTLED = auto()  # nothing is asked any more
    AT_REST = auto()  # found by a look: it does not work, and it is told how its turn ended
    CUT_OFF = auto()  # found by a look: it does not work, and a turn was cut off
    UNBEGUN = auto()  # found by a look: it does not work, and nothing tells of a turn
    DENIED = auto()  # judged to have stopped at a refusal that was not meant to end it
    ENDED = auto()  # how it ended is known, by a step or by a fault
    LEFT = auto()  # the ending is stored; or another process conducts it, or nobody


class Step(Enum):
    """What a run does."""

    IGNORE = auto()
    REFUSE = auto()  # tell whoever wants something that it is not to be had
    DEAL = auto()  # have whoever it concerns deal with what was said
    RECORD = auto()  # store it
    LAUNCH = auto()
    AWAIT_TURN = auto()  # give the turn of an accepted prompt its time to begin
    LOOK = auto()  # ask the runtime
    JUDGE = auto()  # find out, on the evidence, whether and how it has ended
    HAND_OVER = auto()  # send its prompt again, under the same id
    RELAUNCH = auto()  # tell it to go on, if it may be told so
    NUDGE = auto()  # tell it to go on without what was refused
    STOP = auto()
    WRITE_OFF = auto()  # end it without a session


class Move(NamedTuple):
    """Where a sign leads, and what is done there."""

    phase: Phase
    step: Step = Step.IGNORE


_ANYWHERE: Mapping[Sign, Move] = {
    Sign.ENDED: Move(Phase.ENDING),
    Sign.LEFT: Move(Phase.OVER),
}

_UNSEEN: Mapping[Sign, Move] = {
    # No idle follows what keeps a turn from beginning, as an agent that has vanished.
    Sign.FAILED: Move(Phase.REFUSED, Step.LOOK),
    Sign.ABORTED: Move(Phase.REFUSED),
}
"""As long as no turn was seen to begin."""


def _followed(phase: Phase) -> Mapping[Sign, Move]:
    """Return what all phases share that have a session."""
    return {
        Sign.BUSY: Move(Phase.WORKING),
        Sign.DELETED: Move(Phase.STOPPING, Step.WRITE_OFF),
        Sign.RESTORED: Move(phase, Step.LOOK),
        Sign.TALK: Move(phase, Step.DEAL),
        Sign.RECORD: Move(phase, Step.RECORD),
        Sign.STOP: Move(Phase.STOPPING, Step.STOP),
        Sign.LOOK_DUE: Move(phase, Step.LOOK),
        Sign.TOLD: Move(phase),
        Sign.SETTLED: Move(phase),
        Sign.AT_REST: Move(Phase.RESTING, Step.JUDGE),
        Sign.CUT_OFF: Move(Phase.UNSURE, Step.RELAUNCH),
        Sign.UNBEGUN: Move(Phase.UNSURE, Step.HAND_OVER),
        **_ANYWHERE,
    }


TABLE: Mapping[Phase, Mapping[Sign, Move]] = {
    Phase.QUEUED: {
        Sign.SLOT: Move(Phase.LAUNCHING, Step.LAUNCH),
        Sign.RESTORED: Move(Phase.QUEUED),
        Sign.TALK: Move(Phase.QUEUED, Step.REFUSE),
        Sign.RECORD: Move(Phase.QUEUED, Step.RECORD),
        Sign.STOP: Move(Phase.STOPPING, Step.STOP),
        **_ANYWHERE,
    },
    Phase.LAUNCHING: {Sign.ACCEPTED: Move(Phase.PROMPTED, Step.AWAIT_TURN), **_ANYWHERE},
    Phase.UNSURE: {
        **_followed(Phase.UNSURE),
        **_UNSEEN,
        Sign.IDLE: Move(Phase.UNSURE),  # maybe of before; a look is due in any case
        Sign.ACCEPTED: Move(Phase.PROMPTED, Step.AWAIT_TURN),
    },
    Phase.PROMPTED: {
        **_followed(Phase.PROMPTED),
        **_UNSEEN,
        # A run before this one has ended just now, and may have swallowed our prompt.
        Sign.IDLE: Move(Phase.UNSURE, Step.LOOK),
        Sign.TURN_OVERDUE: Move(Phase.UNSURE, Step.LOOK),
        Sign.UNBEGUN: Move(Phase.PROMPTED),  # accepted a moment ago: its events are to come
    },
    Phase.REFUSED: {
        **_followed(Phase.REFUSED),
        **_UNSEEN,
        **dict.fromkeys(
            (Sign.IDLE, Sign.TOLD, Sign.SETTLED, Sign.AT_REST), Move(Phase.REFUSED, Step.JUDGE)
        ),
        # What aborted it may have been the end of what it ran in, and its prompt is lost.
        Sign.RESTORED: Move(Phase.UNSURE, Step.LOOK),
        Sign.DENIED: Move(Phase.WORKING, Step.NUDGE),
        Sign.ACCEPTED: Move(Phase.PROMPTED, Step.AWAIT_TURN),
    },
    Phase.WORKING: {
        **_followed(Phase.WORKING),
        **dict.fromkeys((Sign.FAILED, Sign.ABORTED), Move(Phase.WORKING)),  # an idle follows
        Sign.IDLE: Move(Phase.RESTING, Step.JUDGE),
        Sign.UNBEGUN: Move(Phase.UNSURE, Step.RELAUNCH),
    },
    Phase.RESTING: {
        **_followed(Phase.RESTING),
        **dict.fromkeys((Sign.IDLE, Sign.TOLD, Sign.SETTLED), Move(Phase.RESTING, Step.JUDGE)),
        Sign.FAILED: Move(Phase.RESTING, Step.LOOK),
        Sign.ABORTED: Move(Phase.RESTING),
        Sign.UNBEGUN: Move(Phase.UNSURE, Step.RELAUNCH),
        Sign.DENIED: Move(Phase.WORKING, Step.NUDGE),
        # What rests is what was cut off before.
        Sign.ACCEPTED: Move(Phase.PROMPTED, Step.AWAIT_TURN),
    },
    Phase.STOPPING: _ANYWHERE,
    Phase.ENDING: {Sign.LEFT: Move(Phase.OVER)},
    Phase.OVER: dict.fromkeys(_ANYWHERE, Move(Phase.OVER)),
}

FOLLOWED: frozenset[Phase] = frozenset(
    phase for phase, moves in TABLE.items() if Sign.LOOK_DUE in moves
)
"""The phases with a session, in which a run takes whatever comes."""
