"""Durations as people type them: ``90s``, ``10m``, ``2h``, ``3d``, or a number of seconds."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.IGNORECASE)

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

LONGEST_S = 100 * 365 * 86_400.0
"""A century: beyond it, times could not be reckoned with."""


def seconds(given: str) -> float:
    """Return a duration in seconds. For argparse: raises ``ArgumentTypeError``."""
    found = _SPAN.fullmatch(given.strip())
    length = float(found[1]) * _SECONDS[found[2].lower()] if found else -1.0
    if not 0 <= length <= LONGEST_S:
        raise ArgumentTypeError(f"{given!r} is no duration; write it as 90s, 10m, 2h or 3d")
    return length
