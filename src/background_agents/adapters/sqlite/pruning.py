"""Deleting delegations that have ended: their rows, in transactions that a service waits for.

What is deleted is overwritten, too: people prune what is not to be there any more. Knows
nothing of files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.queries import QUERIES
from background_agents.adapters.sqlite.schema import open_existing
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.status import TERMINAL, Status
from background_agents.ports.storage import Line


class Prunable(NamedTuple):
    """A delegation that may be deleted."""

    line: Line
    root_session: str


class Pruning:
    """Deletes rows of one project's database; use it as ``with Pruning.open(...)``."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Open the database at ``path``; None if nothing was ever delegated there.

        Raises:
            StoreUnavailable: it cannot be opened, is damaged, or a newer version wrote it.
        """
        connection = open_existing(path)
        if connection is None:
            return None
        connection.execute("PRAGMA secure_delete = ON")
        return cls(connection, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the file, and leave no deleted text in its log where nobody reads that."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def find(self, before: datetime, states: frozenset[Status]) -> list[Prunable]:
        """Return what ended before a moment, oldest first; never what is active."""
        moment = before.astimezone(UTC).isoformat()
        names = msgspec.json.encode(sorted(states & TERMINAL)).decode()
        with self._explained():
            found = self._connection.execute(QUERIES["prunable"], (names, moment, moment))
            return [
                Prunable(rows.line((name, *rest)), root_session)
                for name, root_session, *rest in found
            ]

    def is_there(self, delegation: str) -> bool:
        """Return whether a delegation has a row."""
        with self._explained():
            return bool(self._connection.execute(QUERIES["there"], (delegation,)).fetchone()[0])

    def delete(self, delegations: Sequence[str]) -> None:
        """Delete delegations with their events and notices: all of these, or nothing."""
        each = [(name,) for name in delegations]
        with self._explained(), self._transaction():
            self._connection.executemany(QUERIES["prune_delegation"], each)
            self._connection.executemany(QUERIES["prune_events"], each)
            names = msgspec.json.encode(delegations).decode()
            self._connection.execute(QUERIES["prune_notices"], (names,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreUnavailable(
                f"Nothing more can be deleted from {self._path} ({error}); what was deleted so "
                "far is gone as a whole. Try again, or look with `background-agents doctor`."
            ) from error
