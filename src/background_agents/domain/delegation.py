"""A delegation: the record, and how events change it.

``apply`` is the only way to a new record. It consults the table in ``status`` and
raises on an illegal move, in which case nothing has changed, since records are frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce

import msgspec

from background_agents.domain import events as ev
from background_agents.domain.actor import OF_ITSELF
from background_agents.domain.asking import Ask
from background_agents.domain.changes import Changes
from background_agents.domain.errors import IllegalTransition
from background_agents.domain.isolation import WORKTREE
from background_agents.domain.limits import Limits, Reached
from background_agents.domain.status import TERMINAL, Status, is_unread, target

MESSAGE_CHARS = 2_000
"""What a child can say at once: some 500 tokens of the supervisor's context."""

MESSAGES_AT_ONCE, MESSAGES_WINDOW = 3, timedelta(minutes=5)
"""How many messages of a delegation may wake its supervisor in that time. Each costs a turn with
the whole conversation. Three let it ask, add something and correct itself; a stream of reports is
better read together."""


class Steer(msgspec.Struct, frozen=True):
    """An instruction that was put into a run, and its receipt."""

    id: str
    text: str
    sent_at: datetime
    confirmed_at: datetime | None = None
    by: str = "supervisor"
    """Who gave it, as ``SteerSent`` says."""


class OpenRequest(msgspec.Struct, frozen=True):
    """A permission or a question that nobody has answered yet."""

    ask: Ask
    asked_at: datetime

    @property
    def id(self) -> str:
        return self.ask.id


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of background work. Times are UTC; ``version`` counts the events applied."""

    id: str
    project: str
    directory: str
    root_session: str
    parent_session: str
    prompt: str
    agent: str
    title: str
    owner: str
    registered_at: datetime
    model: str | None = None
    timeout: timedelta | None = None
    continued_from: str | None = None
    retry_of: str | None = None

    status: Status = Status.REGISTERED
    version: int = 1
    session: str | None = None
    prompt_message: str | None = None
    launched_at: datetime | None = None
    ended_at: datetime | None = None
    read_at: datetime | None = None
    summary: str = ""
    error: str | None = None
    result_chars: int = 0
    usage: ev.Usage = ev.Usage()
    models: tuple[str, ...] = ()
    """Those that have answered, each once; the newest is the last. Known from the end on."""
    cut: str | None = None
    """Why the result of a completed one may not be whole, such as ``length``."""
    ran_for: timedelta | None = None
    """How long it ran, by a clock that nobody steps. Known from the end on."""
    changes: Changes = Changes()
    """What stands of what it changed. Known from the end on."""
    steers: tuple[Steer, ...] = ()
    requests: tuple[OpenRequest, ...] = ()
    spoke_at: tuple[datetime, ...] = ()
    """When it last told its supervisor something, oldest first; no more than the budget."""
    kept: tuple[str, ...] = ()
    """What it has said beyond its budget, to be told as one."""
    window_from: datetime | None = None
    """When its time window began: at the launch, and anew with each instruction."""
    waited: timedelta = timedelta(0)
    """How much of the window went by waiting for answers, up to ``waiting_since``."""
    waiting_since: datetime | None = None
    waited_in_all: timedelta = timedelta(0)
    """The same since its launch, whatever became of the window; nothing of one that has ended
    without its ``tools_for``, beside which alone it says something."""
    tools_for: timedelta | None = None
    """As ``Ended.tools_for``. Known from the end on."""
    stop_requested_by: str | None = None
    stop_reason: str = ""
    """Why, in one line, where that does not follow from who asked."""
    resumes: int = 0
    """How often another process has taken it over."""
    relaunches: int = 0
    """How often it was cut off and told to go on."""
    relaunch_message: str | None = None
    """The newest message that told it so."""
    supervisor_agent: str = ""
    """The agent whose model asked for it; empty where a person did."""
    runtime: str = ev.FIRST_RUNTIME
    """What runs it; another runtime has neither its session nor its supervisor's."""
    limits: Limits = Limits()
    """What it may use, with all that is below it."""
    reached: Reached | None = None
    """Which of its limits it has reached."""
    depth: int = 1
    """As ``Registered`` says."""
    above: str = ""
    """The delegation whose agent delegated it; its supervisor is that one's session."""
    tree: str = ""
    """As ``Registered`` says: in whose isolated tree it works; empty if in none."""
    labels: tuple[str, ...] = ()
    note: str = ""
    """Both are people's own, and nothing for models."""

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def circle(self) -> str:
        """The session that has it among its own: a conversation's root, or a delegation's."""
        return self.parent_session if self.above else self.root_session

    @property
    def isolation(self) -> str:
        """How it is kept apart, as ``Order.isolation`` names it; empty if it is not."""
        return WORKTREE if self.tree else ""

    @property
    def is_unread(self) -> bool:
        return is_unread(self.status, self.read_at)

    @property
    def is_cut(self) -> bool:
        return bool(self.cut)

    @property
    def open_steers(self) -> tuple[Steer, ...]:
        """The instructions that nobody has seen taken up."""
        return tuple(steer for steer in self.steers if steer.confirmed_at is None)

    def silent_for(self, now: datetime) -> timedelta:
        """Return how long its next message has to wait; nothing while its budget lasts."""
        if len(self.spoke_at) < MESSAGES_AT_ONCE:
            return timedelta(0)
        # A clock that was set back must not silence it for longer than it ever is.
        wait = self.spoke_at[0] + MESSAGES_WINDOW - now
        return min(max(wait, timedelta(0)), MESSAGES_WINDOW)

    def window_used(self, now: datetime) -> timedelta:
        """Return how much of the time window is gone; waiting for an answer takes none of it."""
        if self.window_from is None:
            return timedelta(0)
        return (self.waiting_since or now) - self.window_from - self.waited

    def elapsed(self, now: datetime) -> timedelta:
        """Return how long it has run, or ran; before the launch, how long it has waited.

        By the wall clock where no better one was at hand; never negative.
        """
        if self.ran_for is not None:
            return self.ran_for
        span = (self.ended_at or now) - (self.launched_at or self.registered_at)
        return max(span, timedelta(0))

    @property
    def model_told(self) -> str:
        """The models that answered, or else the one that was asked for; empty if unknown."""
        return ", then ".join(self.models) or self.model or ""


def register(event: ev.Registered) -> Delegation:
    """Return the delegation that ``event`` brings into being."""
    facts = msgspec.structs.asdict(event)
    return Delegation(registered_at=facts.pop("at"), **facts)


def apply(delegation: Delegation, event: ev.Event) -> Delegation:
    """Return the delegation as it is after ``event``.

    Raises:
        IllegalTransition: the event may not happen in the delegation's status.
    """
    status = target(delegation.status, type(event))
    if status is None:
        raise IllegalTransition(delegation.id, delegation.status, type(event).__name__)
    changed = msgspec.structs.replace(delegation, status=status, version=delegation.version + 1)
    return _with_facts(changed, event)


def replay(first: ev.Registered, later: Iterable[ev.Event]) -> Delegation:
    """Return the delegation that a whole history leads to."""
    return reduce(apply, later, register(first))


def _with_facts(now: Delegation, event: ev.Event) -> Delegation:
    """Record what ``event`` says beyond the change of status."""
    replace = msgspec.structs.replace
    match event:
        case ev.Launched():
            return replace(
                now,
                session=event.session,
                prompt_message=event.message,
                launched_at=event.at,
                window_from=event.at,
            )
        case ev.Progressed():
            return replace(now, usage=event.usage)
        case ev.InputRequested():
            asked = (*_without_request(now, event.ask.id), OpenRequest(event.ask, event.at))
            return replace(now, requests=asked, waiting_since=now.waiting_since or event.at)
        case ev.InputAnswered():
            return _answered(now, event)
        case ev.ParentNotified(kept=True):
            return replace(now, kept=(*now.kept, event.text))
        case ev.ParentNotified() | ev.KeptTold():
            spoke_at = (*now.spoke_at, event.at)[-MESSAGES_AT_ONCE:]
            kept = () if isinstance(event, ev.KeptTold) else now.kept
            return replace(now, spoke_at=spoke_at, kept=kept)
        case ev.SteerSent():
            steers = (*now.steers, Steer(event.steer, event.text, event.at, by=event.by))
            if event.by in OF_ITSELF:
                return replace(now, steers=steers)
            return replace(
                now,
                steers=steers,
                window_from=event.at,
                waited=timedelta(0),
                waiting_since=event.at if now.waiting_since else None,
                waited_in_all=_waited_in_all(now, event.at),
            )
        case ev.SteerConfirmed():
            return replace(now, steers=tuple(_confirmed(now.steers, event)))
        case ev.Annotated():
            return replace(now, labels=event.labels, note=event.note)
        case ev.Extended():
            timeout = now.timeout + event.more if now.timeout and event.more else None
            return replace(now, timeout=timeout)
        case ev.StopRequested():
            return replace(now, stop_requested_by=event.by, stop_reason=event.why)
        case ev.LimitReached():
            return replace(now, reached=event.reached)
        case ev.Resumed():
            return replace(now, owner=event.owner, resumes=now.resumes + 1)
        case ev.Relaunched():
            return replace(
                now,
                relaunches=now.relaunches + 1,
                relaunch_message=event.message,
                window_from=event.at,
                waited=timedelta(0),
            )
        case ev.Described():
            return replace(now, title=event.title, summary=event.summary)
        case ev.ChangesMade():
            return replace(now, changes=event.changes)
        case ev.Read():
            return replace(now, read_at=now.read_at or event.at)
        case ev.Ended():
            return _ended(now, event)
        case _:
            return now


def _ended(now: Delegation, event: ev.Ended) -> Delegation:
    is_timed = event.tools_for is not None
    return msgspec.structs.replace(
        now,
        ended_at=event.at,
        title=event.title or now.title,
        summary=event.summary,
        usage=event.usage,
        result_chars=event.result_chars,
        error=getattr(event, "error", None),
        models=event.models or now.models,
        cut=getattr(event, "cut", None),
        ran_for=event.ran_for,
        changes=event.changes,
        requests=(),
        waiting_since=None,
        waited_in_all=_waited_in_all(now, event.at) if is_timed else timedelta(0),
        tools_for=event.tools_for,
        spoke_at=(),
        kept=(),
    )


def _waited_in_all(now: Delegation, at: datetime) -> timedelta:
    """Return how long it has waited for answers up to a moment."""
    return now.waited_in_all + max(at - (now.waiting_since or at), timedelta(0))


def _answered(now: Delegation, event: ev.InputAnswered) -> Delegation:
    left = _without_request(now, event.request)
    if left:
        return msgspec.structs.replace(now, requests=left, status=Status.WAITING)
    waited = now.waited + (event.at - (now.waiting_since or event.at))
    return msgspec.structs.replace(
        now,
        requests=(),
        waited=waited,
        waiting_since=None,
        waited_in_all=_waited_in_all(now, event.at),
    )


def _without_request(delegation: Delegation, request: str) -> tuple[OpenRequest, ...]:
    return tuple(one for one in delegation.requests if one.id != request)


def _confirmed(steers: Iterable[Steer], event: ev.SteerConfirmed) -> Iterable[Steer]:
    """Mark the confirmed steer, and the older ones that the same answer took up."""
    listed = list(steers)
    upto = next((i for i, steer in enumerate(listed) if steer.id == event.steer), -1)
    for index, steer in enumerate(listed):
        taken_up = index <= upto and steer.confirmed_at is None
        yield msgspec.structs.replace(steer, confirmed_at=event.at) if taken_up else steer
