"""The read model of the live board: what stands in each cell, as plain text.

Pure functions of sheets and lines. What agents wrote is one line here, without characters that
a terminal obeys. Knows no colours, widths or keys: the board's drawing decides what fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from background_agents.domain.delegation import Delegation
from background_agents.domain.text import NAME_CHARS, age, compact, money, one_line, span, worker
from background_agents.ports.storage import Line
from background_agents.views.json import ActiveSheet, LiveFacts, Sheet, on

DOING_CHARS = 300
"""Wider than any terminal; bounds what a cell can become."""


class Cells(NamedTuple):
    """An active delegation, from the left to the right."""

    state: str
    id: str
    agent: str
    model: str
    elapsed: str
    left: str
    calls: str
    tokens: str
    cost: str
    doing: str
    """What it asks, what is wrong, or what it did last."""
    is_urgent: bool
    """Somebody has to do something for it."""


class EndedCells(NamedTuple):
    """A delegation that has ended."""

    mark: str
    """``*`` where the supervisor has not read it."""
    state: str
    id: str
    age: str
    said: str


def urgent_first(found: Sequence[ActiveSheet]) -> tuple[ActiveSheet, ...]:
    """Return what waits for an answer, then the others; each oldest first, then what is below."""
    asking = [one for one in found if one.delegation.requests]
    others = [one for one in found if not one.delegation.requests]
    names = {one.delegation.id for one in others}

    def tree(level: Sequence[ActiveSheet]) -> Iterator[ActiveSheet]:
        for above in level:
            yield above
            yield from tree([o for o in others if o.delegation.above == above.delegation.id])

    return (*asking, *tree([one for one in others if one.delegation.above not in names]))


def cells(one: ActiveSheet, *, is_gone: bool) -> Cells:
    """Return what the board shows of an active delegation."""
    stored = one.delegation
    return Cells(
        state=stored.state,
        id="  " * (stored.depth - 2) + "└ " * (stored.depth > 1) + one_line(stored.id, NAME_CHARS),
        agent=one_line(stored.agent, NAME_CHARS),
        model=one_line(on(stored), NAME_CHARS),
        elapsed=span(stored.elapsed_s),
        left=_left(stored, one.live),
        calls=f"{stored.tool_calls:,}",
        tokens=compact(stored.tokens),
        cost=money(stored.cost_usd),
        doing=doing(one, is_gone=is_gone) or one_line(stored.title, DOING_CHARS),
        is_urgent=bool(stored.requests) or one.live is None,
    )


def _left(stored: Sheet, live: LiveFacts | None) -> str:
    if stored.timeout_s is None:
        return "no limit"
    if stored.requests:
        return "paused"  # the time window stands still while something is asked
    return "" if live is None or live.time_left_s is None else f"{span(live.time_left_s)} left"


def doing(one: ActiveSheet, *, is_gone: bool) -> str:
    """Say what an active delegation asks, what is wrong, or what it did last, if anything."""
    stored, live = one.delegation, one.live
    if is_gone:
        return "the process that ran it has ended"
    if live is None:
        return "the process that runs it does not answer"
    if stored.requests:
        return f"asks: {asked(stored)}"
    if live.place is not None:
        return f"waits for a slot, number {live.place} in the queue"
    if live.retry is not None:
        why = one_line(live.retry.message, DOING_CHARS)
        return f"the provider refuses, attempt {live.retry.attempt}: {why}"
    return one_line(live.last, DOING_CHARS)


def asked(one: Sheet) -> str:
    """Return what a delegation asks first, and how much more; empty if it asks nothing."""
    if not one.requests:
        return ""
    more = f" (and {len(one.requests) - 1} more)" if len(one.requests) > 1 else ""
    return f"{one_line(one.requests[0].text, DOING_CHARS)}{more}"


def replies(one: Sheet) -> str:
    """Say which replies there are to what a delegation asks first."""
    if one.requests and one.requests[0].kind == "permission":
        return "once, always or reject: why"
    return "your words, or reject"


def title(one: Sheet) -> str:
    """Return what a delegation is about, and for whom it works."""
    return f"{one_line(one.title, DOING_CHARS)} ({worker(one.agent, on(one))})"


def ended_cells(one: Line, now: datetime) -> EndedCells:
    """Return what the board shows of a delegation that has ended."""
    return EndedCells(
        mark="*" if one.is_unread else " ",
        state=one.status.value,
        id=one_line(one.id, NAME_CHARS),
        age=f"{age(now - (one.ended_at or one.registered_at))} ago",
        said=one_line(f"{'[cut] ' if one.is_cut else ''}{one.summary or one.title}", DOING_CHARS),
    )


def counts(found: Sequence[ActiveSheet]) -> str:
    """Say how many are active, in which states, and what they have cost so far."""
    if not found:
        return "nothing is active"
    states = [one.delegation.state for one in found]
    told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    cost = sum(one.delegation.cost_usd for one in found)
    tokens = sum(one.delegation.tokens for one in found)
    return f"{', '.join(told)} · {compact(tokens)} tokens · {money(cost)}"


def left_behind(count: int) -> str:
    """Say that the process of some delegations has ended, and what helps."""
    whose = f"{count} delegations are" if count > 1 else "1 delegation is"
    return (
        f"{whose} left behind by an OpenCode that has ended; open it again, or run "
        "`background-agents recover`."
    )


def ended(one: Delegation) -> str:
    """Say in one line that a delegation has ended, how, and why."""
    why = f": {one_line(one.error, DOING_CHARS)}" if one.error else ""
    return f"{one.id} has ended ({one.status}){why}"
