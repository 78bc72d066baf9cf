"""The read model for programs: a delegation as JSON, the same on every surface.

Pure functions of records. Field names and meanings are a contract with scripts: a field may be
added, none is renamed or removed without a new major version. Times are ISO 8601 in UTC,
durations are seconds. What agents wrote stands here as they wrote it, bounded where said: JSON
escapes, and whoever prints it to a terminal makes it fit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents.domain.delegation import Delegation, OpenRequest, Steer
from background_agents.views.live import Live, Position, activity, running, tail

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
    registered_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    read_at: datetime | None
    elapsed_s: Annotated[float, Meta(description="how long it has run, or ran")]
    timeout_s: Annotated[float | None, Meta(description="its time window; null = none")]
    tokens: int
    cost_usd: float
    tool_calls: int
    steers_confirmed: int
    steers_pending: int
    requests: tuple[RequestSheet, ...]
    resumed: Annotated[int, Meta(description="how often it was cut off and told to go on")]
    continued_from: Annotated[str | None, Meta(description="id of the one that it goes on from")]
    result_chars: int
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
    by: Annotated[str, Meta(description="`supervisor` or `command line`")]
    sent_at: datetime
    confirmed_at: Annotated[datetime | None, Meta(description="when it was taken up")]


class PeekSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A run, looked into."""

    active: ActiveSheet
    text: Annotated[str, Meta(description="what the agent has written, the newest part of it")]
    cut: Annotated[int, Meta(description="characters before that, which are not shown")]
    steers: tuple[SteerSheet, ...]


def sheet(one: Delegation, now: datetime) -> Sheet:
    """Return what a program is told of a delegation, be that from its run or as it is stored."""
    is_from_run = one.ran_for is not None
    known_at = one.ended_at or (now if is_from_run else one.launched_at or one.registered_at)
    pending = len(one.open_steers)
    return Sheet(
        id=one.id,
        title=one.title,
        summary=one.summary,
        agent=one.agent,
        model=one.model,
        ran_on=one.models[-1] if one.models else None,
        models=one.models,
        state=one.status.value,
        unread=one.is_terminal and one.read_at is None,
        error=one.error,
        cut=one.cut,
        project=one.project,
        directory=one.directory,
        root_session=one.root_session,
        parent_session=one.parent_session,
        session=one.session or None,
        registered_at=one.registered_at,
        started_at=one.launched_at,
        ended_at=one.ended_at,
        read_at=one.read_at,
        elapsed_s=one.elapsed(now).total_seconds(),
        timeout_s=_seconds(one.timeout),
        tokens=one.usage.tokens,
        cost_usd=one.usage.cost_usd,
        tool_calls=one.usage.tool_calls,
        steers_confirmed=len(one.steers) - pending,
        steers_pending=pending,
        requests=tuple(map(request_sheet, one.requests)),
        resumed=one.relaunches,
        continued_from=one.continued_from,
        result_chars=one.result_chars,
        as_of=known_at,
        owner=one.owner,
    )


def on(one: Sheet) -> str:
    """Return the models that answered, or else the one that was asked for; empty if unknown."""
    return ", then ".join(one.models) or one.model or ""


def active_sheet(live: Live) -> ActiveSheet:
    """Return what a program is told of an active delegation."""
    retry = live.retry
    facts = LiveFacts(
        time_left_s=_seconds(live.time_left),
        place=live.place,
        heard_at=live.heard_at,
        retry=RetrySheet(attempt=retry.attempt, message=retry.message, next_at=retry.next_at)
        if retry
        else None,
        last=activity(live.transcript),
        running=tuple(
            CallSheet(tool=call.tool, title=call.title, began_at=call.began_at)
            for call in running(live.transcript)
        ),
    )
    return ActiveSheet(delegation=sheet(live.delegation, live.now), live=facts)


def peek_sheet(live: Live) -> PeekSheet:
    """Return what a program is told of a run that is looked into."""
    text = tail(live.transcript, Position()).text
    return PeekSheet(
        active=active_sheet(live),
        text=text[-PEEK_CHARS:],
        cut=max(len(text) - PEEK_CHARS, 0),
        steers=tuple(map(steer_sheet, live.delegation.steers)),
    )


def steer_sheet(one: Steer) -> SteerSheet:
    """Return what a program is told of an instruction."""
    return SteerSheet(text=one.text, by=one.by, sent_at=one.sent_at, confirmed_at=one.confirmed_at)


def request_sheet(one: OpenRequest) -> RequestSheet:
    """Return what a program is told of an open request."""
    return RequestSheet(id=one.id, kind=one.ask.kind, text=one.ask.text, asked_at=one.asked_at)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
