"""The screen, line by line, as a pure function of the model, what was seen, and the size."""

from __future__ import annotations

from functools import lru_cache
from io import StringIO
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from background_agents.domain.columns import columns
from background_agents.domain.text import one_line, printable
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.table import cut, filled
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.watching import table
from background_agents.hosts.cli.watching.keys import Line
from background_agents.hosts.cli.watching.model import Mode, Model, Seen
from background_agents.views import board

ENDED_SHOWN = 5
"""Of those that have ended; `list` shows all."""

_ROOMY = 18
"""Rows from which on there are blank lines and heads."""

_CRAMPED = 5
"""Rows between header and footer; with less, delegations need them all."""

_SMALLEST = 3
"""Rows: a header, a line and a footer. A terminal with less shows the footer alone."""

_KEYS = {
    Mode.BOARD: ("↑↓ select", "Enter peek", "s steer", "a answer", "x stop", "? help", "q quit"),
    Mode.PEEK: ("↑↓ scroll", "End follow", "s steer", "a answer", "x stop", "Esc back"),
    Mode.HELP: ("any key goes back",),
    Mode.STEER: ("Enter sends", "Esc cancels"),
    Mode.ANSWER: ("Enter sends", "Esc cancels"),
    Mode.STOP: ("y stops it", "any other key does not"),
}
"""The first ones are guessed most easily, and go first where it is narrow."""

_HELP = (
    ("↑ ↓, j k", "select; in a pane, scroll"),
    ("Enter, p", "peek: what the selected one writes, as it writes"),
    ("s", "steer: put an instruction into its run"),
    ("a", "answer what it waits for"),
    ("x", "stop it; what it wrote is kept"),
    ("End, G", "in a pane: follow again"),
    ("Esc, q", "back; on the board, q quits"),
    ("Ctrl-C", "quit, wherever you are"),
    ("Ctrl-Z", "back to the shell; `fg` returns"),
    ("Ctrl-L", "draw everything anew"),
)


_TAB = 4

_wrapper = Console(file=StringIO(), width=80, tab_size=_TAB)
"""What wrapping asks for; nothing is written to it."""


class Size(NamedTuple):
    """Of the terminal."""

    columns: int
    rows: int


class Note(NamedTuple):
    """What is said in the footer for some seconds."""

    text: str
    is_error: bool = False


def draw(
    model: Model, seen: Seen, size: Size, note: Note | None = None, at: str = ""
) -> list[Text]:
    """Return exactly as many lines as there are rows, none wider than the terminal.

    ``at`` says in words which project is looked at.
    """
    bottom = _bottom(model, seen, size, note)
    if size.rows < _SMALLEST:
        lines = [*([Text("")] * (size.rows - len(bottom))), *bottom[-size.rows :]]
    else:
        bottom = bottom[-(size.rows - 2) :]
        room = size.rows - 1 - len(bottom)
        within = Size(size.columns, room)
        if model.mode is Mode.HELP:
            body = _help(within)
        else:
            body = (_pane if model.peeks else _board)(model, seen, within)
        blank = [Text("")] * (room - len(body))
        lines = [_header(seen, size, at), *body[:room], *blank, *bottom]
    return [_cut(line, size.columns) for line in lines]


def overflow(model: Model, seen: Seen, size: Size) -> int:
    """Return how far the pane can be scrolled up."""
    room = (
        size.rows - 1 - len(_bottom(model, seen, size, None)) - len(_pane_head(model, seen, size))
    )
    return max(len(_pane_text(seen, size)) - max(room, 1), 0)


def _header(seen: Seen, size: Size, at: str) -> Text:
    counts = board.counts(seen.active)
    name = Text(" background-agents ", f"{Colour.STRONG} reverse")
    room = size.columns - name.cell_len - columns(counts)
    if room < 2:
        return Text(counts, Colour.STRONG)
    where = f" {_end_of(at, room - 4)}" if room > 12 else ""
    return name.append(filled(where, room), Colour.FAINT).append(counts, Colour.STRONG)


# --- the board -------------------------------------------------------------------


def _board(model: Model, seen: Seen, size: Size) -> list[Text]:
    roomy = size.rows >= _ROOMY
    lines: list[Text] = [Text("")] if roomy else []
    warnings = [seen.trouble, board.left_behind(len(seen.gone)) if seen.gone else ""]
    lines += [line for text in warnings if text for line in _warning(text, size)]
    over = [board.ended_cells(one, seen.at) for one in seen.ended[:ENDED_SHOWN]]
    ended = table.ended_rows(over, size.columns, model.chosen)
    fits = max(size.rows - len(lines) - (len(ended) + 2 if roomy else 0), 2)
    lines += _active(model, seen, Size(size.columns, fits), with_heads=roomy)
    if ended and (left := size.rows - len(lines) - (2 if roomy else 1)) > 0:
        head = Text("  Ended (* = unread)", Colour.FAINT)
        lines += [*([Text("")] if roomy else []), head, *ended[:left]]
    return lines


def _warning(text: str, size: Size) -> list[Text]:
    lines = _wrapped(f"! {one_line(text, board.DOING_CHARS)}", size.columns)
    most = 3 if size.rows >= _ROOMY // 2 else 1 if size.rows >= _CRAMPED else 0
    return [Text(line, Colour.TROUBLE) for line in lines[:most]]


def _active(model: Model, seen: Seen, size: Size, *, with_heads: bool) -> list[Text]:
    if not seen.active:
        return [] if seen.trouble else [Text("  Nothing is active.", Colour.FAINT)]
    shown = [board.cells(one, is_gone=one.delegation.id in seen.gone) for one in seen.active]
    layout = table.layout(shown, size.columns, size.rows - with_heads)
    heads = [table.heads(layout)] if with_heads else []
    fits = max((size.rows - len(heads)) // layout.lines_each, 1)
    hidden = len(shown) - fits + 1 if len(shown) > fits > 1 else 0
    fits -= bool(hidden)
    # A window that has the selected one in it.
    first = max(min(model.index - fits + 1, len(shown) - fits), 0)
    lines = [
        line
        for cells in shown[first : first + fits]
        for line in table.row(
            cells, layout, is_chosen=cells.id == model.chosen, is_gone=cells.id in seen.gone
        )
    ]
    more = [Text(f"  … and {hidden} more", Colour.FAINT)] if hidden else []
    return [*heads, *lines, *more]


# --- the pane --------------------------------------------------------------------


def _pane(model: Model, seen: Seen, size: Size) -> list[Text]:
    head = _pane_head(model, seen, size)
    room = max(size.rows - len(head), 1)
    lines = _pane_text(seen, size)
    end = len(lines) - min(model.scrolled, max(len(lines) - room, 0))
    return [*head, *(Text(line) for line in lines[max(end - room, 0) : end])]


def _pane_head(model: Model, seen: Seen, size: Size) -> list[Text]:
    """Say whom the pane shows, and whether it follows."""
    found = next((one for one in seen.active if one.delegation.id == model.peeks), None)
    name = Text(model.peeks, Colour.STRONG)
    if found is None:
        return [name, _rule(model, size)]
    cells = board.cells(found, is_gone=model.peeks in seen.gone)
    name.append("  ").append(cells.state, OF_STATUS.get(cells.state, ""))
    used = (f"tools: {cells.calls}", f"{cells.tokens} tokens", cells.cost)
    name.append("  " + " · ".join(filter(None, (cells.elapsed, cells.left, *used))))
    lines = [name, Text(board.title(found.delegation), Colour.FAINT)]
    if cells.is_urgent:
        lines.append(Text(cells.doing, Colour.URGENT))
    return [*lines, _rule(model, size)]


def _pane_text(seen: Seen, size: Size) -> tuple[str, ...]:
    peeked = seen.peeked
    if peeked is None:
        return ("…",)
    shown = _wrapped(status_text.peek(peeked.sheet), size.columns) if peeked.sheet else ()
    said = _wrapped(printable(peeked.said), size.columns) if peeked.said else ()
    return *shown, *said


def _rule(model: Model, size: Size) -> Text:
    """Return a line that says whether the pane follows."""
    where = f"{model.scrolled} lines up, End follows again" if model.scrolled else "follows"
    return Text(f"── {where} ".ljust(size.columns, "─"), Colour.FAINT)


# --- help and the bottom ---------------------------------------------------------


def _help(size: Size) -> list[Text]:
    width = max(columns(keys) for keys, _ in _HELP)
    lines = [Text("")] if size.rows > len(_HELP) else []
    for keys, about in _HELP:
        line = Text("  ").append(filled(keys, width), Colour.STRONG).append(f"  {about}")
        lines.append(line)
    return lines


def _bottom(model: Model, seen: Seen, size: Size, note: Note | None) -> list[Text]:
    """Return the input, if there is one, and the footer."""
    lines = _input(model, seen, size)
    if note is not None:
        text = one_line(note.text, size.columns * 4)
        return [*lines, Text(text, Colour.TROUBLE if note.is_error else Colour.STRONG)]
    return [*lines, Text(_hints(model.mode, size.columns), Colour.FAINT)]


def _hints(mode: Mode, width: int) -> str:
    hints = list(_KEYS[mode])
    while len(hints) > 1 and columns("  ".join(hints)) > width:
        del hints[0]
    return "  ".join(hints)


def _input(model: Model, seen: Seen, size: Size) -> list[Text]:
    if model.mode is Mode.STOP:
        kept = "What it wrote is kept." if size.columns >= 80 else ""
        return [Text(f"Stop {model.chosen}? {kept} y/n".replace("  ", " "), Colour.URGENT)]
    if model.mode is Mode.STEER:
        return [_typed(f"Steer {model.chosen}", model.line, size)]
    found = seen.sheet(model.chosen)
    if model.mode is not Mode.ANSWER or found is None:
        return []
    asks = f"{model.chosen} asks: {board.asked(found)}"
    shown = [Text(line, Colour.URGENT) for line in _wrapped(asks, size.columns)[:4]]
    return [*shown, _typed(f"Answer ({board.replies(found)})", model.line, size)]


def _typed(label: str, line: Line, size: Size) -> Text:
    """Return an input whose cursor is always seen."""
    shown = Text(cut(label, max(size.columns // 2, 1)), Colour.STRONG).append(": ")
    text = printable(line.text).replace("\n", "⏎").replace("\t", " ")
    room = max(size.columns - shown.cell_len - 1, 1)
    before, at, after = text[: line.cursor], text[line.cursor :][:1] or " ", text[line.cursor + 1 :]
    while before and columns(before) > max(room - columns(at), 0):
        before = before[max((columns(before) - room) // 2, 1) :]
    return shown.append(before).append(at, "reverse").append(after)


# --- text in cells ---------------------------------------------------------------


@lru_cache(maxsize=4)
def _wrapped(text: str, width: int) -> tuple[str, ...]:
    """Return text as lines that take ``width`` cells at most, words kept whole where they fit."""
    lines: list[str] = []
    for line in text.expandtabs(_TAB).split("\n"):
        found = Text(line).wrap(_wrapper, max(width, 2))
        lines += [one.plain.rstrip() for one in found] or [""]
    return tuple(lines)


def _cut(line: Text, width: int) -> Text:
    """Return a line that takes ``width`` cells at most; what was cut ends with an ellipsis."""
    if line.cell_len > width:
        line.truncate(width - 1)
        line.rstrip()
        line.append("…")
    return line


def _end_of(text: str, width: int) -> str:
    """Return the end of a text, in ``width`` cells at most."""
    if columns(text) <= width:
        return text
    while text and columns(text) > width - 1:
        text = text[1:]
    return f"…{text}"
