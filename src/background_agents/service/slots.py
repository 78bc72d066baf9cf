"""How many delegations run at once: places, given in the order of asking."""

from __future__ import annotations

from collections.abc import Callable


class Slots:
    """A limited number of places, each held by a key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: set[str] = set()
        self._queue: dict[str, Callable[[], None]] = {}

    def ask(self, key: str, granted: Callable[[], None]) -> None:
        """Call ``granted`` as soon as there is a place for ``key``, maybe at once."""
        self._queue[key] = granted
        self._grant()

    def release(self, key: str) -> None:
        """Give back the place of ``key``, or take it out of the queue. Twice is once."""
        self._held.discard(key)
        self._queue.pop(key, None)
        self._grant()

    def position(self, key: str) -> int | None:
        """Return the place of ``key`` in the queue, from 1; None when it does not wait."""
        return next((i for i, k in enumerate(self._queue, start=1) if k == key), None)

    def _grant(self) -> None:
        while self._queue and len(self._held) < self._limit:
            key = next(iter(self._queue))
            granted = self._queue.pop(key)
            self._held.add(key)
            granted()
