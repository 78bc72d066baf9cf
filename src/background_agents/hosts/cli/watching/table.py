"""The rows of the board: which columns fit into a width, and each delegation as lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from background_agents.domain.columns import columns
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.table import GAP, cut, filled, fit, give_way, taken
from background_agents.views.board import Cells, EndedCells

_MARK, _NO_MARK = "▸ ", "  "

_DOING_WIDTH = 30
"""Cells in which what a run does says something; with less it gets a line of its own."""

_LONGEST = {"agent": 16, "model": 24, "id": 32}
"""Cells that such a column may take; names have no other limit."""

_HEADS = {
    "state": "state", "id": "id", "agent": "agent", "model": "model", "elapsed": "elapsed",
    "left": "left", "calls": "tools", "tokens": "tokens", "cost": "cost",
}  # fmt: skip
"""The columns from the left to the right, before what it does."""

_RIGHT = frozenset({"elapsed", "left", "calls", "tokens", "cost"})

_LUXURIES = ("model", "tokens")
"""Columns that give way to what it does, in this order."""

_MISSED = ("calls", "agent")
"""Those that do so next, where there is no second line for each."""

_DISPENSABLE = (*_LUXURIES, *_MISSED, "left", "cost", "elapsed")
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
    whole = {name: _width(name, shown) for name in _HEADS}
    if not any(one.model for one in shown):
        del whole["model"]
    room = width - len(_NO_MARK)
    spare = _LUXURIES if 2 * len(shown) <= rows else (*_LUXURIES, *_MISSED)
    kept = give_way(whole, spare, room - _DOING_WIDTH)
    left = room - taken(kept.values())
    if left >= _DOING_WIDTH:
        return Layout(kept, width, left)
    return Layout(give_way(whole, _DISPENSABLE, room + len(GAP)), width, 0)


def heads(shown: Layout) -> Text:
    """Return the line above the rows."""
    names = [_filled(name, _HEADS[name], size) for name, size in shown.columns.items()]
    doing = ["does"] if shown.doing else []
    return Text(cut(_NO_MARK + GAP.join([*names, *doing]), shown.width), Colour.FAINT)


def row(cells: Cells, shown: Layout, *, is_chosen: bool, is_gone: bool) -> list[Text]:
    """Return a delegation as lines."""
    line = Text(_MARK if is_chosen else _NO_MARK)
    for name, size in shown.columns.items():
        style = OF_STATUS.get(cells.state, "") if name == "state" else ""
        line.append(_filled(name, getattr(cells, name), size), style).append(GAP)
    lines = [line] if shown.doing else [line, Text(_NO_MARK * 2)]
    style = Colour.TROUBLE if is_gone else Colour.URGENT if cells.is_urgent else ""
    lines[-1].append(cut(cells.doing, shown.doing or shown.width - len(_NO_MARK * 2)), style)
    for each in lines:
        each.truncate(shown.width, pad=True)
        if is_chosen:
            each.stylize(Colour.CHOSEN)
    return lines


def ended_rows(shown: Sequence[EndedCells], width: int, chosen: str = "") -> list[Text]:
    """Return what has ended, a line each; the selection may have stayed with one of them."""
    rows = fit(
        [(one.state, cut(one.id, _LONGEST["id"]), one.age, one.said) for one in shown],
        width - 2, last=3, right=[2],
    )  # fmt: skip
    lines = []
    for cells, (state, name, age, said) in zip(shown, rows, strict=True):
        is_chosen = cells.id == chosen
        mark = cells.mark + (_MARK if is_chosen else _NO_MARK)[0]
        line = Text.assemble(mark, (state, OF_STATUS.get(cells.state, "")))
        line.append(f"{GAP}{name}{GAP}{age}{GAP}").append(said.rstrip(), Colour.FAINT)
        if is_chosen:
            line.stylize(Colour.CHOSEN)
        lines.append(line)
    return lines


def _width(name: str, shown: Sequence[Cells]) -> int:
    widest = max((columns(getattr(one, name)) for one in shown), default=0)
    return max(min(widest, _LONGEST.get(name, widest)), len(_HEADS[name]))


def _filled(name: str, text: str, size: int) -> str:
    return filled(text, size, right=name in _RIGHT)
