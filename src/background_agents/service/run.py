"""One run, from its slot to its terminal state.

A run is an actor: everything that concerns it (runtime events, its deadline, a request to
stop) is a signal in its inbox, taken one after the other, so that races become an order.
It alone writes its delegation while it is active, and writes exactly one ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import (
    NotSteerable,
    RuntimeRefused,
    RuntimeUnreachable,
)
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status
from background_agents.domain.text import span
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports import (
    Busy,
    Change,
    Idle,
    MessageChanged,
    Prompt,
    Retrying,
    RunFailed,
    RuntimeEvent,
    SessionDeleted,
    SessionOrder,
    StreamRestored,
    TextStreamed,
)
from background_agents.service import views
from background_agents.service.context import Context
from background_agents.service.deadlines import Deadline
from background_agents.service.ending import Outcome, insist, store_ending
from background_agents.service.ladder import StopLadder
from background_agents.service.live import Live
from background_agents.service.signals import (
    DeadlinePassed,
    Inbox,
    Signal,
    SlotGranted,
    SteerAsked,
    StopAsked,
)
from background_agents.service.slots import Slots
from background_agents.service.steering import Steering

log = logging.getLogger(__name__)

ABORTED = "It was aborted from outside."


class Run:
    """Conducts one delegation to its end."""

    def __init__(
        self,
        context: Context,
        slots: Slots,
        delegation: Delegation,
        *,
        denied_tools: tuple[str, ...],
        launched: Callable[[str, Run], None],
        ended: Callable[[Run, Notice, str], None],
    ) -> None:
        self.delegation = delegation
        self.committed = asyncio.Event()
        """Set once the ending and its notice are stored."""
        self.is_closed = False
        """It takes no instruction any more."""
        self.is_ending = False
        """The agent has said its last word; the ending is a matter of milliseconds."""
        self._context = context
        self._slots = slots
        self._denied_tools = denied_tools
        self._launched = launched
        self._ended = ended
        self._inbox = Inbox()
        self._deadline = Deadline(
            context.clock, delegation.timeout, lambda: self.hear(DeadlinePassed())
        )
        self._steering = Steering(context, self._record, self._deadline.open)
        self._ladder = StopLadder(context, self._inbox, self._transcript, self._refuse)
        self._seen_busy = False
        self._failure: RunFailed | None = None
        self._retry: Retrying | None = None
        self._heard_at: datetime | None = None

    @property
    def session(self) -> str:
        """The child session; there is one from the launch on."""
        if self.delegation.session is None:
            raise AssertionError(f"{self.delegation.id} was not launched")
        return self.delegation.session

    def hear(self, signal: Signal) -> None:
        """Put a signal into the inbox."""
        if isinstance(signal, RuntimeEvent) and signal.session:
            self._heard_at = self._context.clock.now()
        if isinstance(signal, TextStreamed):
            self.is_ending = signal.whole
            return  # the transcript has the rest
        if isinstance(signal, MessageChanged) and signal.message.role == "assistant":
            self.is_ending = self.is_ending or signal.message.finished
        self._inbox.put(signal)

    async def look(self) -> Live:
        """Return what is known of the run now; nobody is asked."""
        delegation = self.delegation
        transcript = Transcript() if delegation.session is None else await self._transcript()
        return Live(
            delegation=delegation,
            transcript=transcript,
            time_left=self._deadline.left,
            place=self._slots.position(delegation.id),
            heard_at=self._heard_at,
            retry=self._retry,
            now=self._context.clock.now(),
        )

    async def work(self) -> None:
        """Bring the delegation to its end, and store that."""
        try:
            outcome = await self._conduct()
        finally:
            self._close()
            self._deadline.close()
            self._slots.release(self.delegation.id)
        self.is_ending = True
        # The ending is stored even while the service closes.
        finishing = asyncio.create_task(self._finish(outcome))
        try:
            await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await finishing
            raise

    # --- from the slot to the outcome --------------------------------------

    async def _conduct(self) -> Outcome:
        try:
            if self.delegation.session is None:
                early = await self._wait_for_slot()
                if early is not None:
                    return early
                await self._launch()
            else:
                # Taken over: its session already runs, whatever the limit says.
                self._slots.ask(self.delegation.id, lambda: None)
                self._launched(self.session, self)
                self.hear(StreamRestored(""))
            return await self._follow()
        except RuntimeRefused as error:
            return await self._cut_short(Status.FAILED, str(error))
        except RuntimeUnreachable as error:
            if self.delegation.session is not None:
                # The prompt may have been taken all the same.
                await self._ladder.quieten(self.session)
            return await self._cut_short(Status.FAILED, str(error))
        except Exception as error:
            # A fault of ours must not leave a delegation running for ever.
            log.exception("%s: conducting it failed", self.delegation.id)
            return Outcome(Status.FAILED, error=f"Internal error: {type(error).__name__}.")

    async def _wait_for_slot(self) -> Outcome | None:
        self._slots.ask(self.delegation.id, lambda: self.hear(SlotGranted()))
        while True:
            match await self._inbox.get():
                case SlotGranted():
                    return None
                case SteerAsked() as asked:
                    self._refuse(asked)
                case StopAsked() as stop:
                    await self._note_stop(stop)
                    return Outcome(Status.STOPPED, error=stop.reason)
                case _:
                    continue

    async def _launch(self) -> None:
        """Open the child session and hand it the prompt."""
        delegation, runtime = self.delegation, self._context.runtime
        order = SessionOrder(
            parent=delegation.parent_session,
            title=views.session_title(delegation),
            denied_tools=self._denied_tools,
        )
        session = await runtime.open_session(order)
        # From now on its events are ours, also those that come before the prompt's answer.
        self._launched(session, self)
        message = self._context.mint("msg")
        launched = ev.Launched(at=self._context.clock.now(), session=session, message=message)
        await self._record(launched)
        await self._prompt()

    async def _prompt(self) -> None:
        """Hand over the prompt; doing so again changes nothing."""
        delegation = self.delegation
        if delegation.prompt_message is None:
            raise AssertionError(f"{delegation.id} was not launched")
        prompt = Prompt(
            message=delegation.prompt_message,
            text=delegation.prompt,
            agent=delegation.agent,
            model=delegation.model,
        )
        await self._context.runtime.prompt(self.session, prompt)

    async def _follow(self) -> Outcome:
        launched = self.delegation.launched_at or self._context.clock.now()
        self._deadline.open(used=self._context.clock.now() - launched)
        while True:
            outcome = await self._consider(await self._inbox.get())
            if outcome is None:
                continue
            if outcome.status is Status.COMPLETED and await self._reopened():
                continue
            return outcome

    async def _consider(self, signal: Signal) -> Outcome | None:
        match signal:
            case Busy():
                self._seen_busy = True
                self._retry = None
            case RunFailed():
                self._failure = signal
                if not self._seen_busy:
                    # Refused before it began, an agent that has vanished: no idle follows.
                    return await self._look_again()
            case Idle() if self._seen_busy or self._failure:
                return await self._judge()
            case StreamRestored():
                return await self._look_again()
            case SessionDeleted():
                # OpenCode lets a deleted session run on until it is told to stop.
                await self._ladder.abort(self.session)
                return await self._cut_short(Status.STOPPED, "Its session was deleted.")
            case DeadlinePassed():
                limit = span(self.delegation.timeout or timedelta(0))
                return await self._end_early(Status.TIMED_OUT, f"Not finished within {limit}.")
            case SteerAsked():
                await self._steering.send(self.delegation, signal)
            case MessageChanged():
                await self._steering.confirm(self.delegation, [signal.message])
            case StopAsked():
                await self._note_stop(signal)
                return await self._end_early(Status.STOPPED, signal.reason)
            case Retrying():
                self._retry = signal
            case _:
                pass
        return None

    async def _judge(self, *, refresh: bool = False) -> Outcome | None:
        """Say how the run ended, now that its session is idle; None if it did not."""
        transcript = await self._transcript(refresh=refresh)
        await self._steering.confirm(self.delegation, transcript.answers)
        match transcript.verdict:
            case Verdict.FINISHED if self.delegation.open_steers:
                # Accepted as the run went idle: the turn that takes it up is still to come.
                return None if refresh else await self._judge(refresh=True)
            case Verdict.GOING_ON if self.delegation.open_steers and self._failure is None:
                return None
            case Verdict.FINISHED:
                return Outcome(Status.COMPLETED, transcript.result, usage=transcript.usage)
            case Verdict.ABORTED:
                return await self._cut_short(Status.STOPPED, ABORTED)
            case Verdict.FAILED:
                error = next(m.error for m in reversed(transcript.answers) if m.error)
                return await self._cut_short(Status.FAILED, error or "unknown error")
            case Verdict.GOING_ON if self._failure is not None and self._failure.aborted:
                return await self._cut_short(Status.STOPPED, ABORTED)
            case Verdict.GOING_ON if self._failure is not None:
                # The only trace of an unknown model: no message was ever stored.
                return await self._cut_short(Status.FAILED, self._failure.message)
            case Verdict.GOING_ON if not refresh:
                return await self._judge(refresh=True)
            case Verdict.GOING_ON:
                return await self._cut_short(
                    Status.FAILED, "Its session went idle without finishing an answer."
                )

    async def _look_again(self) -> Outcome | None:
        """Ask the runtime, since events may have been lost."""
        state = await self._context.runtime.state(self.session)
        if not state.exists:
            return await self._cut_short(Status.STOPPED, "Its session was deleted.")
        if state.busy:
            self._seen_busy = True
            await self._transcript(refresh=True)
            return None
        transcript = await self._transcript(refresh=True)
        if transcript.verdict is not Verdict.GOING_ON or self._failure is not None:
            return await self._judge()
        if self.delegation.resumes and not transcript.messages:
            # The process before us died between storing the launch and the prompt.
            await self._prompt()
            return None
        if self.delegation.resumes:
            return await self._cut_short(
                Status.INTERRUPTED, "The process that ran it ended before it had finished."
            )
        # Accepted a moment ago and not begun: its events are still to come.
        return await self._judge() if self._seen_busy else None

    async def _reopened(self) -> bool:
        """Take up instructions that came while the run was judged; close it to later ones."""
        asked = self._inbox.take_steers()
        for steer in asked:
            await self._steering.send(self.delegation, steer)
        self.is_closed = not asked
        return bool(asked)

    def _close(self) -> None:
        """Refuse what asks for more of a run that has ended."""
        self.is_closed = True
        for steer in self._inbox.take_steers():
            self._refuse(steer)

    def _refuse(self, asked: SteerAsked) -> None:
        ending = self.delegation.session is not None
        status = "ending" if ending else self.delegation.status
        asked.refuse(NotSteerable(self.delegation.id, status))

    async def _note_stop(self, stop: StopAsked) -> None:
        """Store who wanted the end, once."""
        if self.delegation.stop_requested_by is None:
            await self._record(ev.StopRequested(at=self._context.clock.now(), by=stop.by))

    async def _end_early(self, status: Status, error: str) -> Outcome:
        """Stop the session; a run that had finished by then is completed all the same."""
        await self._ladder.quieten(self.session)
        transcript = await self._transcript()
        if transcript.verdict is Verdict.FINISHED:
            return Outcome(Status.COMPLETED, transcript.result, usage=transcript.usage)
        return await self._cut_short(status, error)

    async def _cut_short(self, status: Status, error: str) -> Outcome:
        """Return the outcome of a run that did not complete, with all that was written."""
        if self.delegation.session is None:
            return Outcome(status, error=error)
        try:
            transcript = await self._transcript()
        except (RuntimeRefused, RuntimeUnreachable) as failure:
            log.warning("%s: its partial output is lost: %s", self.delegation.id, failure)
            return Outcome(status, error=error)
        await self._steering.confirm(self.delegation, transcript.answers)
        return Outcome(status, transcript.everything, error, transcript.usage)

    async def _transcript(self, *, refresh: bool = False) -> Transcript:
        whole = await self._context.runtime.transcript(self.session, refresh=refresh)
        return whole.since(self.delegation.prompt_message)

    async def _finish(self, outcome: Outcome) -> None:
        self.delegation, notice = await store_ending(self._context, self.delegation, outcome)
        self.committed.set()
        self._ended(self, notice, outcome.text)

    async def _record(self, event: ev.Event) -> Delegation:
        change = Change(after=apply(self.delegation, event), events=(event,))
        about = self.delegation.id
        await insist(self._context, about, lambda: self._context.store.commit(change))
        self.delegation = change.after
        return change.after
