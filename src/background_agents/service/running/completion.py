"""Whether a run is over now that its session is idle, and how it ended: on evidence alone.

That a session is idle does not end a run by itself: an instruction may have been accepted in that
moment, or something below may still ask. ``judge`` and ``found`` are pure functions of what is
known; ``Findings`` gets to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from background_agents.domain.delegation import Delegation
from background_agents.domain.status import Status
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import RunFailed, RunState, StreamRestored
from background_agents.service.context import Context
from background_agents.service.running.asking import Asking, Refusal
from background_agents.service.running.ending import Outcome
from background_agents.service.running.launch import UNDONE
from background_agents.service.running.phase import Sign
from background_agents.service.running.signals import Inbox, LookDue
from background_agents.service.running.steering import Steering
from background_agents.service.running.timers import ABORT_LIMIT, Alarm

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
    if seen.delegation.requests:
        return Undecided.GOES_ON
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
    return _cut_short(seen, Status.FAILED, UNFINISHED)


def _aborted(seen: Evidence) -> Outcome | Undecided:
    # A runtime that ends aborts its sessions, too: only one that still answers was not the cause.
    return _cut_short(seen, Status.STOPPED, ABORTED) if seen.is_fresh else Undecided.LOOK_AGAIN


def _cut_short(seen: Evidence, status: Status, error: str) -> Outcome:
    return Outcome.cut_short(status, error, seen.transcript)


class Findings:
    """Finds out how one run stands, whose delegation ``now`` returns as it is by then."""

    def __init__(
        self,
        context: Context,
        inbox: Inbox,
        asking: Asking,
        steering: Steering,
        now: Callable[[], Delegation],
    ) -> None:
        self.kept: Mapping[str, str] = {}
        """What the process before us had kept of texts that may not be stored."""
        self._context = context
        self._inbox = inbox
        self._now = now
        self._asking = asking
        self._steering = steering
        self._failure: RunFailed | None = None
        """The last error that was told of."""
        self._abort = Alarm(context.clock, lambda: inbox.put(LookDue()))
        """Set while what comes after an abort has neither come nor had its time."""

    def close(self) -> None:
        """Nothing will be due."""
        self._abort.clear()

    def note(self, told: RunFailed | StreamRestored) -> None:
        """Keep what was told of an error, or that an abort may have been no user's."""
        if isinstance(told, RunFailed):
            self._failure = told
            self._abort.set(ABORT_LIMIT) if told.aborted else self._abort.clear()
        elif self._failure is not None and self._failure.aborted:
            # It may have been aborted by what ended there.
            self._failure = None
            self._abort.clear()

    async def transcript(self, *, refresh: bool = False) -> Transcript:
        """Return the messages of the run; with ``refresh`` its runtime is asked for them."""
        delegation = self._now()
        if delegation.session is None:
            return Transcript()
        known = await self._context.runtime.transcript(delegation.session, refresh=refresh)
        whole = known.completed_by(self.kept)
        begun = delegation.prompt_message
        if delegation.continued_from and all(one.id != begun for one in whole.messages):
            return Transcript()  # all that is there was there before
        return whole.since(begun)

    async def look(self, session: str) -> Outcome | Sign:
        """Ask the runtime, since events may have been lost."""
        state = await self._context.runtime.state(session)
        if not state.exists:
            return Sign.DELETED
        transcript = await self.transcript(refresh=True)
        for message in transcript.answers[-1:]:
            self._asking.heard(message)
        await self._asking.reconcile(self._now(), session)
        came = found(self._evidence(transcript, is_fresh=True), state)
        if isinstance(came, Outcome):
            await self._steering.confirm(self._now(), transcript.answers)
        return came

    async def judge(self, session: str) -> Outcome | Sign | None:
        """Return how a run has ended whose session is idle, or what else came of it; or None."""
        await self._asking.forget(self._now(), session)
        for is_fresh in (False, True):
            transcript = await self.transcript(refresh=is_fresh)
            if is_fresh and not await self._still_rests(session):
                break
            await self._steering.confirm(self._now(), transcript.answers)
            came = judge(self._evidence(transcript, is_fresh=is_fresh))
            if isinstance(came, Outcome):
                return came
            if came is not Undecided.LOOK_AGAIN:
                return Sign.DENIED if came is Undecided.REFUSED else None
        return None

    def _evidence(self, transcript: Transcript, *, is_fresh: bool) -> Evidence:
        refusal, is_abort_told = self._asking.refusal, not self._abort.is_set
        return Evidence(self._now(), transcript, self._failure, refusal, is_fresh, is_abort_told)

    async def _still_rests(self, session: str) -> bool:
        """Ask whether the session rests, in a runtime that has neither ended nor begun anew."""
        state = await self._context.runtime.state(session)
        return not state.busy and not self._inbox.holds(StreamRestored)
