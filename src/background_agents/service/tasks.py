"""Background tasks with an owner: none dies unnoticed, all end with the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


class Tasks:
    """Owns tasks from their start to their end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None], about: str) -> asyncio.Task[None]:
        """Start ``work``; ``about`` names it in the log, should it fail."""
        task = asyncio.create_task(work, name=about)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    @property
    def running(self) -> tuple[asyncio.Task[None], ...]:
        """What has not ended yet."""
        return tuple(self._running)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        running = self.running
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            if not task.cancelling():
                log.error("%s failed: what it waited for was cancelled", task.get_name())
        elif (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
