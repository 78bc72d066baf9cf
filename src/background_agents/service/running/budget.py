"""What one run and all that is below it use, and what happens as that nears its limits.

At four fifths the agent is told to finish. At the whole its tools are refused: it has one more
answer, and is stopped if that wants a tool again. Whoever makes the same call over and over is told
so, and ended. Who calls a tool is asked about here before it runs; all else is heard of by events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RuntimeRefused, RuntimeUnreachable, TooTalkative
from background_agents.domain.limits import WARNED_AT, Reached, Share, nearest
from background_agents.domain.loops import ENDED_AT, TOLD_AT, newest_loop
from background_agents.domain.status import Status
from background_agents.domain.transcript import Transcript, total
from background_agents.ports.runtime import Busy, MessageChanged, RuntimeEvent
from background_agents.service.context import Context, Record
from background_agents.service.running.ending import Outcome
from background_agents.service.running.findings import Findings
from background_agents.service.running.messages import Messages
from background_agents.service.running.signals import Signal, StopAsked, WeighDue
from background_agents.service.running.steering import Steering
from background_agents.views import limits as words

log = logging.getLogger(__name__)

TOLD_SHARE = 0.01
"""Of a day's limit: what other processes may not know yet of the cost of a run."""


class Budget:
    """The budget of one run, whose delegation ``now`` returns as it is by then."""

    def __init__(
        self,
        context: Context,
        record: Record,
        steering: Steering,
        messages: Messages,
        findings: Findings,
        hear: Callable[[Signal], None],
        now: Callable[[], Delegation],
        tell_each_usd: float,
    ) -> None:
        """``tell_each_usd`` is after how many dollars more other processes are told; 0 = never."""
        self._context = context
        self._record = record
        self._steering = steering
        self._messages = messages
        self._findings = findings
        self._hear = hear
        self._now = now
        self._tell_each_usd = tell_each_usd
        self._below: dict[str, dict[str, ev.Usage]] = {}
        """What each answer has used, by its session and its id."""
        self._delegated: set[str] = set()
        """Sessions of delegations below: they count for the limits, and are told by themselves."""
        self._early: set[str] = set()
        """Answers of the run's own session that a tool call has told of, before their event."""
        self._reached = now().reached
        self._turns_at: dict[str, int] = {}
        """How many answers each session had begun when the limit was reached."""
        self._was_told_of_loops = any(steer.by == Actor.LOOP for steer in now().steers)
        self._loop_told: str | None = None
        """The message that began the loop that was told of last."""
        self._is_cut = False
        """A tool was refused."""
        self._is_ending = False
        """The run's end was asked for, here."""
        self._over = asyncio.Event()
        self._guarded: set[str] = set()

    # --- what is used ----------------------------------------------------------------

    def note(self, event: RuntimeEvent, *, is_delegated: bool = False) -> None:
        """Take what a session below tells, at once: a tool may be asked about next."""
        if is_delegated:
            self._delegated.add(event.session)
        if isinstance(event, Busy):
            self.begin(event.session)
        if isinstance(event, MessageChanged) and event.message.role == "assistant":
            self._below.setdefault(event.session, {})[event.message.id] = event.message.used
            self._hear(WeighDue())

    def usage(self, transcript: Transcript) -> ev.Usage:
        """Return what the run has used by now, with all that is below it."""
        early = self._early - {one.id for one in transcript.answers}
        return self._with_below(total((transcript.usage, ev.Usage(turns=len(early)))))

    def final(self, outcome: Outcome) -> Outcome:
        """Return how the run ended, with all that it has used."""
        usage = self._with_below(outcome.usage)
        if outcome.status is Status.COMPLETED and self._is_cut and self._reached is not None:
            return replace(outcome, usage=usage, cut=self._reached.what)
        return replace(outcome, usage=usage)

    def _with_below(self, usage: ev.Usage) -> ev.Usage:
        return total((usage, *self._used_below(are_delegated=False)))

    def _share(self, usage: ev.Usage) -> Share | None:
        """Return how much of its nearest limit the run and the whole tree below it have used."""
        whole = total((usage, *self._used_below(are_delegated=True)))
        return nearest(self._now().limits, whole)

    def _used_below(self, *, are_delegated: bool) -> Iterator[ev.Usage]:
        for session, answers in self._below.items():
            if (session in self._delegated) == are_delegated:
                yield from answers.values()

    async def look(self, session: str) -> None:
        """Ask for what the sessions below have used: events may have been lost."""
        begun = self._now().prompt_message or ""
        try:
            below = await self._context.runtime.below(session)
            for one in below:
                if await self._context.store.with_session(one) is not None:
                    self._delegated.add(one)
            for one in below:
                found = await self._look_at(one)
                # Those of before are another delegation's, in whose session this one goes on.
                self._below[one] = {said.id: said.used for said in found.answers if said.id > begun}
                self.begin(one)
                if self._reached is not None:
                    self._turns_at.setdefault(one, len(self._below[one]))
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("what is used below %s is not known: %s", session, error)

    async def _look_at(self, session: str) -> Transcript:
        above = self._delegated.intersection(self._context.runtime.ancestors(session))
        if above:
            self._delegated.add(session)
        found = await self._context.runtime.transcript(session, refresh=True)
        if not above:  # else another run may follow it
            self._context.runtime.release(session)
        return found

    # --- where that leads ------------------------------------------------------------

    def begin(self, session: str) -> None:
        """Have whoever runs the tools of a session ask here first, if anything is limited."""
        if self._now().limits.is_any:
            self._guard(session)

    def close(self) -> None:
        """Refuse nothing any more."""
        self._over.set()
        for session in self._guarded:
            self._context.runtime.guard(session, on=False)
        self._guarded.clear()

    async def weigh(self) -> None:
        """Do what is due by what was used so far, and by what was called."""
        transcript = await self._findings.transcript()
        if self._now().session is None or self._is_ending:
            return
        await self._mind_loop(transcript)
        used = self.usage(transcript)
        await self._tell_others(used)
        share = self._share(used)
        if share is not None and share.used >= 1:
            self._reach(share, transcript)
        if self._reached is not None:
            await self._record_reached(self._reached)
            if self._has_had_its_answer(transcript):
                self._stop(Actor.LIMIT, words.stopped(self._reached))
        elif share is not None and share.used >= WARNED_AT and _goes_on(transcript):
            await self._warn(share)

    def used_up(self, transcript: Transcript) -> str | None:
        """Say in one line why the run has no further answer, where it has begun its last one."""
        own = self._now().session or ""
        if self._reached is None or self._begun(own, transcript) <= self._allowed(own):
            return None
        return words.stopped(self._reached)

    async def refusal(self, session: str, answer: str) -> str | None:
        """Say why a session's tool is not to run; None if it is.

        ``answer`` is the message that calls it, where the runtime tells: its event may be late.
        Where that was the last answer, this returns when the run has ended.
        """
        transcript = await self._findings.transcript()
        self._note_early(session, answer)
        loop = newest_loop(transcript)
        if loop is not None and loop.times >= ENDED_AT:
            self._stop(Actor.LOOP, words.looped(loop))
        share = self._share(self.usage(transcript))
        if share is not None and share.used >= 1:
            self._reach(share, transcript)
        if self._reached is None:
            if self._is_ending:
                await self._over.wait()
                return words.ENDING
            return None
        if self._begun(session, transcript) > self._allowed(session):
            self._stop(Actor.LIMIT, words.stopped(self._reached))
        if self._is_ending:
            await self._over.wait()
        self._is_cut = True
        return words.refused(self._reached)

    # --- what comes of it --------------------------------------------------------------

    def _guard(self, session: str) -> None:
        if session not in self._guarded and not self._over.is_set():
            self._guarded.add(session)
            self._context.runtime.guard(session, on=True)

    def _note_early(self, session: str, answer: str) -> None:
        if not answer:
            return
        if session == self._now().session:
            self._early.add(answer)
        else:
            self._below.setdefault(session, {}).setdefault(answer, ev.Usage(turns=1))

    def _begun(self, session: str, transcript: Transcript) -> int:
        """Return how many answers a session has begun in this run."""
        if session != self._now().session:
            return len(self._below.get(session, ()))
        return len(self._early | {one.id for one in transcript.answers})

    def _allowed(self, session: str) -> int:
        """Return how many it had begun when the limit was reached; one more is its last."""
        own = self._reached.turns if self._reached and session == self._now().session else 0
        return self._turns_at.get(session, own)

    def _reach(self, share: Share, transcript: Transcript) -> None:
        if self._reached is not None:
            return
        own = self._now().session or ""
        self._turns_at = {one: self._begun(one, transcript) for one in (own, *self._below)}
        self._reached = Reached(share.what, self._turns_at[own])
        for session in self._turns_at:
            self._guard(session)

    async def _record_reached(self, reached: Reached) -> None:
        if self._now().reached is None:
            at = self._context.clock.now()
            await self._record(ev.LimitReached(at=at, reached=reached))

    def _has_had_its_answer(self, transcript: Transcript) -> bool:
        """Whether some session has gone on after its last answer, or will."""
        newest = transcript.answers[-1:]
        if self.used_up(transcript) and any(one.goes_on and one.has_its_answers for one in newest):
            return True
        sessions = (self._now().session or "", *self._below)
        return any(self._begun(one, transcript) > self._allowed(one) + 1 for one in sessions)

    def _stop(self, by: Actor, why: str) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._hear(StopAsked(by, why))

    async def _tell_others(self, used: ev.Usage) -> None:
        """Store what is used, now and then: they count it for the day."""
        more = used.cost_usd - self._now().usage.cost_usd
        if 0 < self._tell_each_usd <= more:
            await self._record(ev.Progressed(at=self._context.clock.now(), usage=used))

    async def _warn(self, share: Share) -> None:
        if not any(steer.by == Actor.LIMIT for steer in self._now().steers):
            await self._tell(Actor.LIMIT, words.finish_now(share))

    async def _mind_loop(self, transcript: Transcript) -> None:
        loop = newest_loop(transcript)
        if loop is None or loop.times < TOLD_AT:
            return
        self._guard(self._now().session or "")
        if loop.times >= ENDED_AT:
            self._stop(Actor.LOOP, words.looped(loop))
            return
        if self._was_told_of_loops:  # by the process before us
            self._was_told_of_loops, self._loop_told = False, loop.since
        if self._loop_told != loop.since and _goes_on(transcript):
            self._loop_told = loop.since
            await self._tell(Actor.LOOP, words.do_something_else(loop))
            with suppress(TooTalkative):
                await self._messages.tell(self._now(), words.it_loops(loop))

    async def _tell(self, by: Actor, text: str) -> None:
        try:
            await self._steering.put(self._now(), text, by)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("%s was not told %r: %s", self._now().id, text, error)


def _goes_on(transcript: Transcript) -> bool:
    """Whether the newest answer is not the last: what is told now begins no turn of its own."""
    return any(one.goes_on for one in transcript.answers[-1:])
