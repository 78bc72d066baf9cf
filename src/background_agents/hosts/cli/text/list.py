"""The read model of lists for people: what stands in each cell of a line.

Pure functions of lines. What agents wrote is one line here, without control characters; how
wide a terminal is, and which colours it has, is the command line's business.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from background_agents.domain.status import TERMINAL, Status
from background_agents.domain.text import one_line
from background_agents.ports.storage import Line
from background_agents.views.model import state

TITLE_CHARS = 1_000
"""Far more than a title has; bounds what a line can become."""

AGENT_CHARS = 24

_AGES = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


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
    title: str


def is_unread(status: Status, read_at: datetime | None) -> bool:
    """Return whether a delegation has ended and its supervisor has not read it."""
    return status in TERMINAL and read_at is None


def cells(one: Line, project: str, now: datetime) -> Cells:
    """Return what a list shows of a delegation."""
    return Cells(
        id=one_line(one.id, 80),
        state=state(one.status, is_cut=one.is_cut),
        mark="*" if is_unread(one.status, one.read_at) else " ",
        age=age(now - (one.ended_at or one.registered_at)),
        agent=one_line(one.agent, AGENT_CHARS),
        project=one_line(project, AGENT_CHARS),
        title=one_line(one.title, TITLE_CHARS),
    )


def age(span: timedelta) -> str:
    """Write an age in one unit: ``45s``, ``12m``, ``3h``, ``9d``."""
    seconds = max(int(span.total_seconds()), 0)
    unit, size = next(((unit, size) for unit, size in _AGES if seconds >= size), _AGES[-1])
    return f"{seconds // size}{unit}"


def more(shown: int, total: int) -> str:
    """Say how many delegations a list left out, and how to see them."""
    return f"{total - shown:,} more of {total:,}; -n 0 shows all, a query or --since fewer."


def pruned(count: int, unread: int, *, dry_run: bool) -> str:
    """Say what a prune deleted, or would delete."""
    what = f"{count:,} delegation{'' if count == 1 else 's'}"
    said = f"{what} would be deleted." if dry_run else f"Deleted {what}."
    kept = f" {unread:,} more are old enough but unread; --unread deletes these, too."
    return said + kept if unread else said


NOTHING = "No delegation is like that."
