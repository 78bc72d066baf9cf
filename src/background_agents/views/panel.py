"""The read model of the panel in a host's own screen: ready lines, rows of a list, and news.

Pure functions of records and sheets: what is shown, in which order, how it is cut, and what a
person may do with a delegation now. The panel places and colours it. States are words and signs,
so that nothing is said by a colour alone; times are told in steps of a minute, since each change
has a whole screen drawn anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from background_agents.domain.columns import columns, cut
from background_agents.domain.delegation import Delegation
from background_agents.domain.status import Status
from background_agents.domain.text import (
    LINE_CHARS,
    NAME_CHARS,
    age,
    money,
    one_line,
)
from background_agents.views import board
from background_agents.views.json import ActiveSheet
from background_agents.views.notices import asks_title, ended_title


class Word(NamedTuple):
    """A state as the panel shows it."""

    sign: str
    text: str
    tone: str


WORDS: Mapping[Status, Word] = {
    Status.REGISTERED: Word("○", "queued", "faint"),
    Status.RUNNING: Word("●", "running", "plain"),
    Status.WAITING: Word("?", "asks", "urgent"),
    Status.COMPLETED: Word("✓", "completed", "good"),
    Status.FAILED: Word("✗", "failed", "bad"),
    Status.STOPPED: Word("■", "stopped", "plain"),
    Status.TIMED_OUT: Word("✗", "timed out", "bad"),
    Status.INTERRUPTED: Word("✗", "interrupted", "bad"),
}

URGENT_FIRST = (Status.WAITING, Status.RUNNING, Status.REGISTERED)
"""Those that have ended come after these."""


class Span(msgspec.Struct, frozen=True):
    """A piece of a line."""

    text: str
    tone: str = "plain"
    """``plain``, ``strong``, ``faint``, ``urgent``, ``good`` or ``bad``."""


Line = tuple[Span, ...]


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something for a notice on the desktop: nothing that an agent wrote."""

    key: str
    """The same news has the same key, in every process."""
    kind: str
    """``ended`` or ``asks``."""
    title: str
    message: str
    session: str
    """The conversation whose it is."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the panel shows of one session, or of a whole project."""

    session: str
    """As it was asked for."""
    counter: str = ""
    """For the line of the prompt; empty where nothing is active and nothing unread."""
    head: str = ""
    lines: tuple[Line, ...] = ()
    """Two for each delegation; none where there is nothing to show."""
    ids: tuple[str, ...] = ()
    """Of the delegations, in the order of their lines."""
    more: str = ""
    """What is not among the lines."""
    news: tuple[News, ...] = ()
    note: str = ""
    """What is wrong, in one line."""


class Row(NamedTuple):
    """A delegation, and what a program is told of it now."""

    one: Delegation
    sheet: ActiveSheet
    """Also of one that has ended, which has no live facts."""
    is_gone: bool = False
    """The process that ran it has ended, and nobody has taken it over."""


def in_order(found: Iterable[Delegation]) -> list[Delegation]:
    """Return what asks, then what runs, then the queue, oldest first; then the newest ended."""
    listed = list(found)
    active = sorted(
        (one for one in listed if not one.is_terminal),
        key=lambda one: (URGENT_FIRST.index(one.status), one.registered_at),
    )
    ended = [one for one in listed if one.ended_at is not None]
    return [*active, *sorted(ended, key=lambda one: one.ended_at or one.registered_at)[::-1]]


def counter(found: Sequence[Delegation]) -> str:
    """Say in a few words how many there are of what needs to be known."""
    states = [one.status for one in found]
    told = [(states.count(one), WORDS[one].text) for one in URGENT_FIRST]
    told.append((sum(one.is_unread for one in found), "unread"))
    told = [(count, "ask" if count > 1 and word == "asks" else word) for count, word in told]
    return " · ".join(f"{count} {word}" for count, word in told if count)


def lines(row: Row, now: datetime, width: int) -> tuple[Line, Line]:
    """Return the two lines of a delegation, each at most ``width`` columns."""
    word, end = WORDS[row.one.status], right(row)
    room = max(width - columns(end) - 3, 0)
    title = cut(one_line(row.one.title, LINE_CHARS), room)
    gap = " " * max(width - 2 - columns(title) - columns(end), 1)
    first = (Span(f"{word.sign} ", word.tone), Span(title), Span(gap + end, word.tone))
    second = cut(f"  {told(row, now)}", width)
    return first, (Span(second, "urgent" if row.one.requests else "faint"),)


def right(row: Row) -> str:
    """Return the state in a word, of what runs within a limit the time that is left."""
    live = row.sheet.live
    if live is None or live.time_left_s is None or row.one.status is not Status.RUNNING:
        return WORDS[row.one.status].text
    return f"{_coarse(timedelta(seconds=live.time_left_s))} left"


def _facts(row: Row, now: datetime) -> Iterator[str]:
    one, live = row.one, row.sheet.live
    yield one_line(one.agent, NAME_CHARS)
    if one.error:
        yield one_line(one.error)
    elif one.requests:
        yield board.asked(row.sheet.delegation)
    elif live is None and not one.is_terminal:
        yield "its OpenCode is gone" if row.is_gone else "in another OpenCode"
    elif live is not None and live.place is not None:
        yield f"number {live.place} in the queue"
    else:
        if one.usage.cost_usd:  # where no price is known there is none to tell
            yield money(one.usage.cost_usd, one.usage.unpriced_turns)
        ended = f"{_coarse(now - one.ended_at)} ago" if one.ended_at else ""
        yield ended or board.doing(row.sheet, is_gone=False)


def told(row: Row, now: datetime) -> str:
    """Return what else is worth knowing, the first of it where there is little room."""
    return " · ".join(filter(None, _facts(row, now)))


def _coarse(span: timedelta) -> str:
    return age(span) if span >= timedelta(minutes=1) else "<1m"


def shown(
    session: str,
    found: Sequence[Delegation],
    rows: Sequence[Row],
    now: datetime,
    width: int,
    news: Sequence[News],
) -> Shown:
    """Return what the panel shows of delegations in order, of which ``rows`` are the first."""
    left = len(found) - len(rows)
    return Shown(
        session=session,
        counter=counter(found),
        head="Delegations" if found else "",
        lines=tuple(line for row in rows for line in lines(row, now, width)),
        ids=tuple(row.one.id for row in rows),
        more=f"+{left} more" if left else "",
        news=tuple(news),
    )


def news(one: Delegation) -> list[tuple[datetime, News]]:
    """Return what there is to tell of a delegation, with when it came about."""
    if one.ended_at is not None:
        told = f"has ended: {WORDS[one.status].text}"
        return [(one.ended_at, _news(one, "ended", "ended", ended_title(one.status), told))]
    return [
        (
            asked.asked_at,
            _news(one, f"asks:{asked.id}", "asks", asks_title(asked.ask), "waits for an answer"),
        )
        for asked in one.requests
    ]


def _news(one: Delegation, key: str, kind: str, title: str, told: str) -> News:
    return News(
        key=f"{one.id}:{key}",
        kind=kind,
        title=title,
        message=f"{one.id} {told}",
        session=one.root_session,
    )
