"""Columns of text, as wide as the terminal is, with colours where there may be some.

Counts columns as terminals do: a Chinese character takes two, a combining one none. Knows
nothing of what the cells say.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum

from background_agents.hosts.cli.output import is_colourful

GAP = "  "

SHORTEST = 12
"""Columns; below it a cell that may be cut says nothing, and a column that may go goes."""


class Colour(StrEnum):
    """By what it is for; the numbers are those of terminals."""

    RUNNING = "36"
    WAITING = "33"
    GOOD = "32"
    BAD = "31"
    FAINT = "2"
    STRONG = "1"


def columns(text: str) -> int:
    """Return how many columns a terminal needs for a text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits, with a sign where some is left out."""
    if columns(text) <= width:
        return text
    sign = in_unicode("…", "~")
    room, kept = width - 1, ""
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + sign if width > 0 else ""


def fit(
    rows: Sequence[Sequence[str]], width: int | None, *, last: int, spare: Sequence[int] = ()
) -> list[list[str]]:
    """Return the cells of ``rows``, filled up to columns.

    Column ``last`` is cut to what is left of ``width`` (None: nothing is cut), and those of
    ``spare`` are left empty, one after the other, where it would have too little.
    """
    if not rows:
        return []
    widths = [max(columns(row[at]) for row in rows) for at in range(len(rows[0]))]
    gone: set[int] = set()
    room = widths[last]
    if width is not None:
        room = _room(widths, width, last)
        for one in spare:
            if room < min(SHORTEST, max(widths[last], 1)):
                gone.add(one)
                widths[one] = 0
                room = _room(widths, width, last)
        room = max(min(room, widths[last]), 0)
    widths[last] = room
    return [
        [
            "" if at in gone else _filled(cut(cell, widths[at]), widths[at])
            for at, cell in enumerate(row)
        ]
        for row in rows
    ]


def line(cells: Sequence[str], colours: Mapping[int, Colour]) -> str:
    """Join cells to a line, some of them coloured."""
    shown = [painted(cell, colours[at]) if at in colours else cell for at, cell in enumerate(cells)]
    return GAP.join(cell for cell in shown if cell).rstrip()


def painted(text: str, colour: Colour) -> str:
    """Return a text in a colour, where colours may be written."""
    return f"\033[{colour}m{text}\033[0m" if is_colourful() and text.strip() else text


def in_unicode(text: str, instead: str) -> str:
    """Return a text, or another one where stdout cannot show it."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return instead
    return text


def _room(widths: Sequence[int], width: int, last: int) -> int:
    others = [one for at, one in enumerate(widths) if at != last and one]
    return width - sum(others) - len(GAP) * len(others)


def _filled(cell: str, width: int) -> str:
    return cell + " " * (width - columns(cell))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
