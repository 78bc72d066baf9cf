"""Whether a run is over now that its session is idle, and how it ended: on evidence alone.

Pure functions of what is known. That a session is idle does not end a run by itself: an
instruction may have been accepted in that moment, or something below may still ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from background_agents.domain.delegation import Delegation
from background_agents.domain.status import Status
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import RunFailed, RunState
from background_agents.service.running.asking import Refusal
from background_agents.service.running.ending import Outcome
from background_agents.service.running.launch import UNDONE
from background_agents.service.running.phase import Sign

ABORTED = "It was aborted from outside."

UNFINISHED = "Its session went idle without finishing an answer."


class Undecided(Enum):
    """There is no outcome yet."""

    GOES_ON = auto()
    """Something is still to come, and will tell."""
    LOOK_AGAIN = auto()
    """The runtime is to be asked for the transcript: events may be missing."""
    REFUSED = auto()
    """It stopped at a refusal that was not meant to end it, and is to be told to go on."""
    NOT_BEGUN = auto()
    """What rests is what was before; the turn that it was told to go on with is to come."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a run whose session is idle."""

    delegation: Delegation
    transcript: Transcript
    failure: RunFailed | None
    """The last error that an event has told; the transcript can lack it."""
    refusal: Refusal | None
    """What was refused last, of all that the run had asked for."""
    is_fresh: bool
    """The runtime was asked for the transcript after the session went idle."""
    is_abort_told: bool = True
    """What comes after an abort has come, or has had its time."""
    awaited: str | None = None
    """The message that told it something, if its turn was waited for already, in vain."""
    told: str = ""
    """The newest message that has told it of what it had delegated."""
    waits_for_below: bool = False
    """What it has delegated is active, or it is still to be told of that."""

    @property
    def newest_told(self) -> str | None:
        """The newest message that is to begin a turn; ids sort by time."""
        return max(self.delegation.relaunch_message or "", self.told) or None

    @property
    def is_turn_due(self) -> bool:
        """Whether it was told something, has not answered, and was given no time to begin."""
        message = self.newest_told
        if message is None or message == self.awaited:
            return False
        return not self.transcript.has_answered(message)


def found(seen: Evidence, state: RunState) -> Outcome | Sign:
    """Return what a look at the session has found, or how the run ended if no sign leads on."""
    if state.busy:
        return Sign.BUSY
    verdict = seen.transcript.verdict
    is_told = seen.failure is not None or seen.refusal is not None
    if is_told or verdict in (Verdict.FINISHED, Verdict.FAILED):
        return Sign.AT_REST
    if state.undone:
        return _cut_short(seen, Status.INTERRUPTED, UNDONE)
    if seen.delegation.resumes and not seen.transcript.messages:
        # The process before us died between storing the launch and the prompt.
        return Sign.UNBEGUN
    # Aborted and not told so: by the end of what it ran in.
    was_cut_off = seen.delegation.resumes or seen.delegation.relaunches
    return Sign.CUT_OFF if was_cut_off or verdict is Verdict.ABORTED else Sign.UNBEGUN


def judge(seen: Evidence) -> Outcome | Undecided:
    """Return how the run ended, or why that cannot be said yet."""
    match seen.transcript.verdict:
        case Verdict.FINISHED:
            return _finished(seen)
        case Verdict.ABORTED:
            return _aborted(seen)
        case Verdict.FAILED:
            errors = (one.error for one in reversed(seen.transcript.answers) if one.error)
            return _cut_short(seen, Status.FAILED, next(errors, "unknown error"))
        case Verdict.GOING_ON:
            return _without_an_answer(seen)


def _finished(seen: Evidence) -> Outcome | Undecided:
    if seen.delegation.open_steers:
        # Accepted as the run went idle: the turn that takes it up is still to come.
        return Undecided.GOES_ON if seen.is_fresh else Undecided.LOOK_AGAIN
    if seen.delegation.requests or seen.waits_for_below:
        return Undecided.GOES_ON
    if seen.told and seen.is_turn_due:
        return Undecided.NOT_BEGUN if seen.is_fresh else Undecided.LOOK_AGAIN
    return Outcome.completed(seen.transcript)


def _without_an_answer(seen: Evidence) -> Outcome | Undecided:
    if seen.failure is not None:
        if seen.failure.aborted:
            # Its message is still to come, which tells that this was the user.
            return _aborted(seen) if seen.is_abort_told else Undecided.GOES_ON
        # The only trace of an unknown model: no message was ever stored.
        return _cut_short(seen, Status.FAILED, seen.failure.message)
    if seen.delegation.open_steers:
        return Undecided.GOES_ON
    if not seen.is_fresh:
        return Undecided.LOOK_AGAIN
    if seen.refusal is not None and seen.refusal.is_ours:
        return Undecided.REFUSED
    if seen.refusal is not None:
        error = f"It ended as this was refused: {seen.refusal.text}"
        return _cut_short(seen, Status.FAILED, error)
    if seen.is_turn_due:
        return Undecided.NOT_BEGUN
    return _cut_short(seen, Status.FAILED, UNFINISHED)


def _aborted(seen: Evidence) -> Outcome | Undecided:
    # A runtime that ends aborts its sessions, too: only one that still answers was not the cause.
    return _cut_short(seen, Status.STOPPED, ABORTED) if seen.is_fresh else Undecided.LOOK_AGAIN


def _cut_short(seen: Evidence, status: Status, error: str) -> Outcome:
    return Outcome.cut_short(status, error, seen.transcript)
