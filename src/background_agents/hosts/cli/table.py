"""Columns of text, as wide as the terminal is, with colours where there may be some.

Knows nothing of what the cells say.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from background_agents.domain.columns import columns
from background_agents.domain.columns import cut as cut_to
from background_agents.hosts.cli.colours import Colour, painted

GAP = "  "

_SHORTEST = 12
"""Columns; below it a cell that may be cut says nothing, and a column that may go goes."""

Name = TypeVar("Name", bound=Hashable)


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits, with a sign where some is left out."""
    return cut_to(text, width, in_unicode("…", "~"))


def filled(text: str, width: int, *, right: bool = False) -> str:
    """Return a text that takes exactly ``width`` columns, at their left or at their right."""
    shown = cut(text, width)
    rest = " " * (width - columns(shown))
    return rest + shown if right else shown + rest


def taken(widths: Iterable[int]) -> int:
    """Return how many columns of a terminal some columns take, with a gap behind each."""
    return sum(width + len(GAP) for width in widths)


def give_way(widths: Mapping[Name, int], spare: Iterable[Name], room: int) -> dict[Name, int]:
    """Return what is left of columns when those of ``spare`` go until they take ``room``."""
    kept = dict(widths)
    for name in spare:
        if taken(kept.values()) <= room:
            break
        kept.pop(name, None)
    return kept


def fit(
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    last: int,
    spare: Sequence[int] = (),
    right: Collection[int] = (),
) -> list[list[str]]:
    """Return the cells of ``rows``, filled up to columns; those of ``right`` from the left.

    Column ``last`` is cut to what is left of ``width`` (None: nothing is cut), and those of
    ``spare`` are left empty, one after the other, where it would have too little.
    """
    if not rows:
        return []
    widths = {at: max(columns(row[at]) for row in rows) for at in range(len(rows[0]))}
    widest = widths.pop(last)
    kept = {at: size for at, size in widths.items() if size}
    if width is not None:
        kept = give_way(kept, spare, width - min(_SHORTEST, max(widest, 1)))
        widest = max(min(width - taken(kept.values()), widest), 0)
    kept[last] = widest
    return [
        [filled(cell, kept.get(at, 0), right=at in right) for at, cell in enumerate(row)]
        for row in rows
    ]


def line(cells: Sequence[str], colours: Mapping[int, Colour]) -> str:
    """Join cells to a line, some of them coloured."""
    shown = [painted(cell, colours[at]) if at in colours else cell for at, cell in enumerate(cells)]
    return GAP.join(cell for cell in shown if cell).rstrip()


def in_unicode(text: str, instead: str) -> str:
    """Return a text, or another one where stdout cannot show it."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return instead
    return text
