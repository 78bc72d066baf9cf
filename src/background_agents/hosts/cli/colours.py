"""What a colour means, on every screen; nothing is told by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from background_agents.domain.status import Status
from background_agents.hosts.cli.output import is_colourful


class Colour(StrEnum):
    """By what it is for; the values are styles, as Rich has them."""

    RUNNING = "cyan"
    URGENT = "bold yellow"
    """Somebody has to do something for it."""
    GOOD = "green"
    WARNING = "yellow"
    BAD = "red"
    TROUBLE = "bold red"
    """Something does not work."""
    FAINT = "dim"
    STRONG = "bold"
    CHOSEN = "reverse"


OF_STATUS: Mapping[str, Colour] = {
    Status.REGISTERED: Colour.RUNNING,
    Status.RUNNING: Colour.RUNNING,
    Status.WAITING: Colour.URGENT,
    Status.COMPLETED: Colour.GOOD,
    Status.FAILED: Colour.BAD,
    Status.STOPPED: Colour.WARNING,
    Status.TIMED_OUT: Colour.BAD,
    Status.INTERRUPTED: Colour.BAD,
}

_CODES = {"bold": 1, "dim": 2, "reverse": 7, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
"""The same as terminals have it: Rich takes longer to load than most commands take."""


def painted(text: str, colour: Colour) -> str:
    """Return a text in a colour, where colours may be written."""
    if not is_colourful() or not text.strip():
        return text
    codes = ";".join(str(_CODES[word]) for word in colour.split())
    return f"\033[{codes}m{text}\033[0m"
