"""One run, from its slot to its terminal state.

A run is an actor: everything that concerns it (runtime events, its deadline, a request to
stop) is a signal in its inbox, taken one after the other, so that races become an order.
It alone writes its delegation while it is active, and writes exactly one ending. What a signal
leads to is looked up in ``phase``; here is how it is done.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import Protocol, assert_never

import msgspec

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import (
    DelegationError,
    InvalidRequest,
    LeaseLost,
    RunElsewhere,
    RunLetGo,
    RuntimeUnreachable,
    StaleVersion,
)
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status
from background_agents.ports.runtime import (
    Busy,
    InputAsked,
    MessageChanged,
    Retrying,
    RunFailed,
    RuntimeEvent,
    StreamRestored,
    TextStreamed,
)
from background_agents.ports.storage import Change, Piece
from background_agents.service.changes.isolated import close_place, learn_place
from background_agents.service.context import Context
from background_agents.service.ownership.leases import Leaseholder
from background_agents.service.running.asking import Asking
from background_agents.service.running.below import Below
from background_agents.service.running.budget import TOLD_SHARE, Budget
from background_agents.service.running.ending import Outcome, insist, store_ending
from background_agents.service.running.findings import Findings
from background_agents.service.running.launch import (
    hand_over,
    model_of,
    session_for,
    tell_to_go_on,
    why_not_again,
)
from background_agents.service.running.messages import Messages
from background_agents.service.running.phase import FOLLOWED, TABLE, Phase, Sign, Step
from background_agents.service.running.signals import (
    FROM_BELOW,
    Asked,
    DeadlinePassed,
    Inbox,
    KeptDue,
    LookDue,
    NotifyAsked,
    RecordAsked,
    Signal,
    SlotGranted,
    SteerAsked,
    StopAsked,
    TurnOverdue,
    WeighDue,
    sign_of,
)
from background_agents.service.running.slots import Slots
from background_agents.service.running.steering import Steering
from background_agents.service.running.stopping import Stopping
from background_agents.service.running.streamed import Streamed
from background_agents.service.running.timers import TURN_LIMIT, Alarm, Deadline, Stopwatch
from background_agents.views.live import Live

log = logging.getLogger(__name__)

LOOK_PAUSE = timedelta(seconds=5)
"""Until a runtime is asked again that gave no answer within its thirty seconds."""


class Surroundings(Protocol):
    """What a run is in: asked what it cannot know, and told what becomes of it."""

    def launched(self, session: str, run: Run) -> None:
        """A session is the run's from now on."""

    def told(self, run: Run, notice: Notice) -> None:
        """A notice that is no ending was stored."""

    def recorded(self) -> None:
        """Something happened to the delegation that somebody may wait for."""

    def ended(self, run: Run, notice: Notice, result: str) -> None:
        """Its ending and the notice of it are stored."""

    def left(self, run: Run) -> None:
        """Nobody here conducts it any more; twice is once."""

    def is_conducted(self, session: str) -> bool:
        """Return whether a session has a run of its own."""

    async def lost_above(self, delegation: Delegation) -> bool:
        """Return whether the delegation above another one has ended, or is about to."""

    async def changes_of(self, delegation: Delegation) -> Changes:
        """Return the sum of what a delegation has changed, which is kept from now on."""


class Run:
    """Conducts one delegation to its end."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        slots: Slots,
        lease: Leaseholder,
        delegation: Delegation,
        below: Below,
        around: Surroundings,
    ) -> None:
        self.delegation = delegation
        self.session = delegation.session or ""
        """The child session; there is one from the launch on."""
        self.over = asyncio.Event()
        """Set once the ending and its notice are stored, or nobody here conducts it any more."""
        self.left_by: DelegationError | None = None
        """Why it is over without an ending, if it is."""
        self._context = context
        self._settings = settings
        self._slots = slots
        self._lease = lease
        self._below = below
        self._around = around
        self._phase = Phase.UNSURE if self.session else Phase.QUEUED
        self._retry: Retrying | None = None
        self._heard_at: datetime | None = None
        self._has_last_word = False
        """Most likely its agent has said it; the ending is a matter of milliseconds."""
        self._streamed = Streamed(delegation.id)
        self._inbox = Inbox(self._refuse)
        clock, tell = context.clock, partial(around.told, self)
        self._stopwatch = Stopwatch(clock, so_far=delegation.elapsed(clock.now()))
        self._turn = Alarm(clock, lambda: self.hear(TurnOverdue()))
        self._deadline = Deadline(clock, delegation.timeout, lambda: self.hear(DeadlinePassed()))
        self._messages = Messages(context, self._record, tell, self.hear)
        self._steering = Steering(context, self._record, self._deadline.open)
        self._asking = Asking(
            context, settings, self._deadline, self._record, tell, self.hear, around.is_conducted
        )
        self._findings = Findings(
            context, self._inbox, self._asking, self._steering, below, lambda: self.delegation
        )
        self._stopping = Stopping(
            context, self._record, self._inbox, self._asking, self._steering, self._findings, below
        )
        self._budget = Budget(
            context,
            self._record,
            self._steering,
            self._messages,
            self._findings,
            self.hear,
            lambda: self.delegation,
            settings.day_cost_usd * TOLD_SHARE,
        )

    @property
    def is_about_to_end(self) -> bool:
        """Whether its agent has said its last word, or its end is wanted."""
        return self._has_last_word or self.is_to_end

    @property
    def is_to_end(self) -> bool:
        """Whether its end is wanted or has come, so that nothing is to begin for it any more."""
        is_ending = self._phase in (Phase.STOPPING, Phase.ENDING, Phase.OVER)
        return is_ending or self._inbox.holds(StopAsked)

    def has_delegated(self) -> None:
        """Note that its agent has delegated something itself."""
        self._below.may_be_any = True

    def telling(self, message: str) -> None:
        """Note which message is about to tell its agent of what that had delegated."""
        self._below.told = max(self._below.told, message)

    def note_below(self, event: RuntimeEvent) -> None:
        """Take what the session of a delegation below it tells of what that uses."""
        self._budget.note(event, is_delegated=True)

    def hear(self, signal: Signal) -> None:
        """Put a signal into the inbox, and keep what it tells at once."""
        if isinstance(signal, RuntimeEvent) and signal.session:
            if not (isinstance(signal, MessageChanged) and signal.message.role == "user"):
                self._heard_at = self._context.clock.now()
            if signal.session != self.session:
                self._budget.note(signal)
                if not isinstance(signal, FROM_BELOW):
                    return
        match signal:
            case TextStreamed():
                self._streamed.has_grown = True
                self._has_last_word = signal.whole
                return  # the transcript has the rest
            case MessageChanged() if signal.message.role == "assistant":
                self._has_last_word = self._has_last_word or signal.message.finished
            case Retrying():
                self._retry = signal
                return
            case Busy():
                self._retry = None
            case _:
                pass
        self._inbox.put(signal)

    async def look(self) -> Live:
        """Return what is known of the run now; nobody is asked."""
        transcript = await self._findings.transcript()
        return Live(
            delegation=self.timed(usage=self._budget.usage(transcript), models=transcript.models),
            transcript=transcript,
            time_left=self._deadline.left,
            place=self._slots.position(self.delegation.id),
            heard_at=self._heard_at,
            retry=self._retry,
            now=self._context.clock.now(),
        )

    async def cost(self) -> float:
        """Return what the run has cost by now, in US dollars, as far as prices are known."""
        return self._budget.usage(await self._findings.transcript()).cost_usd

    def timed(self, **facts: object) -> Delegation:
        """Return the delegation with how long it has run by now, and what else is known."""
        if self.delegation.is_terminal:
            return self.delegation
        ran_for = self._stopwatch.elapsed
        return msgspec.structs.replace(self.delegation, ran_for=ran_for, **facts)

    def unsaved(self) -> Piece | None:
        """Return what was streamed since this was asked last, of a message that goes on."""
        if not self._streamed.has_grown:
            return None
        self._streamed.has_grown = False
        message = self._context.runtime.being_written(self.session)
        return self._streamed.grown_to(message.id, message.text) if message else None

    async def work(self) -> None:
        """Bring the delegation to its end and store that, unless another process does.

        However it leaves, whoever waits for it is answered, and nothing of it stays behind.
        """
        why: DelegationError = RunLetGo(self.delegation.id)
        try:
            await self._end(await self._conduct())
        except (LeaseLost, StaleVersion) as error:
            log.warning("%s is left alone: %s", self.delegation.id, error)
            why = RunElsewhere(self.delegation.id)
        except Exception:
            log.exception("%s is let go of, and taken up again", self.delegation.id)
        finally:
            self.leave(why)

    def leave(self, why: DelegationError) -> None:
        """Conduct it no longer; ``why`` is for those who still wait. Twice is once."""
        if not self.over.is_set():
            self.left_by = why
            self._move(Sign.LEFT)
            self._close()
            self.over.set()
        self._around.left(self)

    async def _conduct(self) -> Outcome:
        if (by := self.delegation.stop_requested_by) is not None:
            # It was asked for when the process before us ended.
            self.hear(StopAsked(by, self.delegation.stop_reason))
        try:
            await self._begin()
            while (outcome := await self._take(await self._inbox.get())) is None:
                pass
            return outcome
        except (LeaseLost, StaleVersion):
            raise
        except Exception as error:
            return await self._stopping.give_up(self.delegation, self.session, error)

    async def _begin(self) -> None:
        """Ask for a slot, or take up what another process has begun."""
        name, model = self.delegation.id, await model_of(self._context, self.delegation)
        above = self.delegation.above
        if await insist(self._context, name, lambda: self._around.lost_above(self.delegation)):
            self.hear(StopAsked(Actor.END_ABOVE))
        if not self.session:
            self._slots.ask(name, lambda: self.hear(SlotGranted()), model, above)
            return
        await learn_place(self._context, self.delegation)
        # It already runs, whatever the limit says.
        self._slots.take(name, model, above)
        self._around.launched(self.session, self)
        self._budget.begin(self.session)
        kept = await insist(self._context, name, lambda: self._context.store.kept(name))
        self._findings.kept = kept
        self.hear(StreamRestored(""))
        self._count_time()

    def _count_time(self) -> None:
        """Begin to count, or go on with, whatever there is a time for."""
        self._deadline.open(used=self.delegation.window_used(self._context.clock.now()))
        self._asking.resume(self.delegation)
        self._messages.resume(self.delegation)

    async def _make_sure_it_is_ours(self) -> None:
        owner = self.delegation.owner
        await insist(self._context, self.delegation.id, lambda: self._lease.make_sure(owner))

    async def _take(self, signal: Signal) -> Outcome | None:
        """Do what a signal leads to, if the delegation is still ours; return how it ended, or None.

        What a step comes to leads on in the same way.
        """
        await self._make_sure_it_is_ours()
        if self._is_stale(signal):
            return None
        if isinstance(signal, RunFailed | StreamRestored):
            self._findings.note(signal)
        came: Outcome | Sign | None = sign_of(signal, self.session)
        try:
            while isinstance(came, Sign):
                came = await self._carry_out(self._move(came), signal)
        except RuntimeUnreachable as error:
            if self._phase not in FOLLOWED:
                raise  # neither a launch nor a wish for the end is put off
            # A runtime that does not answer once ends no run; one that comes back tells.
            log.info("%s could not be looked at: %s", self.delegation.id, error)
            self._context.clock.call_later(LOOK_PAUSE, lambda: self.hear(LookDue()))
            return None
        return None if came is not None and await self._reopened(came) else came

    def _is_stale(self, signal: Signal) -> bool:
        """Return whether a time is over that is counted anew, or no more."""
        if isinstance(signal, DeadlinePassed):
            return not self._deadline.is_over
        return isinstance(signal, TurnOverdue) and not self._turn.is_over

    def _move(self, sign: Sign) -> Step:
        self._phase, step = TABLE[self._phase][sign]
        if self._phase is not Phase.PROMPTED:
            self._turn.clear()
        return step

    async def _carry_out(self, step: Step, signal: Signal) -> Outcome | Sign | None:
        """Do a step; return how the run ended, or what that came to."""
        match step:
            case Step.REFUSE if isinstance(signal, Asked):
                self._refuse(signal)
            case Step.DEAL:
                return await self._deal_with(signal)
            case Step.RECORD if isinstance(signal, RecordAsked):
                await self._store(signal)
            case Step.LAUNCH:
                return await self._launch()
            case Step.AWAIT_TURN:
                self._turn.set(TURN_LIMIT)
            case Step.LOOK:
                return await self._look_again()
            case Step.JUDGE:
                self._has_last_word = False  # unless that is what is found
                return await self._findings.judge(self.session)
            case Step.HAND_OVER:
                await hand_over(self._context, self.delegation)
                return Sign.ACCEPTED
            case Step.RELAUNCH:
                return await self._relaunch()
            case Step.NUDGE:
                await self._asking.go_on(self.delegation)
            case Step.STOP:
                return await self._stopping.end(self.delegation, signal)
            case Step.WRITE_OFF:
                return await self._stopping.write_off(self.delegation, signal)
            case Step.IGNORE | Step.REFUSE | Step.RECORD:
                pass
            case _:
                assert_never(step)
        return None

    async def _reopened(self, outcome: Outcome) -> bool:
        """Take up instructions that came while the run was judged; return whether any was taken.

        One whose end is wanted takes none.
        """
        if outcome.status is not Status.COMPLETED or self._phase is Phase.STOPPING:
            return False
        while (steer := self._inbox.take(SteerAsked)) is not None:
            await self._steering.send(self.delegation, steer)
        return bool(self.delegation.open_steers)

    async def _launch(self) -> Sign:
        """Give the prompt to a new child session, or to the one that it goes on in."""
        # Set first: its events are ours, also those that come before the prompt's answer.
        self.session = await session_for(self._context, self._settings, self.delegation)
        self._around.launched(self.session, self)
        self._budget.begin(self.session)
        message = self._context.mint("msg")
        now = self._context.clock.now()
        await self._record(ev.Launched(at=now, session=self.session, message=message))
        self._stopwatch.start_anew()
        await hand_over(self._context, self.delegation)
        self._count_time()
        return Sign.ACCEPTED

    async def _look_again(self) -> Outcome | Sign:
        """Ask how its session is, and what those below have used."""
        came = await self._findings.look(self.session)
        if came is not Sign.DELETED:
            await self._budget.look(self.session)
            await self._budget.weigh()
        return came

    async def refused_tool(self, session: str, answer: str) -> str | None:
        """Say why a tool is not to run that an ``answer`` calls, in its session or below."""
        return await self._budget.refusal(session, answer)

    async def _relaunch(self) -> Outcome | Sign:
        """Tell a run to go on that was cut off with its process, if it may."""
        refused = why_not_again(self.delegation, self._settings)
        if refused is not None:
            return await self._stopping.cut_short(self.delegation, Status.INTERRUPTED, refused)
        transcript = await self._findings.transcript()
        if (used_up := self._budget.used_up(transcript)) is not None:
            return await self._stopping.cut_short(self.delegation, Status.STOPPED, used_up)
        message = self.delegation.relaunch_message
        if message is None or transcript.has_answered(message):
            message = self._context.mint("msg")
            await self._record(ev.Relaunched(at=self._context.clock.now(), message=message))
            self._deadline.open()
        await tell_to_go_on(self._context, self.delegation, message, transcript)
        return Sign.ACCEPTED

    async def _deal_with(self, signal: Signal) -> Sign | None:
        match signal:
            case SteerAsked():
                await self._steering.send(self.delegation, signal)
            case NotifyAsked():
                await self._messages.say(self.delegation, signal)
            case KeptDue():
                await self._messages.tell_kept(self.delegation)
            case MessageChanged():
                self._asking.heard(signal.message)
                await self._steering.confirm(self.delegation, [signal.message])
                await self._budget.weigh()
            case WeighDue():
                await self._budget.weigh()
            case InputAsked():
                await self._asking.asked(self.timed(), signal.ask)
            case _:
                await self._asking.settle(self.delegation, signal)
                return None if self.delegation.requests else Sign.SETTLED
        return None

    async def _store(self, asked: RecordAsked) -> None:
        """Store what somebody wants; the time window is as long from then on as that says."""
        try:
            event = asked.event(self.delegation, self._context.clock.now())
        except InvalidRequest as error:
            asked.refuse(error)
            return
        asked.accept(await self._record(event))
        self._deadline.set(self.delegation.timeout)

    async def _end(self, outcome: Outcome) -> None:
        """Store how it ended, and take back what it has asked for."""
        self._move(Sign.ENDED)
        self._close()
        left_open = self.delegation.requests
        if self.session:
            await self._below.end(self.session)
        # The ending is stored even while the service closes.
        finishing = asyncio.create_task(self._finish(outcome))
        try:
            await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await finishing
            raise
        await self._asking.dismiss(left_open)
        if outcome.status is not Status.COMPLETED and self.session:
            await self._asking.dismiss_unheard(self.session)
        await close_place(self._context, self.delegation)

    def _refuse(self, asked: Asked) -> None:
        status = self.delegation.status if self._phase is Phase.QUEUED else "ending"
        asked.refuse(self.left_by or asked.too_late(self.delegation.id, status))

    def _close(self) -> None:
        """Take nothing more, give back the slot, and forget the timers; twice is once."""
        self._inbox.close()
        self._asking.close()
        self._messages.close()
        self._findings.close()
        self._budget.close()
        self._deadline.close()
        self._turn.clear()
        self._slots.release(self.delegation.id)

    async def _finish(self, outcome: Outcome) -> None:
        changes = await self._around.changes_of(self.delegation)
        await self._make_sure_it_is_ours()
        self.delegation, notice = await store_ending(
            self._context,
            self.delegation,
            self._budget.final(outcome),
            self._stopwatch.elapsed,
            changes,
        )
        self._move(Sign.LEFT)
        self.over.set()
        self._around.ended(self, notice, outcome.text)

    async def _record(self, *events: ev.Event, notices: tuple[Notice, ...] = ()) -> Delegation:
        after = reduce(apply, events, self.delegation)
        change = Change(after=after, events=events, notices=notices)
        await insist(self._context, after.id, lambda: self._context.store.commit(change))
        self.delegation = after
        self._around.recorded()
        return after
