"""How the board looks: styles by meaning, and text cut to cells. Knows no delegations.

Nothing is told by colour alone: with NO_COLOR the marks and words are still there.
"""

from __future__ import annotations

from functools import lru_cache
from io import StringIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

STATES = {
    "registered": "cyan",
    "running": "green",
    "waiting": "bold yellow",
    "completed": "green",
    "failed": "red",
    "timed_out": "magenta",
    "stopped": "yellow",
    "interrupted": "red",
}

URGENT, TROUBLE, DIM, HEAD, CHOSEN = "bold yellow", "bold red", "dim", "bold", "reverse"

TAB = 4

_wrapper = Console(file=StringIO(), width=80, tab_size=TAB)
"""What wrapping asks for; nothing is written to it."""


def fitted(text: str, width: int) -> str:
    """Return text that takes exactly ``width`` cells; what was cut ends with an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) > width:
        return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)
    return set_cell_size(text, width)


def cut(text: str, width: int) -> str:
    """Return text that takes ``width`` cells at most."""
    return text if cell_len(text) <= width else fitted(text, width)


def end_of(text: str, width: int) -> str:
    """Return the end of a text, in ``width`` cells at most."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"


@lru_cache(maxsize=4)
def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Return text as lines that take ``width`` cells at most, words kept whole where they fit."""
    lines: list[str] = []
    for line in text.expandtabs(TAB).split("\n"):
        found = Text(line).wrap(_wrapper, max(width, 2))
        lines += [one.plain.rstrip() for one in found] or [""]
    return tuple(lines)


def joined(left: Text, right: str, width: int, style: str = "") -> Text:
    """Return a line with text at both ends; where they do not fit, the right one goes first."""
    room = width - left.cell_len - cell_len(right)
    if room < 2:
        left.truncate(width, overflow="ellipsis")
        return left
    return left.append(" " * room).append(right, style)
