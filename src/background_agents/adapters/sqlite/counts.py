"""How many delegations a root session has, without counting a hundred thousand each time.

A service deletes no delegation, and new ones get higher numbers: what is far enough below the
newest stays as many as it was. People do prune, in a process of their own, and SQLite tells when
another one has written. Counting 100,000 index entries takes 2 ms, more than half of
what a tool call takes otherwise.
"""

from __future__ import annotations

import sqlite3

from background_agents.adapters.sqlite.queries import QUERIES

UNSETTLED = 5_000
"""The newest are counted each time, in 0.1 ms: a transaction that is rolled back takes its
numbers back, and none holds so many."""


WORTH_REMEMBERING = 1_000
"""Fewer are counted each time, in 20 µs: sessions come and go for as long as a service lives, and
what was remembered of each of them would never end."""


class Counts:
    """Counts by root session, on the writer's thread."""

    def __init__(self) -> None:
        self._of: sqlite3.Connection | None = None
        self._version = 0
        self._settled: dict[str, tuple[int, int]] = {}
        """Up to which number a root session's were counted, and how many those were."""

    def count(self, connection: sqlite3.Connection, root: str) -> int:
        """Return how many delegations ``root`` has."""
        self._forget_if_changed(connection)
        border, count = self._settled.get(root, (0, 0))
        newest = _number(connection.execute(QUERIES["newest_number"]))
        settled = newest - UNSETTLED
        if settled > border:
            count += _number(connection.execute(QUERIES["count"], (root, border, settled)))
            border = settled
            if count >= WORTH_REMEMBERING:
                self._settled[root] = (border, count)
        return count + _number(connection.execute(QUERIES["count"], (root, border, newest)))

    def _forget_if_changed(self, connection: sqlite3.Connection) -> None:
        """Another process may have pruned, or taken in files and given all new numbers."""
        version = _number(connection.execute("PRAGMA data_version"))
        if self._of is not connection or self._version != version:
            self._of, self._version = connection, version
            self._settled.clear()


def _number(found: sqlite3.Cursor) -> int:
    return int(found.fetchone()[0] or 0)
