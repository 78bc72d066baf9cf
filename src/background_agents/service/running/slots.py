"""How many delegations run at once: places, given in the order of asking.

There is one limit for all and, where wanted, further ones for a provider or a model. What
waits for such a further limit alone does not hold up those behind it.

A delegation that has delegated may wait for just that, and must not hold the place for which it
waits: each lends its place to one below it at a time. So one that waits for a place is behind
others that work, or behind one of its own kind, and there is no circle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

UNLIMITED: Mapping[str, int] = {}


@dataclass(frozen=True)
class _Waiting:
    model: str | None
    granted: Callable[[], None]
    above: str


class Slots:
    """A limited number of places, each held by a key that asks for, or takes, one.

    A model is ``provider/model-id``. What runs on one that is not known counts for the
    limit of all, and for no other.
    """

    def __init__(
        self,
        limit: int,
        *,
        per_provider: Mapping[str, int] = UNLIMITED,
        per_model: Mapping[str, int] = UNLIMITED,
    ) -> None:
        self._limit = limit
        self._per_provider = per_provider
        self._per_model = per_model
        self._held: dict[str, str | None] = {}
        """The model of each key that has a place."""
        self._lent: dict[str, str] = {}
        """Which key works in the place of which one above it."""
        self._queue: dict[str, _Waiting] = {}

    def ask(
        self, key: str, granted: Callable[[], None], model: str | None = None, above: str = ""
    ) -> None:
        """Call ``granted`` as soon as there is a place for ``key``, maybe at once.

        ``above`` is the key whose place will do as well, if nobody else works in that.
        """
        self._queue[key] = _Waiting(model, granted, above)
        self._grant()

    def take(self, key: str, model: str | None = None, above: str = "") -> None:
        """Give ``key`` a place whatever the limits say: it runs already."""
        self._held[key] = model
        if above:
            self._lent.setdefault(above, key)

    def release(self, key: str) -> None:
        """Give back the place of ``key``, or take it out of the queue. Twice is once."""
        self._held.pop(key, None)
        self._queue.pop(key, None)
        self._lent = {above: one for above, one in self._lent.items() if key not in (above, one)}
        self._grant()

    def position(self, key: str) -> int | None:
        """Return the place of ``key`` in the queue, from 1; None when it does not wait."""
        return next((i for i, k in enumerate(self._queue, start=1) if k == key), None)

    def _grant(self) -> None:
        while (key := self._first_with_room()) is not None:
            waiting = self._queue.pop(key)
            if not self._has_room(waiting.model):
                self._lent[waiting.above] = key
            self._held[key] = waiting.model
            waiting.granted()

    def _first_with_room(self) -> str | None:
        has_place = (
            key
            for key, one in self._queue.items()
            if self._has_room(one.model) or self._is_free(one.above)
        )
        return next(has_place, None)

    def _is_free(self, above: str) -> bool:
        """Say whether a key has a place that nobody else works in."""
        return above in self._held and above not in self._lent

    def _has_room(self, model: str | None) -> bool:
        """Say whether the limits let one more run on ``model``."""
        guests = set(self._lent.values())
        counted = [one for key, one in self._held.items() if key not in guests]
        if len(counted) >= self._limit:
            return False
        if model is None:
            return True
        running = [one for one in counted if one is not None]
        if running.count(model) >= self._per_model.get(model, self._limit):
            return False
        provider = _provider(model)
        same = sum(_provider(one) == provider for one in running)
        return same < self._per_provider.get(provider, self._limit)


def _provider(model: str) -> str:
    return model.partition("/")[0]
