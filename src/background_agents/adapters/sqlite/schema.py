"""Opening the database and bringing its schema up to date.

Migrations are numbered files that are never edited; ``PRAGMA user_version`` holds the
number of the last one applied. Knows the tables' files, not what the tables mean.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from background_agents.adapters.private_files import private_file, private_folder
from background_agents.domain.errors import StoreUnavailable

BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process's transaction; one takes milliseconds."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at ``path``, created and migrated as needed, for this thread alone.

    Its folder is taken as the database's own and becomes 0700.

    Raises:
        StoreUnavailable: a newer version of the package wrote it; it is left untouched.
        OSError, sqlite3.Error: it cannot be opened.
    """
    private_folder(path.parent)
    private_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _refuse_newer(connection, path)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def migrations() -> list[str]:
    """Return the scripts in order; the one at index 0 leads to version 1."""
    folder = resources.files(__package__).joinpath("migrations")
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".sql")), key=_name)
    return [one.read_text(encoding="utf-8") for one in files]


def _name(file: resources.abc.Traversable) -> str:
    return file.name


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    version, known = _version(connection), len(migrations())
    if version > known:
        raise StoreUnavailable(
            f"The database {path} has schema version {version}, but this version of "
            f"background-agents knows only up to {known}; upgrade background-agents."
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; once, for the database remembers it.

    SQLite does not wait for the lock that the switch needs, so processes that create
    the same database at the same moment have to try again.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing, all or nothing, while no other process can do the same."""
    scripts = migrations()
    if _version(connection) == len(scripts):
        return
    connection.execute("BEGIN IMMEDIATE")
    _refuse_newer(connection, path)
    for script in scripts[_version(connection) :]:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(scripts)}")
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """Split a script; ``executescript`` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
