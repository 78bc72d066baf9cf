"""What people type on the command line: durations, moments and texts."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta

from background_agents.domain.errors import InvalidRequest

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.IGNORECASE)

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

_LONGEST_S = 100 * 365 * 86_400.0
"""A century: beyond it, times could not be reckoned with."""


_STDIN = "-"


def seconds(given: str, bare: str = "s") -> float:
    """Return the seconds that ``90s``, ``10m``, ``2h``, ``3d`` or a number of ``bare`` ones means.

    For argparse: raises ``ArgumentTypeError``.
    """
    found = _SPAN.fullmatch(given.strip())
    length = float(found[1]) * _SECONDS[found[2].lower() or bare] if found else -1.0
    if not 0 <= length <= _LONGEST_S:
        raise ArgumentTypeError(f"{given!r} is no duration; write it as 90s, 10m, 2h or 3d")
    return length


def minutes(given: str) -> float:
    """Return the minutes that ``30``, ``90s`` or ``2h`` means. For argparse, as ``seconds``."""
    return seconds(given, bare="m") / 60


def moment(given: str) -> datetime:
    """Return the moment that ``2h`` (ago) or ``2026-11-01`` (local time) means.

    For argparse: raises ``ArgumentTypeError``.
    """
    text = given.strip()
    try:
        # A number alone is as little a date as it is a time ago.
        if text[-1:].lower() in ("s", "m", "h", "d", "w"):
            return datetime.now(UTC) - timedelta(seconds=seconds(text))
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, ArgumentTypeError):
        raise ArgumentTypeError(
            f"{given!r:.60} is no time; write how long ago (90m, 2h, 3d, 4w) or a date (2026-11-01)"
        ) from None


def add_text(parser: ArgumentParser, name: str, about: str, *, nargs: str = "+") -> None:
    """Take text: one word or many, or ``-``."""
    told = f'{about}; "-" reads it from standard input'
    parser.add_argument(name, metavar=name.upper(), nargs=nargs, help=told)


def text(given: list[str]) -> str:
    """Return the text that is meant.

    Raises:
        InvalidRequest: it is not UTF-8, and could be sent nowhere.
    """
    if given == [_STDIN]:
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        words = sys.stdin.read()
    else:
        words = " ".join(given)
    try:
        words.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The text is not UTF-8; convert it first, with `iconv`.") from None
    return words
