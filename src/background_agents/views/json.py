"""The read model for programs: a delegation as JSON, the same on every surface.

Pure functions of records. Field names and meanings are a contract with scripts: a field may be
added, none is renamed or removed without a new major version. Times are ISO 8601 in UTC,
durations are seconds. What agents wrote stands here as they wrote it, bounded where said: JSON
escapes, and whoever prints it to a terminal makes it fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from background_agents.domain.delegation import Delegation, OpenRequest
from background_agents.domain.events import FIRST_RUNTIME, Event, Usage
from background_agents.domain.limits import Limits
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.statistics import By, Summary
from background_agents.views.events import told
from background_agents.views.limits import used
from background_agents.views.live import Live, Position, activity, running, tail

_Kind = TypeVar("_Kind")

PEEK_CHARS = 20_000
"""Some ten screens of a terminal."""


class RequestSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A permission or a question that waits for an answer."""

    id: str
    kind: Annotated[str, Meta(description="`permission` or `question`")]
    text: Annotated[str, Meta(description="what is asked, on one line of at most 300 characters")]
    asked_at: datetime


class RetrySheet(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that refuses for now."""

    attempt: int
    message: str
    next_at: datetime | None


class ChangesSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of what a delegation changed; what was undone does not count."""

    files: Annotated[int, Meta(description="how many files are other than before")]
    added: Annotated[int, Meta(description="lines added, of files that are text")]
    removed: Annotated[int, Meta(description="lines removed")]
    uncertain: Annotated[
        int, Meta(description="files of which it is not sure that it was this delegation")
    ]
    names: Annotated[
        tuple[str, ...],
        Meta(description="the first of them, from the top of the tree; `a → b` was renamed"),
    ]
    open: Annotated[
        tuple[str, ...],
        Meta(description="what may go on writing although it has ended, a sentence each"),
    ]
    apart: Annotated[
        str,
        Meta(
            description="`not applied`, `applied`, `discarded` or `gone` for those of an isolated "
            "tree; else empty"
        ),
    ]
    strayed: Annotated[
        str, Meta(description="what happened outside of that tree meanwhile, as a sentence")
    ]


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation as it is stored."""

    id: str
    title: str
    summary: str
    agent: str
    model: Annotated[str | None, Meta(description="`provider/model-id`, where one was asked for")]
    ran_on: Annotated[
        str | None,
        Meta(
            description="the model that answered last, as `provider/model-id`, with its variant in "
            "parentheses; null: none has, or that is not known yet"
        ),
    ]
    models: Annotated[
        tuple[str, ...], Meta(description="all that have answered; the newest is the last")
    ]
    state: Annotated[
        str,
        Meta(
            description="`registered`, `running`, `waiting`, `completed`, `failed`, `stopped`, "
            "`timed_out` or `interrupted`"
        ),
    ]
    unread: Annotated[bool, Meta(description="it has ended, and the supervisor has not read it")]
    error: Annotated[str | None, Meta(description="why it did not complete, in one line")]
    cut: Annotated[
        str | None,
        Meta(
            description="why the result of a completed one may not be whole, as the model said it: "
            "`length` is its output limit; null: it is whole"
        ),
    ]
    project: str
    directory: str
    root_session: str
    parent_session: Annotated[str, Meta(description="the session that delegated it")]
    session: Annotated[str | None, Meta(description="the child session, once there is one")]
    runtime: Annotated[
        str, Meta(description="what has these sessions: `opencode-1` or `opencode-2`")
    ] = FIRST_RUNTIME
    registered_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    read_at: datetime | None
    elapsed_s: Annotated[float, Meta(description="how long it has run, or ran")]
    timeout_s: Annotated[float | None, Meta(description="its time window; null = none")]
    tokens: int
    cost_usd: float
    tool_calls: int
    turns: Annotated[int, Meta(description="calls of a model, those of sub-agents included")] = 0
    unpriced_turns: Annotated[
        int, Meta(description="those whose price is unknown; they count 0 in `cost_usd`")
    ] = 0
    max_turns: Annotated[int | None, Meta(description="its limit of turns; null = none")] = None
    max_tokens: Annotated[
        int | None,
        Meta(description="its limit of tokens, those that are read from a cache not counted"),
    ] = None
    max_cost_usd: Annotated[float | None, Meta(description="its limit of cost")] = None
    counted_tokens: Annotated[int, Meta(description="what `max_tokens` counts")] = 0
    reached: Annotated[
        str | None, Meta(description="the limit that it has reached, such as `limit of 20 turns`")
    ] = None
    steers_confirmed: int
    steers_pending: int
    requests: tuple[RequestSheet, ...]
    resumed: Annotated[int, Meta(description="how often it was cut off and told to go on")]
    continued_from: Annotated[str | None, Meta(description="id of the one that it goes on from")]
    retry_of: Annotated[str | None, Meta(description="id of the one that it does once more")] = None
    depth: Annotated[int, Meta(description="1 where a conversation delegated it")] = 1
    above: Annotated[
        str | None, Meta(description="id of the one whose agent delegated it, if one did")
    ] = None
    result_chars: int
    changes: Annotated[
        ChangesSheet | None,
        Meta(description="what it changed, so far; null where that is nothing yet"),
    ] = None
    as_of: Annotated[
        datetime,
        Meta(
            description="when tokens, cost, tool calls and models were as told here; of an active "
            "one whose process does not answer, when it began"
        ),
    ]
    owner: Annotated[
        str, Meta(description="the process that supervises, or supervised, it: `pid:start`")
    ]
    labels: Annotated[tuple[str, ...], Meta(description="what people have called it")] = ()
    note: Annotated[str, Meta(description="what people have noted of it")] = ""


class CallSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that is not over."""

    tool: str
    title: Annotated[str, Meta(description="what it is about, such as the command that runs")]
    began_at: datetime | None


class LiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What only the process that runs a delegation knows of it."""

    time_left_s: float | None
    place: Annotated[int | None, Meta(description="its place in the queue for a slot, from 1")]
    heard_at: Annotated[datetime | None, Meta(description="the agent's last sign of life")]
    retry: RetrySheet | None
    last: Annotated[str, Meta(description="what the agent did last, in one line")]
    running: Annotated[
        tuple[CallSheet, ...], Meta(description="the tool calls that are not over, oldest first")
    ] = ()


class ActiveSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation that has not ended."""

    delegation: Sheet
    live: Annotated[
        LiveFacts | None,
        Meta(
            description="null where the process that runs it has ended or does not answer; the "
            "rest is then what was stored last"
        ),
    ]


class SteerSheet(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction that was put into a run, and its receipt."""

    text: str
    by: Annotated[str, Meta(description="`supervisor`, `command line` or `panel`")]
    sent_at: datetime
    confirmed_at: Annotated[datetime | None, Meta(description="when it was taken up")]


class PeekSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A run, looked into."""

    active: ActiveSheet
    text: Annotated[str, Meta(description="what the agent has written, the newest part of it")]
    cut: Annotated[int, Meta(description="characters before that, which are not shown")]
    steers: tuple[SteerSheet, ...]


class ListSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `list`."""

    total: Annotated[int, Meta(description="how many there are, shown or not")]
    delegations: tuple[Sheet, ...]


class EventSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""

    at: datetime
    event: Annotated[str, Meta(description="its kind, such as `Launched` or `SteerConfirmed`")]
    text: Annotated[str, Meta(description="in words, on one line of at most 700 characters")]


class NoticeSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A message to the supervisor."""

    id: str
    kind: Annotated[str, Meta(description="`ended`, `request` or `message`")]
    state: Annotated[
        str,
        Meta(
            description="`queued`, `assigned` (perhaps sent), `confirmed` (seen in the "
            "supervisor's transcript) or `dropped` (the supervisor is gone, or it was answered)"
        ),
    ]
    created_at: datetime
    supervisor: str
    message: Annotated[str | None, Meta(description="id of the message that carries it")]
    text: Annotated[str | None, Meta(description="what is sent, once that is fixed")]


class ShowSheet(Sheet, frozen=True, kw_only=True):
    """The answer of `show`: all that is stored of a delegation but its result."""

    prompt: str
    artifact: Annotated[str | None, Meta(description="the file of its result, once it has ended")]
    steers: tuple[SteerSheet, ...]
    history: tuple[EventSheet, ...]
    notices: tuple[NoticeSheet, ...]


class ExportSheet(ShowSheet, frozen=True, kw_only=True):
    """A line of `export`: all that is stored of a delegation."""

    result: Annotated[str | None, Meta(description="null: it is active, or its file is gone")]


class ReadSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `read`."""

    id: str
    title: str
    state: str
    error: str | None
    path: Annotated[str, Meta(description="the file of the result")]
    result: str


class GroupSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of some delegations."""

    key: Annotated[str, Meta(description="the agent, model, day or state; `all`")]
    count: int
    states: Annotated[dict[str, int], Meta(description="how many are in which state")]
    success_rate: Annotated[
        float | None, Meta(description="completed, as a share of those that have ended")
    ]
    median_s: Annotated[float | None, Meta(description="how long those ran that have ended")]
    p90_s: Annotated[float | None, Meta(description="what nine of ten did not exceed")]
    tokens: int
    cost_usd: float
    tool_calls: int
    unpriced_turns: Annotated[
        int, Meta(description="calls of a model whose price is unknown; they count 0 in `cost_usd`")
    ] = 0
    model_s: Annotated[
        float, Meta(description="seconds of those that have ended in which their model worked")
    ] = 0.0
    tools_s: Annotated[float, Meta(description="in which a tool was at work")] = 0.0
    waiting_s: Annotated[
        float, Meta(description="in which they waited for a permission or an answer")
    ] = 0.0
    queue_s: Annotated[
        float, Meta(description="in which they waited for a slot and for their launch")
    ] = 0.0
    untimed: Annotated[
        int,
        Meta(description="how many have ended before that was noted, and count in none of these"),
    ] = 0


class StatsSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `stats`."""

    since: datetime | None
    by: Annotated[str, Meta(description="`agent`, `model`, `day` or `state`")]
    whole: GroupSheet
    groups: tuple[GroupSheet, ...]


class HookSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What `notify_command` gets on its stdin."""

    what: Annotated[str, Meta(description="`ended` or `request`: it waits for an answer")]
    title: Annotated[str, Meta(description="what has happened, in a few words of ours")]
    message: Annotated[
        str, Meta(description="to whom and why, on one line; an agent wrote some of its words")
    ]
    delegation: Sheet


class PruneSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `prune`."""

    deleted: Annotated[
        tuple[str, ...], Meta(description="ids; with --dry-run, of what would be deleted")
    ]
    kept_unread: Annotated[
        int, Meta(description="how many are old enough and were kept, since they are unread")
    ]
    kept_unapplied: Annotated[
        tuple[str, ...],
        Meta(description="ids of those that were kept since what they have changed is not applied"),
    ]
    dry_run: bool


def sheet(delegation: Delegation, now: datetime) -> Sheet:
    """Return what a program is told of a delegation, be that from its run or as it is stored."""
    begun = delegation.launched_at or delegation.registered_at
    is_from_run = delegation.ran_for is not None
    is_seen = delegation.is_terminal or delegation.changes.files > 0
    pending = len(delegation.open_steers)
    return Sheet(
        id=delegation.id,
        title=delegation.title,
        summary=delegation.summary,
        agent=delegation.agent,
        model=delegation.model,
        ran_on=delegation.models[-1] if delegation.models else None,
        models=delegation.models,
        state=delegation.status.value,
        unread=delegation.is_unread,
        error=delegation.error,
        cut=delegation.cut,
        project=delegation.project,
        directory=delegation.directory,
        root_session=delegation.root_session,
        parent_session=delegation.parent_session,
        session=delegation.session or None,
        runtime=delegation.runtime,
        registered_at=delegation.registered_at,
        started_at=delegation.launched_at,
        ended_at=delegation.ended_at,
        read_at=delegation.read_at,
        elapsed_s=delegation.elapsed(now).total_seconds(),
        timeout_s=_seconds(delegation.timeout),
        tokens=delegation.usage.tokens,
        cost_usd=delegation.usage.cost_usd,
        tool_calls=delegation.usage.tool_calls,
        turns=delegation.usage.turns,
        unpriced_turns=delegation.usage.unpriced_turns,
        max_turns=delegation.limits.max_turns,
        max_tokens=delegation.limits.max_tokens,
        max_cost_usd=delegation.limits.max_cost_usd,
        counted_tokens=delegation.usage.counted_tokens,
        reached=delegation.reached.what if delegation.reached else None,
        steers_confirmed=len(delegation.steers) - pending,
        steers_pending=pending,
        requests=tuple(map(request_sheet, delegation.requests)),
        resumed=delegation.relaunches,
        continued_from=delegation.continued_from,
        retry_of=delegation.retry_of,
        depth=delegation.depth,
        above=delegation.above or None,
        result_chars=delegation.result_chars,
        changes=_like(delegation.changes, ChangesSheet) if is_seen else None,
        as_of=delegation.ended_at or (now if is_from_run else begun),
        owner=delegation.owner,
        labels=delegation.labels,
        note=delegation.note,
    )


def on(one: Sheet) -> str:
    """Return the models that answered, or else the one that was asked for; empty if unknown."""
    return ", then ".join(one.models) or one.model or ""


def limits_of(one: Sheet) -> str:
    """Say how much of each limit is used; empty where nothing is limited."""
    limits = Limits(one.max_cost_usd, one.max_tokens, one.max_turns)
    usage = Usage(
        one.counted_tokens,
        cost_usd=one.cost_usd,
        turns=one.turns,
        unpriced_turns=one.unpriced_turns,
    )
    return used(limits, usage)


def active_sheet(live: Live) -> ActiveSheet:
    """Return what a program is told of an active delegation."""
    facts = LiveFacts(
        time_left_s=_seconds(live.time_left),
        place=live.place,
        heard_at=live.heard_at,
        retry=_like(live.retry, RetrySheet) if live.retry else None,
        last=activity(live.transcript),
        running=_like(running(live.transcript), tuple[CallSheet, ...]),
    )
    return ActiveSheet(delegation=sheet(live.delegation, live.now), live=facts)


def peek_sheet(live: Live) -> PeekSheet:
    """Return what a program is told of a run that is looked into."""
    text = tail(live.transcript, Position()).text
    return PeekSheet(
        active=active_sheet(live),
        text=text[-PEEK_CHARS:],
        cut=max(len(text) - PEEK_CHARS, 0),
        steers=_like(live.delegation.steers, tuple[SteerSheet, ...]),
    )


def request_sheet(request: OpenRequest) -> RequestSheet:
    """Return what a program is told of an open request."""
    return RequestSheet(
        id=request.id, kind=request.ask.kind, text=request.ask.text, asked_at=request.asked_at
    )


def show_sheet(
    delegation: Delegation,
    known: Sheet,
    *,
    artifact: Path,
    history: Sequence[Event],
    notices: Sequence[Notice],
) -> ShowSheet:
    """Return what a program is told of all that is known of a delegation.

    ``known`` is its sheet, by the process that runs it where one does.
    """
    return ShowSheet(
        **msgspec.structs.asdict(known),
        prompt=delegation.prompt,
        artifact=str(artifact) if delegation.is_terminal else None,
        steers=_like(delegation.steers, tuple[SteerSheet, ...]),
        history=tuple(map(event_sheet, history)),
        notices=_like(notices, tuple[NoticeSheet, ...]),
    )


def export_sheet(shown: ShowSheet, result: str | None) -> ExportSheet:
    """Return what is exported of a delegation."""
    return ExportSheet(**msgspec.structs.asdict(shown), result=result)


def stats_sheet(
    whole: Summary, groups: Sequence[Summary], by: By, since: datetime | None
) -> StatsSheet:
    """Return what a program is told of numbers."""
    return StatsSheet(
        since=since,
        by=by.value,
        whole=_like(whole, GroupSheet),
        groups=_like(groups, tuple[GroupSheet, ...]),
    )


def hook_sheet(
    delegation: Delegation, now: datetime, kind: NoticeKind, title: str, message: str
) -> HookSheet:
    """Return what a program is told when a delegation ends or asks."""
    return HookSheet(
        what=kind.value, title=title, message=message, delegation=sheet(delegation, now)
    )


def read_sheet(one: Delegation, path: Path, result: str) -> ReadSheet:
    """Return what a program is told of a result."""
    state = one.status.value
    return ReadSheet(
        id=one.id, title=one.title, state=state, error=one.error, path=str(path), result=result
    )


def event_sheet(event: Event) -> EventSheet:
    """Return what a program is told of an event."""
    return EventSheet(at=event.at, event=type(event).__name__, text=told(event))


def _like(one: object, kind: type[_Kind]) -> _Kind:
    """Return what a record holds under the names that a sheet has."""
    return msgspec.convert(one, kind, from_attributes=True)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
