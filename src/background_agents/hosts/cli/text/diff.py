"""What a delegation changed, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from background_agents.domain.change_sums import Content
from background_agents.domain.changes import Certainty, Changes
from background_agents.domain.delegation import Delegation
from background_agents.domain.text import TITLE_CHARS, one_line
from background_agents.hosts.cli import output, table
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.views.changes import brief
from background_agents.views.diffs import LETTERS, Row, State, lines, name_of, numbers, remarks

_OF_STATE = {
    State.ADDED: Colour.GOOD,
    State.CHANGED: Colour.RUNNING,
    State.DELETED: Colour.BAD,
    State.RENAMED: Colour.RUNNING,
}

_OF_MARK = {"+": Colour.GOOD, "-": Colour.BAD, "@": Colour.RUNNING, "\\": Colour.FAINT}

_LINE_CHARS = 2_000
"""Of a line of a file: some screens wide."""


def head(one: Delegation, changes: Changes) -> Iterator[str]:
    """Yield what stands above all: who it was, and how much."""
    yield painted(f"{one.id}  {brief(changes) or 'no file is other than before'}", Colour.STRONG)
    yield one_line(one.title, TITLE_CHARS)
    for still in changes.open:
        yield painted(f"It may still write: {one_line(still)}", Colour.URGENT)


def listed(found: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each file."""
    arrow = table.in_unicode("→", "->")
    cells = [
        (LETTERS[row.state], name_of(row).replace("→", arrow), numbers(row), remarks(row))
        for row in found
    ]
    width = output.width() if output.is_terminal() else None
    for row, fitted in zip(found, table.fit(cells, width, last=3), strict=True):
        unsure = row.certainty is not Certainty.SURE
        colours = {0: _OF_STATE[row.state], 3: Colour.WARNING if unsure else Colour.FAINT}
        yield f" {table.line(fitted, colours)}"


def shown(row: Row, content: Content) -> Iterator[str]:
    """Yield the lines of a file's diff, below its name; nothing where there are none."""
    begun = False
    for mark, line in lines(row, content):
        if not begun:
            yield ""
            yield painted(name_of(row), Colour.STRONG)
            begun = True
        text = line if mark == "@" else f"{mark}{line}"
        if len(text) > _LINE_CHARS:
            text = f"{text[:_LINE_CHARS]}… ({len(text) - _LINE_CHARS:,} more characters)"
        yield painted(text, _OF_MARK[mark]) if mark in _OF_MARK else text
