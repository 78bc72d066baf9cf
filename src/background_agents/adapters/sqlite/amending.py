"""What people's programs change: that a result was read, what was undone, and what is to be gone.

Only of what has ended, so that there is no run whose record it could be, and in transactions that
a service waits for. Knows nothing of files, nor of who may say so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import (
    QUERIES,
    Opened,
    open_existing,
    scalar,
    transaction,
)
from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.annotation import Annotation
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.status import TERMINAL, Status
from background_agents.ports.storage import Change, Line


def mark_read(path: Path, delegation: str, now: datetime) -> None:
    """Store in the database at ``path`` that a result was read; the first time counts.

    Raises:
        StoreUnavailable: it cannot be written now.
    """
    _amend(path, delegation, lambda one: ev.Read(at=now) if one.is_unread else None)


def annotate(path: Path, one: Delegation, change: Annotation, now: datetime) -> Delegation:
    """Store in the database at ``path`` labels or a note of what has ended; return it then.

    Raises:
        InvalidRequest: a label or the note cannot be meant.
        StoreUnavailable: it cannot be written now.
    """
    return _amend(path, one.id, lambda it: change.of(it, now, Actor.COMMAND_LINE)) or one


def note_changes(path: Path, delegation: str, changes: Changes, now: datetime) -> None:
    """Store in the database at ``path`` what stands of a delegation's changes by now.

    Raises:
        StoreUnavailable: it cannot be written now.
    """

    def made(one: Delegation) -> ev.Event | None:
        is_news = one.is_terminal and one.changes != changes
        return ev.ChangesMade(at=now, changes=changes) if is_news else None

    _amend(path, delegation, made)


def note_tree(path: Path, tree: str, state: str, now: datetime) -> None:
    """Store in the database at ``path`` what has become of a tree, for all who ended there.

    Raises:
        StoreUnavailable: it cannot be written now.
    """
    connection = open_existing(path)
    if connection is None:
        return
    try:
        with closing(connection), transaction(connection):
            for one in rows.ended_in(connection, tree):
                if one.changes.apart != state:
                    changes = msgspec.structs.replace(one.changes, apart=state)
                    event = ev.ChangesMade(at=now, changes=changes)
                    rows.commit(connection, Change(after=apply(one, event), events=(event,)))
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be written ({error}).") from error


def _amend(
    path: Path, delegation: str, event: Callable[[Delegation], ev.Event | None]
) -> Delegation | None:
    """Store what ``event`` makes of a delegation; return it as it then is, None if nothing was."""
    connection = open_existing(path)
    if connection is None:
        return None
    try:
        with closing(connection), transaction(connection):
            # Looked at again under the lock: its title may have been made better meanwhile.
            one = rows.get(connection, delegation)
            happened = event(one) if one is not None else None
            if one is not None and happened is not None:
                after = apply(one, happened)
                rows.commit(connection, Change(after=after, events=(happened,)))
                return after
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be written ({error}).") from error
    return None


class Prunable(NamedTuple):
    """A delegation that may be deleted."""

    line: Line
    root_session: str


class Pruning(Opened):
    """Deletes rows, and overwrites them, too: people prune what is not to be there any more."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        connection.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        """Let go of the file, and leave no deleted text in its log where nobody reads that."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        super().close()

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
            return scalar(self._connection, QUERIES["there"], delegation) > 0

    def delete(self, delegations: Sequence[str]) -> None:
        """Delete delegations with their events and notices: all of these, or nothing."""
        each = [(name,) for name in delegations]
        names = msgspec.json.encode(delegations).decode()
        with self._explained(), transaction(self._connection):
            self._connection.executemany(QUERIES["prune_delegation"], each)
            self._connection.executemany(QUERIES["prune_events"], each)
            self._connection.execute(QUERIES["prune_notices"], (names,))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreUnavailable(
                f"Nothing more can be deleted from {self._path} ({error}); what was deleted so "
                "far is gone as a whole. Try again, or look with `background-agents doctor`."
            ) from error
