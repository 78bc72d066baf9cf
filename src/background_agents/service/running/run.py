"""One run, from its slot to its terminal state.

A run is an actor: everything that concerns it (runtime events, its deadline, a request to
stop) is a signal in its inbox, taken one after the other, so that races become an order.
It alone writes its delegation while it is active, and writes exactly one ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import reduce

import msgspec

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import (
    DelegationError,
    LeaseLost,
    NotPermitted,
    RunElsewhere,
    RunLetGo,
    RuntimeRefused,
    RuntimeUnreachable,
    StaleVersion,
)
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status
from background_agents.domain.text import span
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import (
    Busy,
    Idle,
    InputAsked,
    InputSettled,
    MessageChanged,
    Retrying,
    RunFailed,
    RuntimeEvent,
    SessionDeleted,
    StreamRestored,
    TextStreamed,
)
from background_agents.ports.storage import Change, Piece
from background_agents.service.context import Context
from background_agents.service.ownership.leases import Leaseholder
from background_agents.service.running.asking import Asking
from background_agents.service.running.completion import Evidence, Undecided, judge
from background_agents.service.running.ending import Outcome, insist, store_ending
from background_agents.service.running.launch import (
    UNDONE,
    hand_over,
    model_of,
    session_for,
    tell_to_go_on,
    why_not_again,
)
from background_agents.service.running.messages import Messages
from background_agents.service.running.signals import (
    AbortOverdue,
    AnswerAsked,
    AnswerDue,
    Asked,
    DeadlinePassed,
    Inbox,
    KeptDue,
    LookDue,
    NotifyAsked,
    Signal,
    SlotGranted,
    SteerAsked,
    StopAsked,
    TurnOverdue,
)
from background_agents.service.running.slots import Slots
from background_agents.service.running.steering import Steering
from background_agents.service.running.stopping import Stopping
from background_agents.service.running.streamed import Streamed
from background_agents.service.running.timers import AwaitedTurn, Deadline, Stopwatch
from background_agents.views import errors
from background_agents.views.live import Live
from background_agents.views.model import why_stopped

log = logging.getLogger(__name__)

LOOK_PAUSE = timedelta(seconds=5)
"""Until a runtime is asked again that gave no answer within its thirty seconds."""

ABORT_LIMIT = timedelta(seconds=2)
"""After an abort by a user OpenCode tells of the aborted message within 0.25 s, and of nothing
where none was being written. When its own end was the cause, it is gone after 0.01 s, or 0.1 s on
a machine that is overloaded."""

FROM_BELOW = InputAsked | InputSettled | Idle | SessionDeleted
"""What matters of the sessions below: what they wait for, and that they do so no longer."""


class Run:
    """Conducts one delegation to its end."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        slots: Slots,
        lease: Leaseholder,
        delegation: Delegation,
        *,
        launched: Callable[[str, Run], None],
        ended: Callable[[Run, Notice, str], None],
        left: Callable[[Run], None],
        told: Callable[[Run, Notice], None],
    ) -> None:
        self.delegation = delegation
        self.session = delegation.session or ""
        """The child session; there is one from the launch on."""
        self.over = asyncio.Event()
        """Set once the ending and its notice are stored, or nobody here conducts it any more."""
        self.left_by: DelegationError | None = None
        """Why it is over without an ending, if it is."""
        self.is_ending = False
        """The agent has said its last word; the ending is a matter of milliseconds."""
        self.is_stopping = False
        """Somebody has asked for its end."""
        self._context = context
        self._slots = slots
        self._lease = lease
        self._launched = launched
        self._ended = ended
        self._left = left
        self._inbox = Inbox(self._refuse)
        self._deadline = Deadline(
            context.clock, delegation.timeout, lambda: self.hear(DeadlinePassed())
        )
        self._turn = AwaitedTurn(context.clock, lambda: self.hear(TurnOverdue()))
        self._stopwatch = Stopwatch(context.clock, so_far=delegation.elapsed(context.clock.now()))
        self._steering = Steering(context, self._record, self._deadline.open)
        self._asking = Asking(
            context,
            settings,
            self._deadline,
            self._record,
            tell=lambda notice: told(self, notice),
            due=self.hear,
        )
        self._messages = Messages(
            context, self._record, tell=lambda notice: told(self, notice), due=self.hear
        )
        self._stopping = Stopping(context, self._inbox, self._transcript, self._refuse)
        self._seen_busy = False
        self._rests = False
        self._failure: RunFailed | None = None
        self._is_abort_told = True
        """What comes after an abort has come, or has had its time."""
        self._retry: Retrying | None = None
        self._heard_at: datetime | None = None
        self._settings = settings
        self._streamed = Streamed(delegation.id)
        self._has_streamed = False
        self._kept: Mapping[str, str] = {}
        """What the process before us had kept of texts that may not be stored."""

    def hear(self, signal: Signal) -> None:
        """Put a signal into the inbox."""
        if isinstance(signal, RuntimeEvent) and signal.session:
            if not (isinstance(signal, MessageChanged) and signal.message.role == "user"):
                self._heard_at = self._context.clock.now()
            if signal.session != self.session and not isinstance(signal, FROM_BELOW):
                return
        if isinstance(signal, TextStreamed):
            self._has_streamed = True
            self.is_ending = signal.whole
            return  # the transcript has the rest
        if isinstance(signal, MessageChanged) and signal.message.role == "assistant":
            self.is_ending = self.is_ending or signal.message.finished
        self.is_stopping = self.is_stopping or isinstance(signal, StopAsked)
        self._inbox.put(signal)

    async def look(self) -> Live:
        """Return what is known of the run now; nobody is asked."""
        transcript = Transcript() if self.delegation.session is None else await self._transcript()
        return Live(
            delegation=self.timed(usage=transcript.usage, models=transcript.models),
            transcript=transcript,
            time_left=self._deadline.left,
            place=self._slots.position(self.delegation.id),
            heard_at=self._heard_at,
            retry=self._retry,
            now=self._context.clock.now(),
        )

    def timed(self, **facts: object) -> Delegation:
        """Return the delegation with how long it has run by now, and what else is known."""
        if self.delegation.is_terminal:
            return self.delegation
        ran_for = self._stopwatch.elapsed
        return msgspec.structs.replace(self.delegation, ran_for=ran_for, **facts)

    def unsaved(self) -> Piece | None:
        """Return what was streamed since this was asked last, of a message that goes on."""
        if not self._has_streamed:
            return None
        self._has_streamed = False
        message = self._context.runtime.being_written(self.session)
        return self._streamed.grown_to(message.id, message.text) if message else None

    async def work(self) -> None:
        """Bring the delegation to its end and store that, unless another process does.

        However it leaves, whoever waits for it is answered, and nothing of it stays behind.
        """
        why: DelegationError = RunLetGo(self.delegation.id)
        try:
            await self._work()
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
            self._close()
            self.over.set()
        self._left(self)

    async def _work(self) -> None:
        try:
            outcome = await self._conduct()
        except (LeaseLost, StaleVersion):
            raise
        except Exception as error:
            # Also while a failure was dealt with: without an ending it would be active for ever.
            log.exception("%s: ending it failed", self.delegation.id)
            outcome = Outcome(Status.FAILED, error=f"Internal error: {type(error).__name__}.")
        self._close()
        self.is_ending = True
        left_open = self.delegation.requests
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

    # --- from the slot to the outcome --------------------------------------

    async def _conduct(self) -> Outcome:
        if (by := self.delegation.stop_requested_by) is not None:
            # It was asked for when the process before us ended.
            self.hear(StopAsked(by))
        try:
            if not self.session:
                early = await self._wait_for_slot()
                if early is not None:
                    return early
                await self._launch()
            else:
                # Taken over: its session already runs, whatever the limit says.
                self._slots.take(self.delegation.id, await model_of(self._context, self.delegation))
                self._launched(self.session, self)
                name = self.delegation.id
                self._kept = await insist(
                    self._context, name, lambda: self._context.store.kept(name)
                )
                self.hear(StreamRestored(""))
            return await self._follow()
        except (LeaseLost, StaleVersion):
            raise
        except (RuntimeRefused, NotPermitted) as error:
            if self.session:
                # An error of a server does not say that nothing was begun.
                await self._stopping.abort(self.session)
            return await self._cut_short(Status.FAILED, errors.for_model(error))
        except RuntimeUnreachable as error:
            if self.session:
                # The prompt may have been taken all the same.
                await self._stopping.quieten(self.session)
            return await self._cut_short(Status.FAILED, errors.for_model(error))
        except Exception as error:
            # A fault of ours must not leave a delegation running for ever.
            log.exception("%s: conducting it failed", self.delegation.id)
            if self.session:
                await self._stopping.abort(self.session)
            return Outcome(Status.FAILED, error=f"Internal error: {type(error).__name__}.")

    async def _wait_for_slot(self) -> Outcome | None:
        model = await model_of(self._context, self.delegation)
        self._slots.ask(self.delegation.id, lambda: self.hear(SlotGranted()), model)
        while True:
            match await self._next():
                case SlotGranted():
                    return None
                case Asked() as asked:
                    self._refuse(asked)
                case StopAsked() as stop:
                    await self._note_stop(stop)
                    return Outcome(Status.STOPPED, error=why_stopped(stop.by))
                case _:
                    continue

    async def _next(self) -> Signal:
        """Return the next signal, if the delegation is still ours to act on it."""
        signal = await self._inbox.get()
        await self._make_sure_it_is_ours()
        return signal

    async def _make_sure_it_is_ours(self) -> None:
        owner = self.delegation.owner
        await insist(self._context, self.delegation.id, lambda: self._lease.make_sure(owner))

    async def _launch(self) -> None:
        """Give the prompt to a new child session, or to the one that it goes on in."""
        # Set first: its events are ours, also those that come before the prompt's answer.
        self.session = await session_for(self._context, self._settings, self.delegation)
        self._launched(self.session, self)
        message = self._context.mint("msg")
        now = self._context.clock.now()
        await self._record(ev.Launched(at=now, session=self.session, message=message))
        self._stopwatch.start_anew()
        await self._hand_over()

    async def _hand_over(self) -> None:
        await hand_over(self._context, self.delegation)
        if not self._seen_busy:
            self._turn.expect()

    async def _follow(self) -> Outcome:
        self._deadline.open(used=self.delegation.window_used(self._context.clock.now()))
        self._asking.resume(self.delegation)
        self._messages.resume(self.delegation)
        while True:
            signal = await self._next()
            try:
                outcome = await self._consider(signal)
            except RuntimeUnreachable as error:
                if isinstance(signal, StopAsked | DeadlinePassed):
                    raise  # a wish is not forgotten
                # A runtime that does not answer once ends no run; one that comes back tells.
                log.info("%s could not be looked at: %s", self.delegation.id, error)
                self._context.clock.call_later(LOOK_PAUSE, lambda: self.hear(LookDue()))
                continue
            if outcome is None:
                continue
            if outcome.status is Status.COMPLETED and await self._reopened():
                continue
            return outcome

    async def _consider(self, signal: Signal) -> Outcome | None:
        match signal:
            case Idle() | SessionDeleted() if signal.session != self.session:
                await self._asking.forget(self.delegation, signal.session)
                return await self._judge_if_it_rests()
            case Busy():
                self._seen_busy, self._rests = True, False
                self._retry = None
                self._turn.close()
            case RunFailed():
                self._failure = signal
                if signal.aborted:
                    self._is_abort_told, overdue = False, AbortOverdue(signal)
                    self._context.clock.call_later(ABORT_LIMIT, lambda: self.hear(overdue))
                elif not self._seen_busy:
                    # Refused before it began, an agent that has vanished: no idle follows.
                    return await self._look_again()
            case Idle() if self._seen_busy or self._failure:
                self._rests = True
                return await self._judge()
            case Idle() if self._turn.is_awaited:
                # A run before this one has ended just now, and may have swallowed our prompt.
                self._turn.give_up()
                return await self._look_again()
            case InputAsked():
                await self._asking.asked(self.timed(), signal.ask)
            case InputSettled():
                await self._asking.settled(self.delegation, signal.request, signal.reply)
                return await self._judge_if_it_rests()
            case AnswerAsked():
                await self._asking.answer(self.delegation, signal)
                return await self._judge_if_it_rests()
            case AnswerDue():
                await self._asking.overdue(self.delegation, signal.request)
                return await self._judge_if_it_rests()
            case NotifyAsked():
                await self._messages.say(self.delegation, signal)
            case KeptDue():
                await self._messages.tell_kept(self.delegation)
            case StreamRestored():
                # What was aborted before may have been aborted by what ended there.
                if self._failure is not None and self._failure.aborted:
                    self._failure = None
                return await self._look_again()
            case LookDue() | TurnOverdue():
                return await self._look_again()
            case AbortOverdue() if signal.failure is self._failure:
                self._is_abort_told = True
                return await self._look_again()
            case SessionDeleted():
                # OpenCode lets a deleted session run on until it is told to stop.
                await self._stopping.abort(self.session)
                return await self._cut_short(Status.STOPPED, "Its session was deleted.")
            case DeadlinePassed() if self._deadline.is_over:
                return await self._stop(StopAsked(Actor.DEADLINE))
            case SteerAsked():
                await self._steering.send(self.delegation, signal)
            case MessageChanged():
                self._asking.heard(signal.message)
                await self._steering.confirm(self.delegation, [signal.message])
            case StopAsked():
                return await self._stop(signal)
            case Retrying():
                self._retry = signal
            case _:
                pass
        return None

    async def _judge_if_it_rests(self) -> Outcome | None:
        """Judge a run that had ended but for what was asked below it."""
        return await self._judge() if self._rests and not self.delegation.requests else None

    async def _judge(self) -> Outcome | None:
        """Say how the run ended, now that its session is idle; None if it did not."""
        await self._asking.forget(self.delegation, self.session)
        for is_fresh in (False, True):
            transcript = await self._transcript(refresh=is_fresh)
            if is_fresh and not await self._still_rests():
                break
            await self._steering.confirm(self.delegation, transcript.answers)
            found = judge(
                Evidence(
                    self.delegation,
                    transcript,
                    self._failure,
                    self._asking.refusal,
                    is_fresh,
                    self._is_abort_told,
                )
            )
            if isinstance(found, Outcome):
                return found
            if found is Undecided.REFUSED:
                self._rests = False
                await self._asking.go_on(self.delegation)
            if found is not Undecided.LOOK_AGAIN:
                break
        return None

    async def _still_rests(self) -> bool:
        """Ask whether the session rests, in a runtime that has neither ended nor begun anew."""
        state = await self._context.runtime.state(self.session)
        return not state.busy and not self._inbox.holds(StreamRestored)

    async def _look_again(self) -> Outcome | None:
        """Ask the runtime, since events may have been lost."""
        state = await self._context.runtime.state(self.session)
        if not state.exists:
            return await self._cut_short(Status.STOPPED, "Its session was deleted.")
        transcript = await self._transcript(refresh=True)
        for message in transcript.answers[-1:]:
            self._asking.heard(message)
        await self._asking.reconcile(self.delegation, self.session)
        if state.busy:
            self._seen_busy = True
            self._turn.close()
            return None
        # Aborted and not told so: by the end of what it ran in.
        ended = transcript.verdict in (Verdict.FINISHED, Verdict.FAILED)
        if ended or self._failure is not None or self._asking.refusal is not None:
            self._rests = True
            return await self._judge()
        if state.undone:
            return await self._cut_short(Status.INTERRUPTED, UNDONE)
        if self.delegation.resumes and not transcript.messages:
            # The process before us died between storing the launch and the prompt.
            await self._hand_over()
        elif self._was_begun(transcript):
            return await self._relaunch(transcript)
        elif self._turn.is_overdue:
            await self._hand_over()
        # Else accepted a moment ago and not begun: its events are still to come.
        return None

    def _was_begun(self, transcript: Transcript) -> bool:
        was_cut_off = self.delegation.resumes or self.delegation.relaunches
        return bool(was_cut_off) or self._seen_busy or transcript.verdict is Verdict.ABORTED

    async def _relaunch(self, transcript: Transcript) -> Outcome | None:
        """Tell a run to go on that was cut off with its process, if it may."""
        refused = why_not_again(self.delegation, self._settings)
        if refused is not None:
            return await self._cut_short(Status.INTERRUPTED, refused)
        message = self.delegation.relaunch_message
        if message is None or transcript.has_answered(message):
            message = self._context.mint("msg")
            await self._record(ev.Relaunched(at=self._context.clock.now(), message=message))
            self._deadline.open()
        self._seen_busy, self._rests, self._failure = False, False, None
        self._turn.expect()
        await tell_to_go_on(self._context, self.delegation, message, transcript)
        return None

    async def _reopened(self) -> bool:
        """Take up instructions that came while the run was judged; close it to later ones."""
        is_any = False
        while (steer := self._inbox.take(SteerAsked)) is not None:
            is_any = True
            await self._steering.send(self.delegation, steer)
        if not is_any:
            self._inbox.close()
        return is_any

    def _close(self) -> None:
        """Take nothing more, give back the slot, and forget the timers; twice is once."""
        self._inbox.close()
        self._asking.close()
        self._messages.close()
        self._deadline.close()
        self._turn.close()
        self._slots.release(self.delegation.id)

    def _refuse(self, asked: Asked) -> None:
        is_ending = self.session or self._inbox.is_closed
        status = "ending" if is_ending else self.delegation.status
        asked.refuse(self.left_by or asked.too_late(self.delegation.id, status))

    async def _note_stop(self, stop: StopAsked) -> None:
        """Store who wanted the end, once."""
        if self.delegation.stop_requested_by is None:
            await self._record(ev.StopRequested(at=self._context.clock.now(), by=stop.by))

    async def _stop(self, asked: StopAsked) -> Outcome:
        """End the run; that it is wanted is stored first, should this process die meanwhile."""
        await self._note_stop(asked)
        if asked.by != Actor.DEADLINE:
            return await self._end_early(Status.STOPPED, why_stopped(asked.by))
        limit = span(self.delegation.timeout or timedelta(0))
        return await self._end_early(Status.TIMED_OUT, f"Not finished within {limit}.")

    async def _end_early(self, status: Status, error: str) -> Outcome:
        """Stop the session; a run that had finished by then is completed all the same."""
        await self._stopping.quieten(self.session)
        try:
            transcript = await self._transcript()
        except (RuntimeRefused, RuntimeUnreachable):
            return await self._cut_short(status, error)
        if transcript.verdict is Verdict.FINISHED:
            # What is still asked, below it or settled unheard while it was stopped.
            await self._asking.forget(self.delegation)
            await self._asking.dismiss_unheard(self.session)
            return Outcome.completed(transcript)
        return await self._cut_short(status, error)

    async def _cut_short(self, status: Status, error: str) -> Outcome:
        """Return the outcome of a run that did not complete, with all that was written."""
        if not self.session:
            return Outcome(status, error=error)
        try:
            transcript = await self._transcript()
        except (RuntimeRefused, RuntimeUnreachable) as failure:
            log.warning("%s: its partial output is lost: %s", self.delegation.id, failure)
            return Outcome(status, error=error)
        await self._steering.confirm(self.delegation, transcript.answers)
        return Outcome.cut_short(status, error, transcript)

    async def _transcript(self, *, refresh: bool = False) -> Transcript:
        known = await self._context.runtime.transcript(self.session, refresh=refresh)
        whole = known.completed_by(self._kept)
        begun = self.delegation.prompt_message
        if self.delegation.continued_from and all(one.id != begun for one in whole.messages):
            return Transcript()  # all that is there was there before
        return whole.since(begun)

    async def _finish(self, outcome: Outcome) -> None:
        await self._make_sure_it_is_ours()
        self.delegation, notice = await store_ending(
            self._context, self.delegation, outcome, self._stopwatch.elapsed
        )
        self.over.set()
        self._ended(self, notice, outcome.text)

    async def _record(self, *events: ev.Event, notices: tuple[Notice, ...] = ()) -> Delegation:
        after = reduce(apply, events, self.delegation)
        change = Change(after=after, events=events, notices=notices)
        await insist(self._context, after.id, lambda: self._context.store.commit(change))
        self.delegation = after
        return after
