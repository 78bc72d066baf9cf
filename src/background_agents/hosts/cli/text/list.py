"""The read model of lists for people: what stands in each cell of a line.

Pure functions of lines. What agents wrote is one line here, without control characters; how
wide a terminal is, and which colours it has, is the command line's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, quote
from background_agents.domain.text import NAME_CHARS, age, counted, money, one_line, span
from background_agents.hosts.cli.colours import Colour
from background_agents.ports.storage import Line
from background_agents.views.changes import brief
from background_agents.views.model import state

_SHORT_CHARS = 24
"""Of an agent or a project in a line of many things."""


Cell = Callable[[Delegation, datetime], str]


class Column(NamedTuple):
    """What stands below one head."""

    about: str
    cell: Cell
    colour: Colour | None = Colour.FAINT
    is_number: bool = False


def _title(one: Delegation | Line) -> str:
    return one_line(f"(below {one.above}) {one.title}" if one.above else one.title)


def _age(one: Delegation | Line, now: datetime) -> str:
    return age(now - (one.ended_at or one.registered_at))


def _cost(one: Delegation) -> str:
    return money(one.usage.cost_usd, one.usage.unpriced_turns)


COLUMNS: Mapping[str, Column] = {
    "id": Column("its id", lambda one, _: one_line(one.id, NAME_CHARS), None),
    "state": Column("where it stands", lambda one, _: state(one), None),
    "unread": Column("* where it has ended unread", lambda one, _: "*" if one.is_unread else " ",
                     Colour.STRONG),
    "age": Column("since its end, or since it was delegated", _age),
    "agent": Column("who does it", lambda one, _: one_line(one.agent, _SHORT_CHARS)),
    "project": Column("of which project, with --all-projects", lambda _one, _: ""),
    "changes": Column("what it changed", lambda one, _: brief(one.changes)),
    "labels": Column("what `label` has called it", lambda one, _: " ".join(one.labels)),
    "title": Column("what it is about", lambda one, _: _title(one), None),
    "model": Column("what it ran on", lambda one, _: one_line(one.model_told, NAME_CHARS)),
    "elapsed": Column("how long it ran, or runs", lambda one, now: span(one.elapsed(now)),
                      is_number=True),
    "tokens": Column("all of its tokens", lambda one, _: f"{one.usage.tokens:,}", is_number=True),
    "cost": Column("as far as prices are known", lambda one, _: _cost(one), is_number=True),
    "calls": Column("of tools", lambda one, _: f"{one.usage.tool_calls:,}", is_number=True),
    "turns": Column("calls of its model", lambda one, _: f"{one.usage.turns:,}", is_number=True),
    "delegated": Column("when", lambda one, _: f"{one.registered_at.astimezone():%F %H:%M}"),
    "directory": Column("where", lambda one, _: one_line(one.directory)),
    "session": Column("its session in OpenCode", lambda one, _: one.session or ""),
}  # fmt: skip
"""All that a list can show, by name."""

USUAL = ("id", "state", "unread", "age", "agent", "project", "changes", "title")
"""What it shows unless it is told; a ``Line`` is enough for these."""

_WORTH = ("session", "turns", "calls", "directory", "delegated", "agent", "age", "changes",
          "model", "project", "labels", "tokens", "elapsed", "cost")  # fmt: skip
"""In this order columns go where a terminal is narrow; the rest stays."""


def chosen(given: str | None) -> Sequence[str]:
    """Return the columns that ``a,b,c`` names. Raises ``InvalidRequest``."""
    names = [name.strip() for name in given.split(",")] if given is not None else list(USUAL)
    for name in names:
        if name not in COLUMNS:
            raise InvalidRequest(
                f"There is no column {quote(name)}; choose of: {', '.join(COLUMNS)}."
            )
    return list(dict.fromkeys(names))


def spare(columns: Sequence[str]) -> Sequence[int]:
    """Return the places of the columns that may go, the first to go first."""
    return [columns.index(name) for name in _WORTH if name in columns]


def cells(
    one: Delegation | Line, columns: Sequence[str], project: str, now: datetime
) -> Sequence[str]:
    """Return what a list shows of a delegation; a ``Line`` has no more than the usual columns."""
    named = one_line(project, _SHORT_CHARS)
    return [named if name == "project" else _cell(name, one, now) for name in columns]


def _cell(name: str, one: Delegation | Line, now: datetime) -> str:
    return COLUMNS[name].cell(cast(Delegation, one), now)


def more(shown: int, total: int) -> str:
    """Say how many delegations a list left out, and how to see them."""
    return f"{total - shown:,} more of {total:,}; -n 0 shows all, a query or --since fewer."


def pruned(count: int, unread: int, *, dry_run: bool) -> str:
    """Say what a prune deleted, or would delete."""
    what = counted(count, "delegation")
    said = f"{what} would be deleted." if dry_run else f"Deleted {what}."
    kept = f" {unread:,} more are old enough but unread; --unread deletes these, too."
    return said + kept if unread else said


NOTHING = "No delegation is like that."
