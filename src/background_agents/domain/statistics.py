"""Numbers about many delegations: how many, how they ended, how long they ran, what they used.

Works on what is read of each record, without its texts. Pure; whose words and charts it becomes
is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from background_agents.domain.events import Usage
from background_agents.domain.status import TERMINAL, Status

NO_MODEL = "(none has answered)"
"""Where no model ran, or which one was not noted yet when it did."""


class By(StrEnum):
    """What numbers may be told apart by."""

    AGENT = "agent"
    MODEL = "model"
    DAY = "day"
    """Of the delegation, in local time."""
    STATE = "state"


class Order(StrEnum):
    """What puts one group before another, where they have no order of their own."""

    COUNT = "count"
    COST = "cost"
    TIME = "time"
    """All that was spent on it, from being delegated to the end."""


class Spent(NamedTuple):
    """Where the seconds of a delegation went, from being delegated to its end."""

    model: float
    tools: float
    waiting: float
    """For a permission or an answer; a tool that waits for one does nothing meanwhile."""
    queue: float
    """For a slot, and for its launch."""


class Fact(msgspec.Struct, frozen=True):
    """What of a delegation counts; decodes from its record."""

    agent: str
    registered_at: datetime
    models: tuple[str, ...] = ()
    status: Status = Status.REGISTERED
    launched_at: datetime | None = None
    ended_at: datetime | None = None
    usage: Usage = Usage()
    ran_for: timedelta | None = None
    waited_in_all: timedelta = timedelta(0)
    tools_for: timedelta | None = None

    @property
    def ran_on(self) -> str:
        """The model that answered last."""
        return self.models[-1] if self.models else NO_MODEL

    def elapsed(self, now: datetime) -> timedelta:
        """Return what ``Delegation.elapsed`` does."""
        span = (self.ended_at or now) - (self.launched_at or self.registered_at)
        return max(span, timedelta(0)) if self.ran_for is None else self.ran_for

    @property
    def ran_s(self) -> float | None:
        """How many seconds it ran; None if it runs, or never began."""
        if self.launched_at is None or self.ended_at is None:
            return None
        if self.ran_for is not None:
            return self.ran_for.total_seconds()
        return max((self.ended_at - self.launched_at).total_seconds(), 0.0)

    @property
    def spent(self) -> Spent | None:
        """Where its time went; None if it has not ended, or did before that was noted."""
        if self.ended_at is None or self.tools_for is None:
            return None
        begun = self.launched_at or self.ended_at
        queue = max((begun - self.registered_at).total_seconds(), 0.0)
        ran = self.ran_s or 0.0
        waiting = min(self.waited_in_all.total_seconds(), ran)
        at_tools = self.tools_for.total_seconds() - waiting
        tools = min(max(at_tools, 0.0), ran - waiting)
        return Spent(ran - waiting - tools, tools, waiting, queue)


class Summary(msgspec.Struct, kw_only=True):
    """Numbers of some delegations."""

    key: str
    """What they have in common."""
    states: dict[Status, int] = {}
    tokens: int = 0
    cost_usd: float = 0.0
    tool_calls: int = 0
    runs_s: list[float] = []
    """How long those ran that have ended."""
    unpriced_turns: int = 0
    model_s: float = 0.0
    tools_s: float = 0.0
    waiting_s: float = 0.0
    queue_s: float = 0.0
    untimed: int = 0
    """How many have ended of which it is not known where their time went."""

    @property
    def count(self) -> int:
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        return sum(count for state, count in self.states.items() if state in TERMINAL)

    @property
    def completed(self) -> int:
        return self.states.get(Status.COMPLETED, 0)

    @property
    def success_rate(self) -> float | None:
        """The share of the completed among those that have ended; None if none has."""
        return self.completed / self.ended if self.ended else None

    @property
    def median_s(self) -> float | None:
        return percentile(self.runs_s, 0.5)

    @property
    def p90_s(self) -> float | None:
        """What nine of ten runs did not exceed."""
        return percentile(self.runs_s, 0.9)

    @property
    def spent(self) -> Spent:
        return Spent(self.model_s, self.tools_s, self.waiting_s, self.queue_s)

    def add(self, fact: Fact) -> None:
        """Count one more."""
        self.states[fact.status] = self.states.get(fact.status, 0) + 1
        self.tokens += fact.usage.tokens
        self.cost_usd += fact.usage.cost_usd
        self.tool_calls += fact.usage.tool_calls
        self.unpriced_turns += fact.usage.unpriced_turns
        ran_s = fact.ran_s
        if ran_s is not None:
            self.runs_s.append(ran_s)
        if (spent := fact.spent) is not None:
            self.model_s += spent.model
            self.tools_s += spent.tools
            self.waiting_s += spent.waiting
            self.queue_s += spent.queue
        elif fact.ended_at is not None:
            self.untimed += 1


def summarize(
    facts: Iterable[Fact], by: By, order: Order | None = None
) -> tuple[Summary, list[Summary]]:
    """Return the numbers of all, and those of each group.

    Without an ``order``, days are in theirs, states in that of a life, all else by count.
    """
    key_of, usual = _GROUPS[by]
    whole, groups = Summary(key="all"), dict[str, Summary]()
    for fact in facts:
        key = key_of(fact)
        group = groups.get(key)
        if group is None:
            group = groups[key] = Summary(key=key)
        whole.add(fact)
        group.add(fact)
    if order is None:
        return whole, sorted(groups.values(), key=usual)
    measure = MEASURES[order]
    return whole, sorted(groups.values(), key=lambda group: (-measure(group), group.key))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of all do not exceed."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)]


def _day(fact: Fact) -> str:
    return fact.registered_at.astimezone().date().isoformat()


def _by_count(group: Summary) -> tuple[int, str]:
    return -group.count, group.key


MEASURES: Mapping[Order, Callable[[Summary], float]] = {
    Order.COUNT: lambda group: group.count,
    Order.COST: lambda group: group.cost_usd,
    Order.TIME: lambda group: sum(group.spent),
}
"""How much there is of a group, by what orders it."""

_GROUPS: dict[By, tuple[Callable[[Fact], str], Callable[[Summary], tuple[int, str]]]] = {
    By.AGENT: (lambda fact: fact.agent, _by_count),
    By.MODEL: (lambda fact: fact.ran_on, _by_count),
    By.DAY: (_day, lambda group: (0, group.key)),
    By.STATE: (
        lambda fact: fact.status.value,
        lambda group: (list(Status).index(Status(group.key)), ""),
    ),
}
"""What those of a group have in common, and where it stands among the groups."""
