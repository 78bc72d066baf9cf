"""The read model for programs: what each reading command answers with, as JSON.

Pure functions of records, under the same contract as ``sheets``: fields are added, none is
renamed or removed. ``ANSWERS`` names them all, for the reference and for its test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents.domain.delegation import Delegation
from background_agents.domain.events import Event
from background_agents.domain.notice import Notice
from background_agents.domain.statistics import By, Summary
from background_agents.views.events import told
from background_agents.views.json import Sheet, SteerSheet, steer_sheet


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


class StatsSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `stats`."""

    since: datetime | None
    by: Annotated[str, Meta(description="`agent`, `model`, `day` or `state`")]
    whole: GroupSheet
    groups: tuple[GroupSheet, ...]


class PruneSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `prune`."""

    deleted: Annotated[
        tuple[str, ...], Meta(description="ids; with --dry-run, of what would be deleted")
    ]
    kept_unread: Annotated[
        int, Meta(description="how many are old enough and were kept, since they are unread")
    ]
    dry_run: bool


def show_sheet(
    one: Delegation,
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
        prompt=one.prompt,
        artifact=str(artifact) if one.is_terminal else None,
        steers=tuple(map(steer_sheet, one.steers)),
        history=tuple(map(_event, history)),
        notices=tuple(map(_notice, notices)),
    )


def export_sheet(shown: ShowSheet, result: str | None) -> ExportSheet:
    """Return what is exported of a delegation."""
    return ExportSheet(**msgspec.structs.asdict(shown), result=result)


def stats_sheet(
    whole: Summary, groups: Sequence[Summary], by: By, since: datetime | None
) -> StatsSheet:
    """Return what a program is told of numbers."""
    return StatsSheet(
        since=since, by=by.value, whole=_group(whole), groups=tuple(map(_group, groups))
    )


def _group(one: Summary) -> GroupSheet:
    return GroupSheet(
        key=one.key,
        count=one.count,
        states={state.value: count for state, count in one.states.items()},
        success_rate=one.success_rate,
        median_s=one.median_s,
        p90_s=one.p90_s,
        tokens=one.tokens,
        cost_usd=one.cost_usd,
        tool_calls=one.tool_calls,
    )


def read_sheet(one: Delegation, path: Path, result: str) -> ReadSheet:
    """Return what a program is told of a result."""
    return ReadSheet(
        id=one.id,
        title=one.title,
        state=one.status.value,
        error=one.error,
        path=str(path),
        result=result,
    )


def _event(one: Event) -> EventSheet:
    return EventSheet(at=one.at, event=type(one).__name__, text=told(one))


def _notice(one: Notice) -> NoticeSheet:
    return NoticeSheet(
        id=one.id,
        kind=one.kind.value,
        state=one.state.value,
        created_at=one.created_at,
        supervisor=one.supervisor,
        message=one.message,
        text=one.text,
    )


ANSWERS: Mapping[str, type[msgspec.Struct]] = {
    "list": ListSheet,
    "show": ShowSheet,
    "read": ReadSheet,
    "stats": StatsSheet,
    "prune": PruneSheet,
    "export": ExportSheet,
}
"""By command; `export` writes one for each delegation."""
