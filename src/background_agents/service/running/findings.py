"""What is found out of a run: by asking how its session is, and on evidence once that rests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotFound
from background_agents.domain.transcript import Transcript
from background_agents.ports.runtime import RunFailed, StreamRestored
from background_agents.service.context import Context
from background_agents.service.running.asking import Asking
from background_agents.service.running.below import Below
from background_agents.service.running.completion import Evidence, Undecided, found, judge
from background_agents.service.running.ending import Outcome
from background_agents.service.running.phase import Sign
from background_agents.service.running.signals import Inbox, LookDue
from background_agents.service.running.steering import Steering
from background_agents.service.running.timers import ABORT_LIMIT, Alarm


class Findings:
    """Finds out how one run stands, whose delegation ``now`` returns as it is by then."""

    def __init__(
        self,
        context: Context,
        inbox: Inbox,
        asking: Asking,
        steering: Steering,
        below: Below,
        now: Callable[[], Delegation],
    ) -> None:
        self.kept: Mapping[str, str] = {}
        """What the process before us had kept of texts that may not be stored."""
        self._context = context
        self._inbox = inbox
        self._now = now
        self._asking = asking
        self._steering = steering
        self._below = below
        self._failure: RunFailed | None = None
        """The last error that was told of."""
        self._awaited: str | None = None
        """The message that was to begin a turn, where that was waited for."""
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
        came = found(await self._evidence(transcript, is_fresh=True), state)
        if isinstance(came, Outcome):
            await self._steering.confirm(self._now(), transcript.answers)
        return came

    async def judge(self, session: str) -> Outcome | Sign | None:
        """Return how a run has ended whose session is idle, or what else came of it; or None."""
        await self._asking.forget(self._now(), session)
        for is_fresh in (False, True):
            try:
                transcript = await self.transcript(refresh=is_fresh)
            except NotFound:
                return Sign.DELETED  # it was interrupted first
            if is_fresh and not await self._still_rests(session):
                break
            await self._steering.confirm(self._now(), transcript.answers)
            evidence = await self._evidence(transcript, is_fresh=is_fresh)
            came = judge(evidence)
            if isinstance(came, Outcome):
                return came
            if came is Undecided.NOT_BEGUN:
                self._awaited = evidence.newest_told
                return Sign.ACCEPTED
            if came is not Undecided.LOOK_AGAIN:
                return Sign.DENIED if came is Undecided.REFUSED else None
        return None

    async def _evidence(self, transcript: Transcript, *, is_fresh: bool) -> Evidence:
        delegation = self._now()
        return Evidence(
            delegation,
            transcript,
            self._failure,
            self._asking.refusal,
            is_fresh,
            is_abort_told=not self._abort.is_set,
            awaited=self._awaited,
            told=self._below.told,
            waits_for_below=await self._below.is_awaited(delegation.session or ""),
        )

    async def _still_rests(self, session: str) -> bool:
        """Ask whether the session rests, in a runtime that has neither ended nor begun anew."""
        state = await self._context.runtime.state(session)
        return not state.busy and not self._inbox.holds(StreamRestored)
