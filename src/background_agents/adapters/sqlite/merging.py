"""Bringing the delegations of one database into another one, each wholly or not at all."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from background_agents.adapters.sqlite.rebuild import open_database, renumber

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
        of.execute("BEGIN IMMEDIATE")
        into.execute("BEGIN IMMEDIATE")
        found = [name for (name,) in of.execute("SELECT id FROM delegations ORDER BY number")]
        moved = [one for one in found if _bring(of, into, one, project)]
        renumber(into)
        into.execute("COMMIT")
        for table, key in _TABLES.items():
            of.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(one,) for one in moved])
        of.execute("COMMIT")
        return sorted({*found} - {*moved})


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
    into.execute("BEGIN IMMEDIATE")
    try:
        into.executemany("INSERT OR IGNORE INTO leases VALUES (?, ?, ?, ?)", claims)
        for name in newer:
            for table, key in _TABLES.items():
                into.execute(f"DELETE FROM {table} WHERE {key} = ?", (name,))
                _copy(of, into, table, name, project)
        renumber(into)
        into.execute("COMMIT")
    except BaseException:
        into.execute("ROLLBACK")
        raise
    return len(newer)


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
        holders = ", ".join("?" * len(row))
        insert = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holders})"
        into.execute(insert, list(row.values()))


def _named(connection: sqlite3.Connection, record: bytes, project: str) -> bytes:
    """Return a record that says which project it is of, as ``project`` if it says so at all."""
    query = "SELECT CAST(json_replace(CAST(? AS TEXT), '$.project', ?) AS BLOB)"
    named: bytes = connection.execute(query, (record, project)).fetchone()[0]
    return named
