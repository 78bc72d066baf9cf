"""What leaves on stdout: JSON for programs, text for people, as wide and colourful as it may be.

Colours only for a terminal that is not dumb, unless whoever calls says otherwise. Text
that agents wrote can hold characters that rewrite a terminal: it goes through
``domain.text.printable`` or one of the read model's functions first. Names of folders and what
errors quote are made safe by the streams themselves, as everything is that reaches a terminal.
It is loaded at every start, and imports what only some need where that is used.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

TYPE_CHECKING = False  # as of typing, which takes 5 ms to load
if TYPE_CHECKING:
    from argparse import ArgumentParser

_NARROW, _WIDE = 40, 200
"""Columns: less cannot hold an id beside anything, more is not read as a line."""

_USUAL = 80
"""Columns of a terminal that does not say."""

_SENTENCE = 100
"""Columns of sentences; longer lines are hard to read."""

_COLOUR = r"(\x1b\[[0-9;]*m)"


_AUTO = "auto"
_wanted = _AUTO


class SafeTerminal(TextIOWrapper):
    """A stream to a terminal that is given nothing which a terminal obeys, colours excepted."""

    def write(self, text: str) -> int:
        """Write text, with a mark for what cannot be shown."""
        super().write(safe(text))
        return len(text)


def safe(text: str) -> str:
    """Return text without what a terminal obeys, colours excepted."""
    import re

    from background_agents.domain.text import printable

    pieces = re.split(_COLOUR, text)  # every second one is a colour
    pieces[::2] = map(printable, pieces[::2])
    return "".join(pieces)


def make_safe() -> None:
    """Let nothing reach a terminal from now on that it would obey, whatever writes it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper) and stream.isatty():
            setattr(sys, name, _again(stream, SafeTerminal))


def hand_over() -> None:
    """Let a board draw on stdout by sequences of its own; what it shows, it makes safe."""
    if isinstance(sys.stdout, SafeTerminal):
        sys.stdout = _again(sys.stdout, TextIOWrapper)


def _again(stream: TextIOWrapper, kind: type[TextIOWrapper]) -> TextIOWrapper:
    """Return a stream of another kind to the same place; a letter that it has not gets a mark."""
    errors = "replace" if stream.errors == "strict" else stream.errors
    encoding = stream.encoding
    return kind(stream.detach(), encoding=encoding, errors=errors, line_buffering=True)


JSON_HELP = "write JSON, as the reference tells"


def add_json(parser: ArgumentParser) -> None:
    """Let a reading command write JSON."""
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def write_json(value: object) -> None:
    """Write a value as indented JSON."""
    import msgspec

    from background_agents.domain.text import escaped_json

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    print(escaped_json(text) if is_terminal() else text)


def show(text: str) -> None:
    """Print a line, with a mark for each letter that stdout has not."""
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding))


def is_terminal() -> bool:
    """Return whether somebody looks at stdout."""
    return sys.stdout.isatty()


def is_colourful() -> bool:
    """Return whether colours may be written: as the command says, or else the environment."""
    if _wanted != _AUTO:
        return _wanted == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if any(
        os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")
    ):
        return True
    return is_terminal() and os.environ.get("TERM") != "dumb"


def choose_colours(when: str) -> None:
    """Write colours ``always``, ``never``, or where they fit. Raises ``InvalidRequest``."""
    from background_agents.domain.errors import InvalidRequest, quote

    global _wanted
    if when not in ("always", "never", _AUTO):
        raise InvalidRequest(f"--color is {quote(when)}; say always, never or auto.")
    _wanted = when


def sentence_width() -> int:
    """Return how many columns sentences take at most."""
    return min(width(), _SENTENCE)


def width() -> int:
    """Return how many columns there are; of a pipe, more than anybody's terminal has."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said[:6]) > 0:
        return max(int(said[:6]), _NARROW)
    if not is_terminal():
        return _WIDE
    try:
        # Not shutil's, which imports three libraries for archives.
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, _NARROW)
    except OSError:
        return _USUAL
