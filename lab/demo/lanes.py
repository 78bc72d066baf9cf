"""The gutter of the timeline: one lane for the supervisor and one for each agent.

Knows which lanes are open and draws the cells of a line; the words beside it are the
screen's.
"""

from __future__ import annotations

from rich.text import Text

from lab.demo.timeline import SUPERVISOR, YOU, Entry, Kind

COLOURS = ("magenta", "yellow", "bright_blue", "green", "bright_red")
"""Of the agents, in the order of their delegation; the supervisor is cyan."""

SUPERVISOR_COLOUR = "cyan"

_MARKS = {
    Kind.ASKED: ("▼", "bold"),
    Kind.SAID: ("●", SUPERVISOR_COLOUR),
    Kind.USED: ("•", ""),
    Kind.ENDED: ("✓", "bold green"),
    Kind.FAILED: ("✗", "bold red"),
    Kind.IDLE: ("○", SUPERVISOR_COLOUR),
    Kind.WOKEN: ("●", SUPERVISOR_COLOUR),
}

Cell = tuple[str, str]
"""A character and its style."""


class Lanes:
    """Lanes open with a delegation and close with its notice."""

    def __init__(self, expected: int) -> None:
        self._order: list[str] = []
        self._open: set[str] = set()
        self._expected = expected
        self._resting = False

    @property
    def width(self) -> int:
        """How many columns the gutter takes."""
        return 2 * (1 + max(self._expected, len(self._order)))

    def colour(self, actor: str) -> str:
        """Return the colour of an actor."""
        if actor == YOU:
            return "default"
        if actor == SUPERVISOR:
            return SUPERVISOR_COLOUR
        return COLOURS[self._lane(actor) % len(COLOURS)]

    def draw(self, entry: Entry) -> tuple[Text, Text]:
        """Return the gutter for the first line of an entry, and for the ones that follow."""
        if entry.kind is Kind.DELEGATED:
            first = self._joined(entry.actor, "●", "╮")
            self._open.add(entry.actor)
        elif entry.kind is Kind.NOTICE:
            self._open.discard(entry.actor)
            first = self._joined(entry.actor, "◀", "╯")
        else:
            first = self._marked(entry)
        return _text(first), _text(self._still())

    def _marked(self, entry: Entry) -> list[Cell]:
        if entry.actor == SUPERVISOR:
            self._resting = entry.kind is Kind.IDLE
        cells = self._still()
        mark, style = _MARKS[entry.kind]
        at = 0 if entry.actor in (SUPERVISOR, YOU) else self._position(entry.actor)
        cells[at] = (mark, style or self.colour(entry.actor))
        return cells

    def _still(self) -> list[Cell]:
        """Return the cells of a line on which nothing happens."""
        cells: list[Cell] = [(" ", "")] * self.width
        cells[0] = ("┊" if self._resting else "│", SUPERVISOR_COLOUR)
        for actor in self._order:
            if actor in self._open:
                cells[self._position(actor)] = ("│", self.colour(actor))
        return cells

    def _joined(self, actor: str, supervisor: str, corner: str) -> list[Cell]:
        """Return a line that leads from the supervisor's lane to an agent's, or back."""
        colour, end = self.colour(actor), self._position(actor)
        cells = self._still()
        for at in range(1, end):
            crossed = cells[at][0] != " "
            cells[at] = ("┼" if crossed else "─", colour)
        cells[0], cells[end] = (supervisor, colour), (corner, colour)
        return cells

    def _lane(self, actor: str) -> int:
        if actor not in self._order:
            self._order.append(actor)
        return self._order.index(actor)

    def _position(self, actor: str) -> int:
        return 2 + 2 * self._lane(actor)


def _text(cells: list[Cell]) -> Text:
    return Text.assemble(*cells)
