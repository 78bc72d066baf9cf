"""Time as the service knows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol


class Timer(Protocol):
    """A call that will be made later."""

    def cancel(self) -> None:
        """Do not make it."""


class Clock(Protocol):
    """Time as the service knows it."""

    def now(self) -> datetime:
        """Return the present, in UTC."""

    def monotonic_s(self) -> float:
        """Return seconds since some moment, the same for all processes of the machine.

        A stepped wall clock does not change it, and the time that the machine sleeps does
        not count.
        """

    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` on the event loop after ``delay``, whatever the wall clock does."""

    async def sleep(self, delay: timedelta) -> None:
        """Return after ``delay``."""
