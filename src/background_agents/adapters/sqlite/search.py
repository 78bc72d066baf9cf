"""Full-text search, in a file of its own beside the database: ``search.db``.

A cache that may be deleted at any time. Services pay nothing for it: they only leave word, by
triggers, of what has changed (``unindexed``), and whoever searches catches up first. Whoever
has indexed something says so by a mark, in both files: two that do so at the same moment, a
crash between the two commits, and a database or a cache from a backup are all told by it.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from background_agents.adapters.files.private import private_file, refuse_link
from background_agents.adapters.sqlite.folder_lock import SOLE, held
from background_agents.adapters.sqlite.rows import read_delegation
from background_agents.adapters.sqlite.schema import (
    QUERIES,
    SIDES,
    closing_on_error,
    for_doctor,
    is_damage,
    open_existing,
    scalar,
    transaction,
)
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest

NAME = "search.db"

FORMAT = 1
"""Of the cache; one of another format is made anew."""

INDEXED_CHARS = 200_000
"""Of a prompt and of a result: 30,000 words tell what it is about."""

BATCH = 500
"""Delegations in one commit: about a second of work, which is what Ctrl-C can cost."""

BUSY_TIMEOUT_S = 30.0
"""How long to wait for another search that catches up; it gives way after each batch."""

_SCHEMA = (
    "DROP TABLE IF EXISTS texts",
    "DROP TABLE IF EXISTS known",
    "DROP TABLE IF EXISTS state",
    # Its rows have the numbers of the delegations, so that newest first costs no sorting.
    "CREATE VIRTUAL TABLE texts USING fts5"
    "(title, summary, prompt, result, tokenize = 'unicode61 remove_diacritics 2')",
    "CREATE TABLE known (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), "
    "before INTEGER NOT NULL, after INTEGER NOT NULL) STRICT",
    f"PRAGMA user_version = {FORMAT}",
)

ResultOf = Callable[[Delegation], str]
"""Returns what a delegation left; empty where that cannot be read."""

NO_FULL_TEXT = (
    "The SQLite of this Python was built without full-text search (FTS5): search by id:, @agent, "
    "model: or state: alone, or use another Python."
)

Tell = Callable[[int, int], None]
"""Hears how many delegations were indexed, and how many there are to index, before each batch."""


class _Row(NamedTuple):
    """What waits to be indexed, and the token to remove it by."""

    delegation: str
    token: int


class SearchIndex:
    """The cache of one project's database."""

    def __init__(self, database: Path, result_of: ResultOf) -> None:
        self._database = database
        self._result_of = result_of
        self.path = database.with_name(NAME)

    def catch_up(self, tell: Tell) -> None:
        """Index what is not indexed yet; afterwards the cache is there and tells all.

        What was committed stays, however this ends.

        Raises:
            InvalidRequest: this SQLite has no FTS5.
            StoreUnavailable: one of the two files cannot be used.
        """
        with self._explained():
            try:
                self._catch_up(tell)
            except sqlite3.DatabaseError as error:
                if not is_damage(error) or _is_missing_module(error):
                    raise
                self.discard()
                self._catch_up(tell)

    def forget(self) -> None:
        """Catch up, and leave no word of what was deleted in the file. Raises as ``catch_up``."""
        self.catch_up(lambda *_: None)
        with self._explained(), closing(self._connect()) as cache:
            cache.execute("INSERT INTO texts (texts) VALUES ('optimize')")
            cache.execute("PRAGMA busy_timeout = 0")  # another search may read; then it stays
            cache.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def discard(self) -> None:
        """Delete the cache. One that another process has open is no harm: its mark is void."""
        for side in ("", *SIDES):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{side}")

    def _catch_up(self, tell: Tell) -> None:
        main = open_existing(self._database)
        if main is None:
            return
        with closing(main), closing(self._connect()) as cache:
            # Forgetting that something was indexed costs indexing it again, and no fsync.
            main.execute("PRAGMA synchronous = NORMAL")
            done = 0
            while self._is_behind(main, cache):
                waiting = scalar(main, QUERIES["count_unindexed"])
                tell(done, done + waiting)
                done += self._index_batch(main, cache)

    def _connect(self) -> sqlite3.Connection:
        refuse_link(self.path)
        private_file(self.path)
        cache = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        with closing_on_error(cache):
            # Of two that begin a file at once SQLite lets one wait for nothing, and fail.
            with held(self.path.parent, SOLE):
                cache.execute("PRAGMA journal_mode = WAL")
            cache.execute("PRAGMA synchronous = FULL")
            cache.execute("PRAGMA secure_delete = ON")
        return cache

    def _is_behind(self, main: sqlite3.Connection, cache: sqlite3.Connection) -> bool:
        return not _agrees(main, cache) or scalar(main, QUERIES["count_unindexed"]) > 0

    def _index_batch(self, main: sqlite3.Connection, cache: sqlite3.Connection) -> int:
        """Index some of what waits; return how many delegations."""
        with transaction(cache):
            # Only now that nobody else can index is the other file looked at.
            mark = scalar(main, QUERIES["index_mark"])
            if not _agrees(main, cache):
                self._begin_anew(main, cache)
                return 0
            rows = [_Row(*one) for one in main.execute(QUERIES["unindexed"], (BATCH,))]
            for row in rows:
                self._index(main, cache, row.delegation)
            after = _new_mark()
            cache.execute("UPDATE state SET before = ?, after = ?", (mark, after))
        with transaction(main):
            if main.execute(QUERIES["set_index_mark"], (after, mark)).rowcount:
                main.executemany(QUERIES["indexed"], rows)
        return len(rows)

    def _begin_anew(self, main: sqlite3.Connection, cache: sqlite3.Connection) -> None:
        """Empty the cache and have everything indexed."""
        for statement in _SCHEMA:
            cache.execute(statement)
        mark = _new_mark()
        with transaction(main):
            main.execute(QUERIES["set_index_mark"], (mark, scalar(main, QUERIES["index_mark"])))
            main.execute(QUERIES["index_all"])
        cache.execute("INSERT INTO state (one, before, after) VALUES (1, ?, ?)", (mark, mark))

    def _index(self, main: sqlite3.Connection, cache: sqlite3.Connection, name: str) -> None:
        """Replace what the cache tells of a delegation by what is so now."""
        found = main.execute(QUERIES["to_index"], (name,)).fetchone()
        number = found[0] if found else None
        stale = cache.execute(
            "DELETE FROM known WHERE id = ? OR number = ? RETURNING number", (name, number)
        ).fetchall()
        cache.executemany("DELETE FROM texts WHERE rowid = ?", stale)
        if found is None:
            return
        delegation = read_delegation(found[1])
        result = self._result_of(delegation) if delegation.is_terminal else ""
        cache.execute(
            "INSERT INTO texts (rowid, title, summary, prompt, result) VALUES (?, ?, ?, ?, ?)",
            (
                number,
                delegation.title,
                delegation.summary,
                delegation.prompt[:INDEXED_CHARS],
                result[:INDEXED_CHARS],
            ),
        )
        cache.execute("INSERT INTO known (number, id) VALUES (?, ?)", (number, name))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            if _is_missing_module(error):
                raise InvalidRequest(NO_FULL_TEXT) from error
            what = f"The search index {self.path} cannot be brought up to date"
            raise for_doctor(what, error) from error


def _agrees(main: sqlite3.Connection, cache: sqlite3.Connection) -> bool:
    """Return whether the cache belongs to what the database now is."""
    if scalar(cache, "PRAGMA user_version") != FORMAT:
        return False
    marks: Sequence[int] = cache.execute("SELECT before, after FROM state").fetchone() or ()
    # The earlier one: whoever indexed ended before it could say so in the database.
    return scalar(main, QUERIES["index_mark"]) in marks


def _new_mark() -> int:
    return random.SystemRandom().getrandbits(62)


def _is_missing_module(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "no such module" in str(error)
