"""The rows of the board: which columns fit into a width, and each delegation as lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from background_agents.hosts.cli.watching.style import (
    CHOSEN,
    DIM,
    STATES,
    TROUBLE,
    URGENT,
    cut,
    fitted,
)
from background_agents.views.board import Cells, EndedCells

GAP = 2

MARK, NO_MARK = "▸ ", "  "

DOING_WIDTH = 30
"""Cells in which what a run does says something; with less it gets a line of its own."""

LONGEST = {"agent": 16, "model": 24, "id": 32}
"""Cells that such a column may take; names have no other limit."""

HEADS = {
    "state": "state", "id": "id", "agent": "agent", "model": "model", "elapsed": "elapsed",
    "left": "left", "calls": "tools", "tokens": "tokens", "cost": "cost",
}  # fmt: skip
"""The columns from the left to the right, before what it does."""

RIGHT = frozenset({"elapsed", "left", "calls", "tokens", "cost"})

LUXURIES = ("model", "tokens", "calls", "agent")
"""Columns that give way to what it does, in this order."""

MISSED = ("calls", "agent")
"""Those that are worth a second line, if there is one."""

DISPENSABLE = (*LUXURIES, "left", "cost", "elapsed")
"""What goes first where there is no room even for two lines of each."""


@dataclass(frozen=True)
class Layout:
    """Columns and their widths in cells."""

    columns: dict[str, int]
    width: int
    doing: int
    """What is left for what it does; 0 where that has a line of its own."""

    @property
    def lines_each(self) -> int:
        """How many lines a delegation takes."""
        return 1 if self.doing else 2


def layout(shown: Sequence[Cells], width: int, rows: int) -> Layout:
    """Return what fits into ``width`` cells, and if possible into ``rows`` lines."""
    whole = {name: _width(name, shown) for name in HEADS}
    if not any(one.model for one in shown):
        del whole["model"]
    columns = dict(whole)
    for name in ("", *LUXURIES):
        if name in MISSED and 2 * len(shown) <= rows:
            break
        columns.pop(name, None)
        left = width - _taken(columns)
        if left >= DOING_WIDTH:
            return Layout(columns, width, left)
    for name in DISPENSABLE:
        if _taken(whole) - GAP <= width:
            break
        whole.pop(name, None)
    return Layout(whole, width, 0)


def heads(columns: Layout) -> Text:
    """Return the line above the rows."""
    names = [_aligned(name, HEADS[name], size) for name, size in columns.columns.items()]
    doing = ["does"] if columns.doing else []
    return Text(cut(NO_MARK + (" " * GAP).join([*names, *doing]), columns.width), DIM)


def row(one: Cells, columns: Layout, *, is_chosen: bool, is_gone: bool) -> list[Text]:
    """Return a delegation as lines."""
    line = Text(MARK if is_chosen else NO_MARK)
    for name, size in columns.columns.items():
        style = STATES.get(one.state, "") if name == "state" else ""
        line.append(_aligned(name, getattr(one, name), size), style).append(" " * GAP)
    style = TROUBLE if is_gone else URGENT if one.is_urgent else ""
    if columns.doing:
        lines = [line.append(cut(one.doing, columns.doing), style)]
    else:
        second = Text(NO_MARK * 2)
        lines = [line, second.append(cut(one.doing, columns.width - len(second)), style)]
    for each in lines:
        each.truncate(columns.width, pad=True)
        if is_chosen:
            each.stylize(CHOSEN)
    return lines


def ended_rows(shown: Sequence[EndedCells], width: int, chosen: str = "") -> list[Text]:
    """Return what has ended, a line each; the selection may have stayed with one of them."""
    state = max((cell_len(one.state) for one in shown), default=0)
    name = min(max((cell_len(one.id) for one in shown), default=0), LONGEST["id"])
    age = max((cell_len(one.age) for one in shown), default=0)
    lines = []
    for one in shown:
        is_chosen = one.id == chosen
        line = Text(one.mark + (MARK if is_chosen else NO_MARK)[0]).append(
            fitted(one.state, state), STATES.get(one.state, "")
        )
        line.append(f"  {fitted(one.id, name)}  {one.age:>{age}}  ").append(one.said, DIM)
        line.truncate(width, overflow="ellipsis")
        if is_chosen:
            line.stylize(CHOSEN)
        lines.append(line)
    return lines


def _taken(columns: dict[str, int]) -> int:
    return len(NO_MARK) + sum(size + GAP for size in columns.values())


def _width(name: str, shown: Sequence[Cells]) -> int:
    widest = max((cell_len(getattr(one, name)) for one in shown), default=0)
    return max(min(widest, LONGEST.get(name, widest)), len(HEADS[name]))


def _aligned(name: str, text: str, size: int) -> str:
    if name in RIGHT:
        return " " * (size - cell_len(text)) + text if cell_len(text) <= size else cut(text, size)
    return fitted(text, size)
