"""The read model of the live board: what stands in each cell, as plain text.

Pure functions of sheets and lines. What agents wrote is one line here, without characters that
a terminal obeys. Knows no colours, widths or keys: the board's drawing decides what fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

from background_agents.domain.delegation import Delegation
from background_agents.domain.text import (
    NAME_CHARS,
    age,
    compact,
    cost,
    money,
    one_line,
    span,
    worker,
)
from background_agents.ports.storage import Line
from background_agents.views.json import ActiveSheet, LiveFacts, Sheet, on

DOING_CHARS = 300
"""Wider than any terminal; bounds what a cell can become."""


class Cells(NamedTuple):
    """An active delegation, from the left to the right."""

    state: str
    id: str
    project: str
    """Empty where that is clear."""
    agent: str
    model: str
    elapsed: str
    left: str
    calls: str
    tokens: str
    cost: str
    title: str
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
    project: str
    """Empty where that is clear."""
    title: str
    said: str
    """Its summary; empty where that says no more than the title."""


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


URGENT = "urgency"
"""The order of the board where nobody asks for another."""

_ORDERS: Mapping[str, Callable[[ActiveSheet], float | str]] = {
    "cost": lambda one: -one.delegation.cost_usd,
    "elapsed time": lambda one: -one.delegation.elapsed_s,
    "time left": lambda one: inf if (left := _left_s(one)) is None else left,
    "agent": lambda one: one.delegation.agent,
}

ORDERS = (URGENT, *_ORDERS)
"""By what active delegations can be sorted; those that have ended are the newest first."""


def ordered(found: Sequence[ActiveSheet], by: str) -> tuple[ActiveSheet, ...]:
    """Return active delegations in one of ``ORDERS``."""
    first = urgent_first(found)
    return first if by == URGENT else tuple(sorted(first, key=_ORDERS[by]))


def is_meant(words: str, one: Sheet | Line, project: str) -> bool:
    """Return whether all words are in what is known of a delegation; no words are in any."""
    if not words.strip():
        return True
    if isinstance(one, Sheet):
        told = (one.id, one.title, one.agent, one.state, on(one), project)
    else:
        told = (one.id, one.title, one.agent, one.status.value, one.summary, project)
    among = " ".join(told).casefold()
    return all(word in among for word in words.casefold().split())


def cells(one: ActiveSheet, project: str = "", *, is_gone: bool, by: str = URGENT) -> Cells:
    """Return what the board shows of an active delegation; a tree only where it is in order."""
    stored = one.delegation
    deep = stored.depth if by == URGENT else 1
    return Cells(
        state=stored.state,
        id="  " * (deep - 2) + "└ " * (deep > 1) + one_line(stored.id, NAME_CHARS),
        project=one_line(project, NAME_CHARS),
        agent=one_line(stored.agent, NAME_CHARS),
        model=one_line(on(stored), NAME_CHARS),
        elapsed=span(stored.elapsed_s),
        left=_left(stored, one.live),
        calls=f"{stored.tool_calls:,}",
        tokens=compact(stored.tokens),
        cost=money(stored.cost_usd, stored.unpriced_turns) if stored.tokens else "",
        title=one_line(stored.title, DOING_CHARS),
        doing=doing(one, is_gone=is_gone),
        is_urgent=bool(stored.requests) or one.live is None,
    )


def _left(stored: Sheet, live: LiveFacts | None) -> str:
    if stored.timeout_s is None:
        return "no limit"
    if stored.requests:
        return "paused"  # the time window stands still while something is asked
    return "" if live is None or live.time_left_s is None else f"{span(live.time_left_s)} left"


def _left_s(one: ActiveSheet) -> float | None:
    return one.live.time_left_s if one.live is not None else None


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


def ended_cells(one: Line, now: datetime, project: str = "") -> EndedCells:
    """Return what the board shows of a delegation that has ended."""
    title = one_line(one.title, DOING_CHARS)
    said = one_line(f"{'[cut] ' if one.is_cut else ''}{one.summary}", DOING_CHARS)
    return EndedCells(
        mark="*" if one.is_unread else " ",
        state=one.status.value,
        id=one_line(one.id, NAME_CHARS),
        age=f"{age(now - (one.ended_at or one.registered_at))} ago",
        project=one_line(project, NAME_CHARS),
        title=title,
        said="" if said == title else said,
    )


def counts(found: Sequence[ActiveSheet]) -> str:
    """Say how many are active, in which states, and what they have cost so far."""
    if not found:
        return "nothing is active"
    states = [one.delegation.state for one in urgent_first(found)]
    told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    spent = sum(one.delegation.cost_usd for one in found)
    unpriced = sum(one.delegation.unpriced_turns for one in found)
    tokens = sum(one.delegation.tokens for one in found)
    used = f"{compact(tokens)} tokens" + (f" · {cost(spent, unpriced)}" if tokens else "")
    return f"{', '.join(told)} · {used}"


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
