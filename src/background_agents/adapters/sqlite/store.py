"""``DelegationStore`` on SQLite: hands each operation to the writer's thread.

What an operation does is in ``rows``, when it is committed in ``writer``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.rebuild import Files, no_files
from background_agents.adapters.sqlite.schema import QUERIES, scalar
from background_agents.adapters.sqlite.writer import Writer
from background_agents.ports.storage import Line

P = ParamSpec("P")
T = TypeVar("T")

UNSETTLED = 5_000
"""The newest are counted each time, in 0.1 ms: a transaction that is rolled back takes its
numbers back, and none holds so many."""

WORTH_REMEMBERING = 1_000
"""Fewer are counted each time, in 20 µs: sessions come and go for as long as a service lives, and
what was remembered of each of them would never end."""


def operation(
    job: Callable[Concatenate[sqlite3.Connection, P], T], *, writes: bool
) -> Callable[Concatenate[SqliteStore, P], Coroutine[Any, Any, T]]:
    """Return the method that has the writer's thread do ``job``, with what it is called with."""

    async def run(self: SqliteStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._writer.run(lambda of: job(of, *args, **kwargs), writes=writes)

    return run


class SqliteStore:
    """The delegations of one project in one database file.

    Belongs to the event loop that opened it. Several processes may have the same file open.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._counts = Counts()

    @classmethod
    async def open(cls, path: Path, files: Files = no_files) -> SqliteStore:
        """Open the database, created, migrated or rebuilt as needed.

        What ``files`` tell and the database does not know is taken in. Its folder becomes
        0700 and the file 0600.

        Raises:
            StoreUnavailable: it cannot be opened, or a newer version wrote it.
        """
        writer = Writer(path, files)
        await writer.start()
        return cls(writer)

    register = operation(rows.register, writes=True)
    commit = operation(rows.commit, writes=True)
    keep = operation(rows.keep, writes=True)
    kept = operation(rows.kept, writes=False)
    find = operation(rows.find, writes=False)
    get = operation(rows.get, writes=False)
    with_session = operation(rows.with_session, writes=False)
    newest = operation(rows.newest, writes=False)
    newest_event = operation(rows.newest_event, writes=False)
    unfinished = operation(rows.unfinished, writes=False)
    ended_in = operation(rows.ended_in, writes=False)
    remaining = operation(rows.remaining, writes=False)
    spent = operation(rows.spent, writes=False)
    history = operation(rows.history, writes=False)
    due = operation(rows.due, writes=False)
    assign = operation(rows.assign, writes=True)
    settle = operation(rows.settle, writes=True)
    claim = operation(rows.claim, writes=True)
    renew = operation(rows.renew, writes=True)
    leases = operation(rows.leases, writes=False)
    revoke = operation(rows.revoke, writes=True)

    async def page(self, root_session: str, limit: int) -> tuple[list[Line], int]:
        def read(connection: sqlite3.Connection) -> tuple[list[Line], int]:
            lines = rows.page(connection, root_session, limit)
            return lines, self._counts.count(connection, root_session)

        return await self._writer.run(read, writes=False)

    async def close(self) -> None:
        """Finish what was begun and close the file. Closing twice is fine."""
        await self._writer.close()


class Counts:
    """How many delegations a root session has, without counting a hundred thousand each time.

    A service deletes no delegation, and new ones get higher numbers: what is far enough below the
    newest stays as many as it was. People do prune, in a process of their own, and SQLite tells
    when another one has written. Counting 100,000 index entries takes 2 ms, more than half of
    what a tool call takes otherwise. Used on the writer's thread.
    """

    def __init__(self) -> None:
        self._of: sqlite3.Connection | None = None
        self._version = 0
        self._settled: dict[str, tuple[int, int]] = {}
        """Up to which number a root session's were counted, and how many those were."""

    def count(self, connection: sqlite3.Connection, root: str) -> int:
        """Return how many delegations ``root`` has."""
        self._forget_if_changed(connection)
        border, count = self._settled.get(root, (0, 0))
        newest = scalar(connection, QUERIES["newest_number"])
        settled = newest - UNSETTLED
        if settled > border:
            count += scalar(connection, QUERIES["count"], root, border, settled)
            border = settled
            if count >= WORTH_REMEMBERING:
                self._settled[root] = (border, count)
        return count + scalar(connection, QUERIES["count"], root, border, newest)

    def _forget_if_changed(self, connection: sqlite3.Connection) -> None:
        """Another process may have pruned, or taken in files and given all new numbers."""
        version = scalar(connection, "PRAGMA data_version")
        if self._of is not connection or self._version != version:
            self._of, self._version = connection, version
            self._settled.clear()
