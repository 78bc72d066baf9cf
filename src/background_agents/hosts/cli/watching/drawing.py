"""The screen, line by line, as a pure function of the model, what was seen, and the size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from background_agents.domain.columns import columns
from background_agents.domain.text import one_line, printable
from background_agents.hosts.cli.colours import Colour
from background_agents.hosts.cli.table import cut, filled
from background_agents.hosts.cli.watching import pane, table
from background_agents.hosts.cli.watching.keys import Line
from background_agents.hosts.cli.watching.model import Mode, Model, arranged
from background_agents.hosts.cli.watching.pane import Size, wrapped
from background_agents.hosts.cli.watching.seen import Ended, Seen
from background_agents.views import board

_ENDED_ROWS = 5
"""Of those that have ended, at least where there is room; the others come by scrolling."""

_ROOMY = 18
"""Rows from which on there are blank lines and heads."""

_CRAMPED = 5
"""Rows between header and footer; with less, delegations need them all."""

_SMALLEST = 3
"""Rows: a header, a line and a footer. A terminal with less shows the footer alone."""

_ACTS = ("s steer", "a answer", "x stop")

_KEYS = {
    Mode.BOARD: (
        *("y copy id", "o sort", "↑↓ select", "/ filter", "i facts", "Enter peek"),
        *("s steer", "a answer", "x stop", "? help", "q quit"),
    ),
    Mode.PEEK: ("↑↓ scroll", "End follow", "i facts", *_ACTS, "Esc back"),
    Mode.FACTS: ("↑↓ scroll", "Enter peek", *_ACTS, "Esc back"),
    Mode.FILTER: ("words narrow the rows", "Enter keeps them", "Esc shows all"),
    Mode.HELP: ("any key goes back",),
    Mode.STEER: ("Enter sends", "Esc cancels"),
    Mode.ANSWER: ("Enter sends", "Esc cancels"),
    Mode.STOP: ("y stops it", "any other key does not"),
}
"""The first ones are guessed most easily, and go first where it is narrow."""

_HELP = (
    ("↑ ↓, j k", "select; in a pane, scroll"),
    ("Enter, p", "peek: what the selected one writes, as it writes; its result once it ended"),
    ("i", "facts: all that is known of it, and what happened to it"),
    ("/", "filter: show only what has some words in id, title, agent, model or state"),
    ("o", "sort: by urgency, cost, elapsed time, time left, agent"),
    ("y", "copy its id"),
    ("s", "steer: put an instruction into its run"),
    ("a", "answer what it waits for"),
    ("x", "stop it; what it wrote is kept"),
    ("End, G", "in a pane: follow again"),
    ("Esc, q", "back; on the board, Esc ends a filter and q quits"),
    ("Ctrl-C", "quit, wherever you are"),
    ("Ctrl-Z", "back to the shell; `fg` returns"),
    ("Ctrl-L", "draw everything anew"),
)


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
            body = (pane.draw if model.peeks else _board)(model, seen, within)
        blank = [Text("")] * (room - len(body))
        lines = [_header(seen, size, at), *body[:room], *blank, *bottom]
    return [_cut(line, size.columns) for line in lines]


def overflow(model: Model, seen: Seen, size: Size) -> int:
    """Return how far the pane can be scrolled."""
    rows = size.rows - 1 - len(_bottom(model, seen, size, None))
    return pane.overflow(model, seen, Size(size.columns, rows))


def _header(seen: Seen, size: Size, at: str) -> Text:
    counts = board.counts(seen.active)
    name = Text(" background-agents ", f"{Colour.STRONG} reverse")
    room = size.columns - name.cell_len - columns(counts)
    if room < 2:
        return Text(counts, Colour.STRONG)
    where = f" {_end_of(at, room - 4)}" if room > 12 else ""
    return name.append(filled(where, room), Colour.FAINT).append(counts, Colour.STRONG)


# --- the board -------------------------------------------------------------------


def _board(model: Model, everything: Seen, size: Size) -> list[Text]:
    seen, roomy = arranged(model, everything), size.rows >= _ROOMY
    lines: list[Text] = [Text("")] if roomy else []
    warnings = [seen.trouble, board.left_behind(len(seen.gone)) if seen.gone else ""]
    lines += [line for text in warnings if text for line in _warning(text, size)]
    if said := _arrangement(model, len(seen.keys), len(everything.keys)):
        lines.append(Text(f"  {said}", Colour.FAINT))
    heads = [*([Text("")] if roomy else []), Text("  Ended (* = unread)", Colour.FAINT)]
    place = model.index - len(seen.active)
    chosen = place if 0 <= place < len(seen.ended) and model.chosen in seen.keys else None
    room = size.rows - len(lines)
    if chosen is not None and room <= _CRAMPED:
        return [*lines, *_ended(seen, Size(size.columns, max(room, 1)), chosen)]
    wanted = min(len(seen.ended), _ENDED_ROWS) + len(heads) if roomy or chosen is not None else 0
    if not (model.words and seen.ended and not seen.active):
        fits = max(room - wanted, 2)
        lines += _active(model, seen, Size(size.columns, fits), with_heads=roomy)
    if seen.ended and (left := size.rows - len(lines) - len(heads)) > 0:
        lines += [*heads, *_ended(seen, Size(size.columns, left), chosen)]
    return lines


def _arrangement(model: Model, shown: int, among: int) -> str:
    """Say which rows are shown, and in which order, where the user has chosen that."""
    told = [f"/{one_line(model.words)}  {shown} of {among} shown"] if model.words.strip() else []
    told += [f"sorted by {model.order}"] if model.order != board.URGENT else []
    return " · ".join(told)


def _ended(seen: Seen, size: Size, chosen: int | None) -> list[Text]:
    """Return as many of those that have ended as fit, the selected one among them."""
    first = max((chosen or 0) - size.rows + 1, 0)
    some: Sequence[Ended] = seen.ended[first : first + size.rows]
    cells = [board.ended_cells(one.line, seen.at, seen.project(one)) for one in some]
    return table.ended_rows(cells, size.columns, None if chosen is None else chosen - first)


def _warning(text: str, size: Size) -> list[Text]:
    lines = wrapped(f"! {one_line(text, board.DOING_CHARS)}", size.columns)
    most = 3 if size.rows >= _ROOMY // 2 else 1 if size.rows >= _CRAMPED else 0
    return [Text(line, Colour.TROUBLE) for line in lines[:most]]


def _active(model: Model, seen: Seen, size: Size, *, with_heads: bool) -> list[Text]:
    if not seen.active:
        nothing = "Nothing is like that." if model.words else "Nothing is active."
        return [] if seen.trouble else [Text(f"  {nothing}", Colour.FAINT)]
    keys = seen.keys
    shown = [
        board.cells(one, seen.project(one), is_gone=key in seen.gone, by=model.order)
        for one, key in zip(seen.active, keys, strict=False)
    ]
    layout = table.layout(shown, size.columns, size.rows - with_heads)
    heads = [table.heads(layout)] if with_heads else []
    fits = max((size.rows - len(heads)) // layout.lines_each, 1)
    hidden = len(shown) - fits + 1 if len(shown) > fits > 1 else 0
    fits -= bool(hidden)
    # A window that has the selected one in it.
    first = max(min(model.index - fits + 1, len(shown) - fits), 0)
    lines = [
        line
        for cells, key in list(zip(shown, keys, strict=False))[first : first + fits]
        for line in table.row(
            cells, layout, is_chosen=key == model.chosen, is_gone=key in seen.gone
        )
    ]
    more = [Text(f"  … and {hidden} more", Colour.FAINT)] if hidden else []
    return [*heads, *lines, *more]


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
        return [Text(f"Stop {model.name}? {kept} y/n".replace("  ", " "), Colour.URGENT)]
    if model.mode is Mode.FILTER:
        return [_typed("Filter", model.line, size)]
    if model.mode is Mode.STEER:
        return [_typed(f"Steer {model.name}", model.line, size)]
    found = seen.sheet(model.chosen)
    if model.mode is not Mode.ANSWER or found is None:
        return []
    asks = f"{model.name} asks: {board.asked(found)}"
    shown = [Text(line, Colour.URGENT) for line in wrapped(asks, size.columns)[:4]]
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
