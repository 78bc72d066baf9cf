"""The clock of a real process: wall time from the system, delays from the event loop.

Delays follow the loop's monotonic clock, so that a stepped wall clock moves no deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from background_agents.ports.clock import Timer


class SystemClock:
    """``ports.clock.Clock`` on the running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay.total_seconds(), callback)

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())
