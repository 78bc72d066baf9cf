"""Names: readable delegation ids, and message ids that OpenCode sorts by time.

Randomness and time are passed in, so that a test can repeat a name.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from random import Random

READABLE = re.compile(r"[a-z]{1,20}-[a-z]{1,20}-[a-z]{1,20}(?:-[0-9]{1,6})?")
"""What a delegation's id looks like. An id is a name; nothing else ever reaches a path."""

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

_COUNTER = 4096
"""How many ids one millisecond has room for, as OpenCode's own ids."""


def is_readable_id(value: str) -> bool:
    """Return whether ``value`` has the form of a delegation's id."""
    return READABLE.fullmatch(value) is not None


def is_later(one: str, other: str) -> bool:
    """Return whether a sortable id was made after another one, whatever they are of."""
    return moment(one) > moment(other)


def moment(one: str) -> str:
    """Return the part of a sortable id that says when it was made."""
    return one.partition("_")[2]


def readable_ids(words: Callable[[], list[str]]) -> Iterator[str]:
    """Yield candidates like ``brave-amber-otter``; the store says which one is free.

    ``words`` gives some words at a time. After 20 candidates a number is added, so
    that a project with very many delegations still gets an id at once.
    """
    for attempt in count():
        name = "-".join(words())
        if attempt >= 20:
            name = f"{name}-{attempt}"
        if is_readable_id(name):
            yield name


class SortableIds:
    """Mints ids in OpenCode's form, which sort by time.

    12 hex digits of ``(ms * 4096 + counter) mod 2**48``, then 14 base-62 characters
    (observed on OpenCode 1.15 to 1.18).
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._last = 0

    def mint(self, prefix: str, at: datetime) -> str:
        """Return a new id such as ``msg_206c0c44e001m17TDtEso1Uea8``."""
        # One number for millisecond and counter, so that a busy millisecond runs on into
        # the next one and the order is kept.
        self._last = max(int(at.timestamp() * 1000) * _COUNTER, self._last) + 1
        stamp = self._last % 2**48
        tail = "".join(self._random.choices(_BASE62, k=14))
        return f"{prefix}_{stamp:012x}{tail}"
