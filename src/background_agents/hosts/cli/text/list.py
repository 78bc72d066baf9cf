"""The read model of lists for people: what stands in each cell of a line.

Pure functions of lines. What agents wrote is one line here, without control characters; how
wide a terminal is, and which colours it has, is the command line's business.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from background_agents.domain.text import NAME_CHARS, age, counted, one_line
from background_agents.ports.storage import Line
from background_agents.views.changes import brief
from background_agents.views.model import state

_SHORT_CHARS = 24
"""Of an agent or a project in a line of many things."""


class Cells(NamedTuple):
    """A line of a list, from the left to the right."""

    id: str
    state: str
    mark: str
    """``*`` where it has ended unread."""
    age: str
    """Since its end, or since it was delegated."""
    agent: str
    project: str
    changes: str
    """What it changed: ``7 files +3 -42``."""
    title: str


def cells(one: Line, project: str, now: datetime) -> Cells:
    """Return what a list shows of a delegation."""
    return Cells(
        id=one_line(one.id, NAME_CHARS),
        state=state(one),
        mark="*" if one.is_unread else " ",
        age=age(now - (one.ended_at or one.registered_at)),
        agent=one_line(one.agent, _SHORT_CHARS),
        project=one_line(project, _SHORT_CHARS),
        changes=brief(one.changes),
        title=one_line(f"(below {one.above}) {one.title}" if one.above else one.title),
    )


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
