"""Work that waits together is done together, on a worker thread.

Whatever came while the thread was at work goes along the next time, so that a burst pays once
for what all have in common. Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_TOGETHER = 64
"""Items of one trip: a few milliseconds each for those who come last."""

MOST_TRIPS = 3
"""At once: while one waits for the disk, another one works."""


class Together(Generic[T]):
    """Does ``work`` with all that waits; it returns what went wrong with each item, in order."""

    def __init__(self, work: Callable[[Sequence[T]], Sequence[Exception | None]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._trips = 0

    async def do(self, item: T) -> None:
        """Return once ``item`` was worked on; raise what went wrong with it.

        A caller that is cancelled stops waiting; its item is done nevertheless.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._trips < MOST_TRIPS:
            self._begin()
        await done

    def _begin(self) -> None:
        batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        if not batch:
            return
        self._trips += 1
        items = [item for item, _ in batch]
        trip = asyncio.get_running_loop().run_in_executor(None, self._work, items)
        trip.add_done_callback(lambda ended: self._ended(ended, [done for _, done in batch]))

    def _ended(
        self,
        trip: asyncio.Future[Sequence[Exception | None]],
        waiting: Sequence[asyncio.Future[None]],
    ) -> None:
        self._trips -= 1
        # A trip is not cancelled: nobody but us knows it.
        failed = trip.exception()
        errors = [failed] * len(waiting) if failed is not None else trip.result()
        for done, error in zip(waiting, errors, strict=True):
            if done.done():
                continue  # cancelled meanwhile
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._begin()
