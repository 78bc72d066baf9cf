"""The read model of tries for people: what is compared of each."""

from __future__ import annotations

from typing import NamedTuple

from background_agents.domain.text import NAME_CHARS, money, one_line, span
from background_agents.views.changes import brief
from background_agents.views.json import Sheet, on


class Cells(NamedTuple):
    """A try, from the left to the right."""

    id: str
    state: str
    changes: str
    cost: str
    time: str
    model: str


HEAD = Cells("id", "state", "changes", "cost", "time", "model")


def cells(one: Sheet) -> Cells:
    """Return what is compared of a try."""
    return Cells(
        id=one_line(one.id, NAME_CHARS),
        state=one.state,
        changes=(brief(one.changes) if one.changes else "") or "nothing",
        # A model without a price costs nothing that is known.
        cost="unknown" if one.unpriced_turns else money(one.cost_usd),
        time=span(one.elapsed_s),
        model=one_line(on(one)) or "the agent's own",
    )
