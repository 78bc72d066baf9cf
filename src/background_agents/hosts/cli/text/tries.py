"""The read model of tries for people: what is compared of each."""

from __future__ import annotations

from typing import NamedTuple

from background_agents.domain.text import NAME_CHARS, counted, money, one_line, span
from background_agents.views.json import ChangesSheet, Sheet, on


class Cells(NamedTuple):
    """A try, from the left to the right."""

    id: str
    state: str
    changes: str
    cost: str
    time: str
    model: str


HEAD = Cells("id", "state", "changes", "cost", "time", "model")


NEXT = (
    "`bga diff ID` shows what one has changed, `bga apply ID` takes it over, and `bga discard ID` "
    "deletes it."
)


def cells(one: Sheet) -> Cells:
    """Return what is compared of a try."""
    return Cells(
        id=one_line(one.id, NAME_CHARS),
        state=one.state,
        changes=_changes(one.changes),
        # A model without a price costs nothing that is known.
        cost=money(one.cost_usd, one.unpriced_turns),
        time=span(one.elapsed_s),
        model=one_line(on(one)) or "the agent's own",
    )


def _changes(changes: ChangesSheet | None) -> str:
    if changes is None or not changes.files:
        return "nothing"
    return f"{counted(changes.files, 'file')} +{changes.added:,} -{changes.removed:,}"
