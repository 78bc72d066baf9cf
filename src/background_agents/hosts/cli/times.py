"""Moments as people type them: ``2h`` and ``3d`` ago, a date, a date with a time."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from background_agents.hosts.cli.spans import seconds


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
