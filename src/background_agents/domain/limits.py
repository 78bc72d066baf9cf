"""What a delegation may use at most, how much of that it has used, and where that leads.

Counted are tokens that cost what they are (what is read from a cache is not: a run that resends
its context would be cut that is cheap), calls of a model (*turns*), and US dollars as the runtime
tells them, where 0 for a call that used tokens is a price that nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from background_agents.domain.text import counted, money

if TYPE_CHECKING:
    from background_agents.domain.events import Usage

WARNED_AT = 0.8
"""The share of a limit at which an agent is told to finish."""

MOST = 10**12
"""Dollars, tokens or turns; more is no number that anybody means."""

LIMIT = "limit of "
"""How it begins what a limit is called."""


Number = TypeVar("Number", int, float)


class Limits(msgspec.Struct, frozen=True):
    """What a delegation and all that is below it may use; None for what has no limit."""

    max_cost_usd: float | None = None
    max_tokens: int | None = None
    max_turns: int | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything is limited."""
        return self != Limits()

    def within(self, most: Limits) -> Limits:
        """Return these limits, none of them above that of ``most``."""
        return Limits(
            _least(self.max_cost_usd, most.max_cost_usd),
            _least(self.max_tokens, most.max_tokens),
            _least(self.max_turns, most.max_turns),
        )


def _least(one: Number | None, other: Number | None) -> Number | None:
    return min((each for each in (one, other) if each is not None), default=None)


class Reached(msgspec.Struct, frozen=True):
    """The end of what a run may use: from here on its tools are refused."""

    what: str
    """In words that follow on "its"."""
    turns: int
    """How many calls of its model had begun by then; one more is its last."""


class Share(NamedTuple):
    """How much of a limit is used."""

    used: float
    """1 when it is reached."""
    what: str
    """The limit, in words that follow on "its"."""


def nearest(limits: Limits, usage: Usage) -> Share | None:
    """Return the limit of which most is used; None where nothing is limited."""
    return max(_shares(limits, usage), default=None)


def _shares(limits: Limits, usage: Usage) -> list[Share]:
    found = []
    if limits.max_cost_usd:
        found.append(Share(usage.cost_usd / limits.max_cost_usd, money(limits.max_cost_usd)))
    if limits.max_tokens:
        what = counted(limits.max_tokens, "token")
        found.append(Share(usage.counted_tokens / limits.max_tokens, what))
    if limits.max_turns:
        found.append(Share(usage.turns / limits.max_turns, counted(limits.max_turns, "turn")))
    return [Share(share.used, f"{LIMIT}{share.what}") for share in found]
