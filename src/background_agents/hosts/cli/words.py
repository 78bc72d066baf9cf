"""Text that people give on the command line: as arguments, or ``-`` for standard input."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

STDIN = "-"


def add_text(parser: ArgumentParser, name: str, about: str) -> None:
    """Take text: one word or many, or ``-``."""
    told = f'{about}; "-" reads it from standard input'
    parser.add_argument(name, metavar=name.upper(), nargs="+", help=told)


def text(given: list[str]) -> str:
    """Return the text that is meant."""
    return sys.stdin.read() if given == [STDIN] else " ".join(given)
