"""Text that people give on the command line: as arguments, or ``-`` for standard input."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from background_agents.domain.errors import InvalidRequest

STDIN = "-"


def add_text(parser: ArgumentParser, name: str, about: str) -> None:
    """Take text: one word or many, or ``-``."""
    told = f'{about}; "-" reads it from standard input'
    parser.add_argument(name, metavar=name.upper(), nargs="+", help=told)


def text(given: list[str]) -> str:
    """Return the text that is meant.

    Raises:
        InvalidRequest: it is not UTF-8, and could be sent nowhere.
    """
    if given == [STDIN]:
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        words = sys.stdin.read()
    else:
        words = " ".join(given)
    try:
        words.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The text is not UTF-8; convert it first, with `iconv`.") from None
    return words
