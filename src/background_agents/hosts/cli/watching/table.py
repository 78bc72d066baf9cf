"""The rows of the board: which columns fit into a width, and each delegation as lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from background_agents.domain.columns import columns
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.table import GAP, cut, filled, give_way, taken
from background_agents.views.board import Cells, EndedCells

_MARK, _NO_MARK = "▸ ", "  "

_TITLE, _DOING = 20, 30
"""Cells in which a title, or what a run does, says something. A title always gets as many, as long
as any column can give way; what a run does gets a line of its own where there are fewer."""

_WHOLE_TITLE = 40
"""For which what is a luxury gives way."""

_LONGEST = {"agent": 16, "model": 24, "id": 32, "project": 16}
"""Cells that such a column may take; names have no other limit."""

_SHORT_ID, _SHORTEST_ID = 20, 8
"""Cells of an id where a title needs the rest, and of its beginning where nothing else fits."""

_HEADS = {
    "state": "state", "id": "id", "project": "project", "agent": "agent", "model": "model",
    "elapsed": "elapsed", "left": "left", "calls": "tools", "tokens": "tokens", "cost": "cost",
}  # fmt: skip
"""The columns from the left to the right, before the title."""

_RIGHT = frozenset({"elapsed", "left", "calls", "tokens", "cost", "age"})

_LUXURIES = ("model", "tokens")
"""Columns that give way to what a run does, in this order."""

_MISSED = ("calls", "agent")
"""Those that do so next, where there is no second line for each."""

_DISPENSABLE = (*_LUXURIES, *_MISSED, "left", "cost", "project", "elapsed")
"""What gives way to the title, in the order of what it is worth."""

_OF_ENDED = ("project", "age")
"""The same of what has ended."""


@dataclass(frozen=True)
class Layout:
    """Columns and their widths in cells."""

    columns: dict[str, int]
    width: int
    title: int
    more: int
    """What is left for what a run does, or has said; 0 where that has no room beside the title."""
    lines_each: int = 1
    """Of the two lines that a delegation may take, the second says what it does."""


def layout(shown: Sequence[Cells], width: int, rows: int) -> Layout:
    """Return what fits into ``width`` cells, and if possible into ``rows`` lines."""
    whole = {name: size for name in _HEADS if (size := _width(name, shown))}
    is_roomy = 2 * len(shown) <= rows
    spare = _LUXURIES if is_roomy else (*_LUXURIES, *_MISSED)
    found = _fitted(whole, spare, _DISPENSABLE, shown, width)
    return found if found.more else Layout(found.columns, width, found.title, 0, 1 + is_roomy)


def _fitted(
    whole: dict[str, int],
    spare: Sequence[str],
    dispensable: Sequence[str],
    shown: Sequence[Cells] | Sequence[EndedCells],
    width: int,
) -> Layout:
    """Return columns with a title and what is told beyond it; else those that a title leaves."""
    room, id_width = width - len(_NO_MARK), whole["id"]
    widest = max((columns(one.title) for one in shown), default=0)
    short = {**whole, "id": min(id_width, _SHORT_ID)}
    for names in (whole, short):
        kept = give_way(names, spare, room - _TITLE - len(GAP) - _DOING)
        left = room - taken(kept.values()) - len(GAP)
        if left >= _TITLE + _DOING:
            title = max(min(widest, left // 2), _TITLE)
            return Layout(kept, width, title, left - title)
    kept = give_way(short, spare, room - min(max(widest, _TITLE), _WHOLE_TITLE))
    kept = give_way(kept, dispensable, room - _TITLE)
    left = room - taken(kept.values())
    if left < _TITLE:
        kept["id"] = max(kept["id"] - (_TITLE - left), min(kept["id"], _SHORTEST_ID))
    else:
        kept["id"] = min(id_width, kept["id"] + max(left - max(widest, _TITLE), 0))
    return Layout(kept, width, max(room - taken(kept.values()), 0), 0)


def heads(shown: Layout) -> Text:
    """Return the line above the rows."""
    names = [_filled(name, _HEADS[name], size) for name, size in shown.columns.items()]
    doing = [filled("title", shown.title), "does"] if shown.more else ["title"]
    return Text(cut(_NO_MARK + GAP.join([*names, *doing]), shown.width), Colour.FAINT)


def row(cells: Cells, shown: Layout, *, is_chosen: bool, is_gone: bool) -> list[Text]:
    """Return a delegation as lines."""
    style = Colour.TROUBLE if is_gone else Colour.URGENT if cells.is_urgent else ""
    line = _begun(cells, shown, _MARK if is_chosen else _NO_MARK)
    lines = [line]
    if shown.more:
        line.append(filled(cells.title, shown.title)).append(GAP)
        line.append(cut(cells.doing, shown.more), style)
    elif shown.lines_each == 1 and style:
        line.append(cut(cells.doing, shown.title), style)  # of the two what somebody has to know
    else:
        line.append(cut(cells.title, shown.title))
    if shown.lines_each > 1:
        indent = _NO_MARK * 2
        lines.append(Text(indent).append(cut(cells.doing, shown.width - len(indent)), style))
    return [_whole(one, shown, is_chosen=is_chosen) for one in lines]


def ended_rows(shown: Sequence[EndedCells], width: int, chosen: int | None) -> list[Text]:
    """Return what has ended, a line each; ``chosen`` is the place of the selection, if there."""
    names = ("state", "id", "age", "project")
    whole = {name: size for name in names if (size := _width(name, shown))}
    found = _fitted(whole, (), _OF_ENDED, shown, width) if shown else Layout({}, width, 0, 0)
    lines = []
    for index, cells in enumerate(shown):
        mark = cells.mark + (_MARK if index == chosen else _NO_MARK)[0]
        line = _begun(cells, found, mark).append(filled(cells.title, found.title))
        if found.more:
            line.append(GAP).append(cut(cells.said, found.more), Colour.FAINT)
        lines.append(_whole(line, found, is_chosen=index == chosen))
    return lines


def _begun(cells: Cells | EndedCells, shown: Layout, mark: str) -> Text:
    """Return a line up to its title."""
    line = Text(mark)
    for name, size in shown.columns.items():
        style = OF_STATUS.get(cells.state, "") if name == "state" else ""
        line.append(_filled(name, getattr(cells, name), size), style).append(GAP)
    return line


def _whole(line: Text, shown: Layout, *, is_chosen: bool) -> Text:
    line.truncate(shown.width, pad=True)
    if is_chosen:
        line.stylize(Colour.CHOSEN)
    return line


def _width(name: str, shown: Sequence[Cells] | Sequence[EndedCells]) -> int:
    widest = max((columns(getattr(one, name)) for one in shown), default=0)
    longest: Mapping[str, int] = _LONGEST
    least = len(_HEADS.get(name, "")) if widest and isinstance(shown[0], Cells) else 0
    return max(min(widest, longest.get(name, widest)), least)


def _filled(name: str, text: str, size: int) -> str:
    return filled(text, size, right=name in _RIGHT)
