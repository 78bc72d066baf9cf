"""Bringing what one database holds into another one, each delegation wholly or not at all.

Two folders turned out to be one project's; or the file was deleted or replaced under a process
that had it open, which reads it on without any name, its log included. All of it blocks.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.files.private import private_file, private_folder, sync_folder
from background_agents.adapters.sqlite.folder_lock import SOLE, held
from background_agents.adapters.sqlite.rebuild import open_database, renumber
from background_agents.adapters.sqlite.schema import SIDES, insert, transaction

log = logging.getLogger(__name__)

_TABLES = {"delegations": "id", "events": "delegation", "notices": "delegation",
           "pieces": "delegation"}  # fmt: skip
"""All that belongs to a delegation, and the column that says to which."""

_NAMED = {"delegations": "record", "events": "body"}
"""Where JSON says which project a delegation is of; of the events the first does."""


def merge_databases(source: Path, target: Path, project: str) -> list[str]:
    """Move all delegations from one database to another, in which they are of ``project``.

    They are in the target for good before they leave the source. One whose id is another one's
    in the target stays in the source; return those that do.

    Raises:
        StoreUnavailable: a newer version wrote one of the two.
        OSError, sqlite3.Error: one of the two cannot be used now.
    """
    with closing(open_database(source)) as of, closing(open_database(target)) as into:
        with transaction(of):
            found = [name for (name,) in of.execute("SELECT id FROM delegations ORDER BY number")]
            with transaction(into):
                moved = [one for one in found if _bring(of, into, one, project)]
                renumber(into)
            for table, key in _TABLES.items():
                of.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(one,) for one in moved])
        return sorted({*found} - {*moved})


def _bring(of: sqlite3.Connection, into: sqlite3.Connection, one: str, project: str) -> bool:
    """Copy a delegation with all that belongs to it; return whether it is there now."""
    which = "SELECT root_session, registered_at FROM delegations WHERE id = ?"
    there = into.execute(which, (one,)).fetchone()
    if there is None:
        for table in _TABLES:
            _copy(of, into, table, one, project)
        return True
    # It is the same if a crash came between the two commits.
    is_same = bool(there == of.execute(which, (one,)).fetchone())
    if not is_same:
        log.warning("%s stays: another delegation of project %s has that id", one, project)
    return is_same


def _copy(
    of: sqlite3.Connection, into: sqlite3.Connection, table: str, one: str, project: str
) -> None:
    cursor = of.execute(f"SELECT * FROM {table} WHERE {_TABLES[table]} = ?", (one,))
    columns = [column for column, *_ in cursor.description]
    for values in cursor:
        row = dict(zip(columns, values, strict=True))
        row.pop("number", None)  # the next free one
        if table in _NAMED:
            row[_NAMED[table]] = _named(of, row[_NAMED[table]], project)
        insert(into, table, row)


def _named(connection: sqlite3.Connection, record: bytes, project: str) -> bytes:
    """Return a record that says which project it is of, as ``project`` if it says so at all."""
    query = "SELECT CAST(json_replace(CAST(? AS TEXT), '$.project', ?) AS BLOB)"
    named: bytes = connection.execute(query, (record, project)).fetchone()[0]
    return named


# --- a file that was deleted or replaced while it was open -----------------------------

_File = tuple[int, int] | None


class Identity(NamedTuple):
    """What tells a database's files from others under the same names; None where there is none."""

    database: _File
    log: _File

    @classmethod
    def of(cls, path: Path) -> Identity:
        """Look at the files of the database at ``path``."""
        return cls(_file(path), _file(Path(f"{path}-wal")))

    def still_holds(self, now: Identity) -> bool:
        """Return whether what is there ``now`` is what was opened.

        A log that was not there yet may have come; one that was there goes with the last connection
        alone, and ours is open. Without it other processes would read an old state, or none.
        """
        return now.database == self.database and self.log in (None, now.log)


def put_back(connection: sqlite3.Connection, path: Path, opened: Identity) -> None:
    """Write what ``connection`` holds to ``path``, where its database or its log is gone.

    Nothing is done where another file has taken the name, which is another process's doing.

    Raises:
        StoreUnavailable, OSError, sqlite3.Error: it cannot be written now; nothing has changed.
    """
    private_folder(path.parent)
    with held(path.parent, SOLE):
        if Identity.of(path).database not in (None, opened.database):
            return
        fresh = path.with_name(f"{path.name}.putting-back")
        fresh.unlink(missing_ok=True)
        private_file(fresh)
        with closing(sqlite3.connect(fresh)) as copy:
            connection.backup(copy)
        # What is left of the old log would be taken for the new file's.
        for side in SIDES:
            Path(f"{path}{side}").unlink(missing_ok=True)
        os.replace(fresh, path)
        sync_folder(path.parent)


def bring_newer(of: sqlite3.Connection, into: sqlite3.Connection, project: str) -> int:
    """Copy what ``into`` lacks or has in an older version; return how many delegations that were.

    For two files of which one has taken the place of the other: claims come along as well.

    Raises:
        sqlite3.Error: one of the two cannot be used; nothing was copied.
    """
    query = "SELECT id, root_session, registered_at, version FROM delegations ORDER BY number"
    known = {name: (whose, version) for name, *whose, version in into.execute(query)}
    newer = []
    for name, *whose, version in of.execute(query):
        there, reached = known.get(name, (whose, 0))
        if there != whose:
            log.warning("%s stays behind: another delegation has that id", name)
        elif version > reached:
            newer.append(name)
    claims = of.execute("SELECT owner, host, boot, renewed_s FROM leases").fetchall()
    with transaction(into):
        into.executemany("INSERT OR IGNORE INTO leases VALUES (?, ?, ?, ?)", claims)
        for name in newer:
            for table, key in _TABLES.items():
                into.execute(f"DELETE FROM {table} WHERE {key} = ?", (name,))
                _copy(of, into, table, name, project)
        renumber(into)
    return len(newer)


def _file(path: Path) -> _File:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
