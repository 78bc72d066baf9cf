"""What one run waits for: permissions and questions, of its session and of those below.

Each is answered by a rule, by the supervisor, by the human in the runtime's own dialogue, or
by default once it has waited too long. While one is open the time window stands still.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.asking import REJECT, Ask, Reply
from background_agents.domain.delegation import Delegation, OpenRequest
from background_agents.domain.errors import (
    AskChanged,
    InvalidRequest,
    MayNotGrant,
    NotAsked,
    NothingAsked,
    RuntimeRefused,
    RuntimeUnreachable,
)
from background_agents.domain.ids import is_later, moment
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.replies import model_may, reply_to
from background_agents.domain.transcript import Message
from background_agents.ports.clock import Timer
from background_agents.ports.runtime import Idle, InputSettled, SessionDeleted
from background_agents.service.context import Context, Record
from background_agents.service.running.answer_rules import decide
from background_agents.service.running.signals import AnswerAsked, AnswerDue, Signal
from background_agents.service.running.steering import say
from background_agents.service.running.timers import Deadline
from background_agents.views import notices

log = logging.getLogger(__name__)

REFUSED = "It was refused. Go on without it, and say in your result what was missing."
"""Goes with a rejection: without any words OpenCode ends the run."""

UNANSWERED = "Nobody can answer this now. Decide yourself, and say in your result what you assumed."
"""Stands for an answer where a question is rejected, which would end the run."""


MOST_NUDGES = 5
"""How often a run is told to go on after a refusal; an agent that asks for the same thing again
and again would not end otherwise."""


@dataclass(frozen=True)
class Refusal:
    """Something that a run had asked for and did not get."""

    text: str
    is_ours: bool
    """The supervisor, a rule or the default refused it, and the run is to go on."""
    after: str = ""
    """The agent's newest message then; one that is newer has gone on from the refusal."""


class Asking:
    """Conducts the requests of one run.

    ``record`` stores what happens to them, ``tell`` hears of each new notice, and ``due`` is
    called with the id of a request that has waited too long.
    """

    def __init__(
        self,
        context: Context,
        settings: Settings,
        deadline: Deadline,
        record: Record,
        tell: Callable[[Notice], None],
        due: Callable[[AnswerDue], None],
        is_conducted: Callable[[str], bool],
    ) -> None:
        """``is_conducted`` says whether a session has a run of its own."""
        self.refusal: Refusal | None = None
        """What was refused last in this run, should it end of that."""
        self._context = context
        self._settings = settings
        self._deadline = deadline
        self._record = record
        self._tell = tell
        self._due = due
        self._is_conducted = is_conducted
        self._timers: dict[str, Timer] = {}
        self._nudges = 0
        self._newest = ""
        """The agent's newest message."""
        self._asked_as: dict[str, str] = {}
        """For each request an id from the moment in which it was asked."""
        self._taken = ""
        """An id from when somebody else than the supervisor answered one last."""

    def resume(self, delegation: Delegation) -> None:
        """Go on waiting for what was open when another process ended."""
        if delegation.requests:
            self._deadline.pause()
        for request in delegation.requests:
            self._arm(request.id, request.asked_at)

    def close(self) -> None:
        """Forget the timers; nothing will be due."""
        for request in tuple(self._timers):
            self._disarm(request)

    async def asked(self, delegation: Delegation, ask: Ask) -> None:
        """Answer a new request by the rules, or have the supervisor asked."""
        if any(request.id == ask.id for request in delegation.requests):
            return
        reply = decide(self._settings.answers, delegation.agent, ask)
        if reply is not None and await self._answered_by_rule(ask, reply):
            return
        ask = msgspec.structs.replace(
            ask,
            model_grants_once=self._may_model_grant(delegation),
            in_chat=self._is_shown(delegation, ask.session),
        )
        now = self._context.clock.now()
        part = self._asked_as[ask.id] = self._context.mint("prt")
        notice = notices.new(delegation, NoticeKind.REQUEST, part, now, ask=ask)
        await self._record(ev.InputRequested(at=now, ask=ask), notices=(notice,))
        self._deadline.pause()
        self._arm(ask.id, now)
        self._tell(notice)

    async def settle(self, delegation: Delegation, signal: Signal) -> None:
        """Take whatever answers what is asked, or says that nothing is."""
        match signal:
            case AnswerAsked():
                await self._answer(delegation, signal)
            case InputSettled():
                ask = _find(delegation, signal.request)
                if ask is not None:
                    await self._settle(ask, signal.reply, Actor.DIALOGUE)
            case AnswerDue():
                await self._overdue(delegation, signal.request)
            case Idle() | SessionDeleted():
                # A session that rests waits for nothing.
                await self.forget(delegation, signal.session)
            case _:
                pass

    async def _answer(self, delegation: Delegation, asked: AnswerAsked) -> None:
        """Give somebody's answer to the oldest open request."""
        if not delegation.requests:
            asked.refuse(NothingAsked(delegation.id, delegation.status))
            return
        ask = delegation.requests[0].ask
        try:
            self._check_seen(delegation, ask, asked)
            self._check_may(delegation, ask, asked)
            after = await self._give(ask, reply_to(ask, asked.text), asked.by)
        except (InvalidRequest, RuntimeRefused, RuntimeUnreachable) as error:
            asked.refuse(error)
            return
        if after is None:
            asked.refuse(NothingAsked(delegation.id, "answered already"))
        else:
            asked.answered = ask
            asked.accept(after)

    async def _overdue(self, delegation: Delegation, request: str) -> None:
        """Give the default answer to a request that has waited too long."""
        ask = _find(delegation, request)
        if ask is None:
            return
        reply = Reply(word=REJECT if ask.questions else self._settings.answer_default)
        try:
            await self._give(ask, reply, Actor.DEADLINE)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("%s: the default answer was not taken: %s", delegation.id, error)
            self._arm(request, self._context.clock.now())

    async def _give(self, ask: Ask, reply: Reply, by: str) -> Delegation | None:
        """Give an answer; return None if somebody else has given one before."""
        try:
            await self._context.runtime.answer(ask, _as_sent(ask, reply))
        except NotAsked:
            await self._settle(ask, Reply(), Actor.DIALOGUE)
            return None
        return await self._settle(ask, reply, by)

    async def reconcile(self, delegation: Delegation, session: str) -> None:
        """Ask the runtime what is open, since events may have been lost."""
        runtime = self._context.runtime
        now_open = {ask.id: ask for ask in await runtime.requests()}
        for request in delegation.requests:
            if request.id not in now_open:
                await self._settle(request.ask, Reply(), Actor.DIALOGUE)
        known = {request.id for request in delegation.requests}
        for ask in now_open.values():
            # Of those known, too: what is told of them later finds us by their parents.
            if await self._is_below(session, ask.session) and ask.id not in known:
                await self.asked(delegation, ask)

    async def _is_below(self, session: str, asking: str) -> bool:
        """Return whether a session is the run's own or below it, and no other run's."""
        try:
            lineage = await self._context.runtime.lineage(asking)
        except RuntimeRefused as error:
            log.info("nobody knows whose session %s is: %s", asking, error)
            return False
        runs = (one for one in lineage if one == session or self._is_conducted(one))
        return next(runs, None) == session

    async def forget(self, delegation: Delegation, session: str | None = None) -> None:
        """Note that a session which rests waits for nothing; without one, that none does."""
        for request in delegation.requests:
            if session in (None, request.ask.session):
                await self.dismiss([request])
                await self._settle(request.ask, Reply(), Actor.DIALOGUE)

    async def go_on(self, delegation: Delegation) -> None:
        """Let a run go on that has ended because of a refusal of ours.

        Where several calls ask at once, OpenCode refuses the others along with one, without
        a word, and ends the run.
        """
        refused, self.refusal = self.refusal, None
        self._nudges += 1
        text = f"This was refused: {refused.text if refused else ''}. {REFUSED}"
        await say(self._context, delegation, self._context.mint("msg"), text)

    async def dismiss_unheard(self, session: str) -> None:
        """Take back what was asked in or below a session while it was stopped."""
        now = self._context.clock.now()
        try:
            for ask in await self._context.runtime.requests():
                if await self._is_below(session, ask.session):
                    await self.dismiss([OpenRequest(ask, now)])
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.info("what is asked below %s was not taken back: %s", session, error)

    async def dismiss(self, requests: Sequence[OpenRequest]) -> None:
        """Take back what a run that has ended had asked for.

        An abort leaves it open in OpenCode, and its human would be asked for nothing.
        """
        for request in requests:
            try:
                await self._context.runtime.answer(request.ask, Reply(word=REJECT))
            except (NotAsked, RuntimeRefused, RuntimeUnreachable) as error:
                log.info("%s was not taken back: %s", request.id, error)

    def heard(self, message: Message) -> None:
        """Note what the agent writes: a refusal that it has gone on from ends nothing more."""
        if message.role != "assistant" or message.id <= self._newest:
            return
        self._newest = message.id
        if self.refusal is not None and self.refusal.after:
            self.refusal = None

    def _check_seen(self, delegation: Delegation, ask: Ask, asked: AnswerAsked) -> None:
        """Refuse an answer that was begun when something else was asked, or nothing."""
        changed = max(self._asked_as.get(ask.id, ""), self._taken, key=moment)
        is_unseen = bool(asked.since and changed) and is_later(changed, asked.since)
        if is_unseen or asked.request not in ("", ask.id):
            raise AskChanged(delegation.id, ask)

    def _is_shown(self, delegation: Delegation, session: str) -> bool:
        """Return whether the supervisor's view shows what a session asks."""
        if not self._context.runtime.shows_what_children_ask or delegation.above:
            return False
        above = self._context.runtime.ancestors(session)[1:2]
        return above in ((), (delegation.parent_session,))

    def _may_model_grant(self, delegation: Delegation) -> bool:
        """Return whether the supervisor's model may; a background agent never does."""
        return self._settings.model_grants_once and not delegation.above

    def _check_may(self, delegation: Delegation, ask: Ask, asked: AnswerAsked) -> None:
        """Refuse a grant by a model, as far as the settings of now do."""
        now = msgspec.structs.replace(ask, model_grants_once=self._may_model_grant(delegation))
        if asked.by == Actor.SUPERVISOR and not model_may(now, asked.text):
            raise MayNotGrant(delegation.id, now)

    async def _answered_by_rule(self, ask: Ask, reply: Reply) -> bool:
        """Return whether the rules' answer left nothing to ask."""
        try:
            await self._context.runtime.answer(ask, _as_sent(ask, reply))
        except NotAsked:
            return True
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("the answer of a rule to %s was not taken: %s", ask.id, error)
            return False
        if reply.is_rejection:
            self._note_refusal(ask, Actor.RULE)
        now = self._context.clock.now()
        answered = ev.InputAnswered(at=now, request=ask.id, reply=reply.text, by=Actor.RULE)
        await self._record(ev.InputRequested(at=now, ask=ask), answered)
        return True

    def _note_refusal(self, ask: Ask, by: str) -> None:
        """Remember a refusal; one of ours outweighs what OpenCode refused along with it."""
        with_ours = self.refusal is not None and self.refusal.is_ours
        ours = by != Actor.DIALOGUE and self._nudges < MOST_NUDGES
        if ours or not with_ours:
            self.refusal = Refusal(ask.text, ours, self._newest)

    async def _settle(self, ask: Ask, reply: Reply, by: str) -> Delegation:
        self._disarm(ask.id)
        self._asked_as.pop(ask.id, None)
        if by != Actor.SUPERVISOR:
            self._taken = self._context.mint("prt")
        if reply.is_rejection:
            self._note_refusal(ask, by)
        now = self._context.clock.now()
        after = await self._record(
            ev.InputAnswered(at=now, request=ask.id, reply=reply.text, by=by)
        )
        if not after.requests:
            self._deadline.resume()
        return after

    def _arm(self, request: str, since: datetime) -> None:
        window = self._settings.answer_window
        if window is None:
            return
        left = since + window - self._context.clock.now()
        self._disarm(request)
        self._timers[request] = self._context.clock.call_later(
            left, lambda: self._due(AnswerDue(request))
        )

    def _disarm(self, request: str) -> None:
        timer = self._timers.pop(request, None)
        if timer is not None:
            timer.cancel()


def _as_sent(ask: Ask, reply: Reply) -> Reply:
    """Return the answer in the form that lets the run go on."""
    if not reply.is_rejection:
        return reply
    if ask.questions:
        return Reply(answers=(reply.reason or UNANSWERED,) * len(ask.questions))
    return msgspec.structs.replace(reply, reason=reply.reason or REFUSED)


def _find(delegation: Delegation, request: str) -> Ask | None:
    return next((one.ask for one in delegation.requests if one.id == request), None)
