"""The pane of one delegation: what it writes, its result, or all that is known of it. Pure."""

from __future__ import annotations

from functools import lru_cache
from io import StringIO
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from background_agents.domain.text import cost, one_line, printable
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.watching.model import Model
from background_agents.hosts.cli.watching.seen import Seen
from background_agents.views import board

_TAB = 4

_wrapper = Console(file=StringIO(), width=80, tab_size=_TAB)
"""What wrapping asks for; nothing is written to it."""


class Size(NamedTuple):
    """Of the terminal."""

    columns: int
    rows: int


def draw(model: Model, seen: Seen, size: Size) -> list[Text]:
    """Return the lines of the pane, so many as there are rows at most."""
    head = _head(model, seen, size)
    room = max(size.rows - len(head), 1)
    lines = _text(model, seen, size)
    scrolled = min(model.scrolled, max(len(lines) - room, 0))
    begin = scrolled if _reads_down(seen) else max(len(lines) - room - scrolled, 0)
    return [*head, *(Text(line) for line in lines[begin : begin + room])]


def overflow(model: Model, seen: Seen, size: Size) -> int:
    """Return how far the pane can be scrolled."""
    room = size.rows - len(_head(model, seen, size))
    return max(len(_text(model, seen, size)) - max(room, 1), 0)


def _reads_down(seen: Seen) -> bool:
    return seen.peeked is not None and seen.peeked.is_whole


def _head(model: Model, seen: Seen, size: Size) -> list[Text]:
    """Say whom the pane shows, and whether it follows."""
    found = seen.active_one(model.peeks)
    name = Text(model.name, Colour.STRONG)
    if found is None:
        over = next((one for one in seen.ended if seen.key(one) == model.peeks), None)
        about = [Text(one_line(over.line.title, size.columns * 2), Colour.FAINT)] if over else []
        return [name, *about, _rule(model, seen, size)]
    cells = board.cells(found, is_gone=model.peeks in seen.gone)
    name.append("  ").append(cells.state, OF_STATUS.get(cells.state, ""))
    spent = cost(found.delegation.cost_usd, found.delegation.unpriced_turns)
    used = (f"tools: {cells.calls}", f"{cells.tokens} tokens", spent)
    name.append("  " + " · ".join(filter(None, (cells.elapsed, cells.left, *used))))
    lines = [name, Text(board.title(found.delegation), Colour.FAINT)]
    if cells.is_urgent:
        lines.append(Text(cells.doing, Colour.URGENT))
    return [*lines, _rule(model, seen, size)]


def _text(model: Model, seen: Seen, size: Size) -> tuple[str, ...]:
    peeked = seen.peeked
    if peeked is None or (peeked.key, peeked.pane) != (model.peeks, model.pane):
        return ("…",)
    shown = wrapped(status_text.peek(peeked.sheet), size.columns) if peeked.sheet else ()
    said = wrapped(printable(peeked.said), size.columns) if peeked.said else ()
    return *shown, *said


def _rule(model: Model, seen: Seen, size: Size) -> Text:
    """Return a line that says whether the pane follows."""
    lines = f"{model.scrolled} lines"
    if _reads_down(seen):
        where = f"{lines} down, Home goes back" if model.scrolled else "from its beginning"
    else:
        where = f"{lines} up, End follows again" if model.scrolled else "follows"
    return Text(f"── {where} ".ljust(size.columns, "─"), Colour.FAINT)


@lru_cache(maxsize=4)
def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Return text as lines that take ``width`` cells at most, words kept whole where they fit."""
    lines: list[str] = []
    for line in text.expandtabs(_TAB).split("\n"):
        found = Text(line).wrap(_wrapper, max(width, 2))
        lines += [one.plain.rstrip() for one in found] or [""]
    return tuple(lines)
