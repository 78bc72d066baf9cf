"""The one way to do something every so often: it goes on, whatever happens, and says so.

Knows nothing of what is done. Work that fails is tried again after the next pause; what it failed
with is logged once for each change, and kept for whoever asks how the service is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from background_agents.domain.errors import StoreUnavailable
from background_agents.ports.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failing:
    """Periodic work that has failed at every attempt for a while."""

    name: str
    since: datetime
    error: str
    """Of the last attempt: its kind and what it says."""


class Periodic:
    """Some work, done at a steady pace for as long as its task lives."""

    def __init__(
        self, clock: Clock, pause: timedelta, work: Callable[[], Awaitable[None]], name: str
    ) -> None:
        self.name = name
        """What it is, as people read it: ``search for orphans``."""
        self.failing: Failing | None = None
        """Since when it fails, and with what; None when the last attempt went well."""
        self._clock = clock
        self._pause = pause
        self._work = work

    async def run(self) -> None:
        """Pause and work, for ever."""
        while True:
            await self._clock.sleep(self._pause)
            await self.attempt()

    async def attempt(self) -> None:
        """Do the work once; return also when it fails."""
        try:
            await self._work()
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            self._note(error)  # somebody cancelled what it waited for, and not it
        except Exception as error:
            self._note(error)
        else:
            self._note_success()

    def _note(self, error: BaseException) -> None:
        before, text = self.failing, f"{type(error).__name__}: {error}"
        since = before.since if before else self._clock.now()
        self.failing = Failing(self.name, since, text)
        if before is not None and before.error == text:
            return
        # What a disk does needs no traceback; what nobody foresaw does.
        foreseen = isinstance(error, StoreUnavailable)
        log.error(
            "%s failed, and is tried again every %g s: %s",
            self.name,
            self._pause.total_seconds(),
            text,
            exc_info=None if foreseen else error,
        )

    def _note_success(self) -> None:
        if self.failing is not None:
            log.warning("%s works again; it had failed since %s", self.name, self.failing.since)
            self.failing = None


def all_failing(works: Iterable[Periodic]) -> list[Failing]:
    """Return what fails of some periodic works."""
    return [one.failing for one in works if one.failing is not None]
