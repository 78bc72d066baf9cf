"""Opening the database, bringing its schema up to date and telling damage from bad luck.

Migrations are numbered files that are never edited; ``PRAGMA user_version`` holds the
number of the last one applied, and ``queries.sql`` every statement that the store runs. Knows
these files, not what the tables mean, and repairs nothing: that is ``rebuild``'s business.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Self

from background_agents.adapters.files.private import private_file, private_folder, refuse_link
from background_agents.domain.errors import StoreUnavailable

BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process's transaction; one takes milliseconds."""

CHECKED_BYTES = 256 * 2**20
"""Up to this size every page is looked at on opening. 10,000 delegations with prompts of
2,000 characters are 88 MB; checking those takes 0.2 s, records included. A larger database is
opened on trust, and SQLite says by itself when it is cut short or its schema is broken."""

PLAUSIBLE_VERSION = 9_999
"""No package will ever have more migrations: a higher number was not written by one."""

_WRITE_VERSION = 18
"""Where the file says by which means it is written; so SQLite's file format has it."""

_WAL = 2
"""By a write-ahead log, the highest that there is."""

_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        # Raised on opening only by our own statements, which are right for a sound schema.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_CONSTRAINT,
    }
)
"""What SQLite says of what is in a file; the other codes speak of locks, rights and disks."""


SIDES = ("-wal", "-shm")
"""What SQLite keeps beside a database, by the end of its name."""

Value = str | int | float | bytes | None


class DatabaseDamaged(Exception):
    """What is in the file is not, or not whole, a database of ours."""


class Opened:
    """A database that is open beside services that use it; ``with Opened.open(...)`` closes it."""

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
        return None if connection is None else cls(connection, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@contextmanager
def closing_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that the block cannot make fit for use."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def telling_damage() -> Iterator[None]:
    """Raise ``DatabaseDamaged`` for an error that speaks of what is in the file."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            raise DatabaseDamaged(str(error)) from error
        raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block changes, or nothing of it, while nobody else writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite may have given it up by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def scalar(connection: sqlite3.Connection, query: str, *values: Value) -> int:
    """Return the only number that a query gives; 0 where it gives null."""
    return int(connection.execute(query, values).fetchone()[0] or 0)


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    """Insert a row, by the names of its columns."""
    holders = ", ".join("?" * len(row))
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holders})"
    connection.execute(statement, list(row.values()))


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at ``path``, created and migrated as needed, for this thread alone.

    Its folder is taken as the database's own and becomes 0700.

    Raises:
        StoreUnavailable: a newer version of the package wrote it; it is left untouched.
        DatabaseDamaged: opening it again would not help.
        OSError, sqlite3.Error: it cannot be opened now; nothing is known of its content.
    """
    private_folder(path.parent)
    private_file(path)
    is_checked = path.stat().st_size <= CHECKED_BYTES
    # Before SQLite has it open: to close a file gives up the locks that a process has on it.
    look_into(path, wholly=is_checked)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    with closing_on_error(connection), telling_damage():
        refuse_newer(connection, path)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
        if is_checked:
            check(connection)
    return connection


def open_existing(path: Path) -> sqlite3.Connection | None:
    """Open the database at ``path`` beside services that use it; None if there is none.

    One of an older version is migrated first. Nothing is checked and nothing repaired.

    Raises:
        StoreUnavailable: a newer version wrote it, it is damaged, or it cannot be opened.
    """
    try:
        refuse_link(path.parent)
        refuse_link(path)
        if not path.exists():
            return None
        # Not ``mode=ro``: without a writer beside it SQLite must be able to make the log's index.
        connection = open_as(path, "mode=rw")
        with closing_on_error(connection):
            refuse_newer(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection, path)
    except (sqlite3.Error, DatabaseDamaged, OSError) as error:
        raise for_doctor(f"The database {path} cannot be read", error) from error
    return connection


def for_doctor(what: str, error: Exception) -> StoreUnavailable:
    """Return the error that says what is not possible, and who looks into it."""
    return StoreUnavailable(f"{what} ({error}); `background-agents doctor` looks into it.")


def open_as(path: Path, how: str) -> sqlite3.Connection:
    """Open the file at ``path`` in a way that only a URI can say."""
    uri = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def empty() -> sqlite3.Connection:
    """Return a database in memory with nothing in it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _apply(connection, migrations())
    return connection


def is_damage(error: Exception) -> bool:
    """Return whether an error speaks of what is in the file, not of the way to it."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return False
    if isinstance(error, sqlite3.Error):
        # Python's own complaint about text that is no UTF-8 comes without a code.
        code = getattr(error, "sqlite_errorcode", None)
        return code is None or code & 0xFF in _DAMAGE
    return isinstance(error, UnicodeDecodeError)


def migrations() -> list[str]:
    """Return the scripts in order; the one at index 0 leads to version 1."""
    files = sorted(Path(__file__).with_name("migrations").glob("*.sql"))
    return [one.read_text(encoding="utf-8") for one in files]


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many of the migrations were applied."""
    return scalar(connection, "PRAGMA user_version")


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``StoreUnavailable`` if a newer version of the package wrote the database."""
    version, known = version_of(connection), len(migrations())
    if not 0 <= version <= PLAUSIBLE_VERSION:
        raise DatabaseDamaged(f"schema version {version}")
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
    if version_of(connection) == len(scripts):
        return
    with transaction(connection):
        refuse_newer(connection, path)
        _apply(connection, scripts[version_of(connection) :])
        connection.execute(f"PRAGMA user_version = {len(scripts)}")


def _apply(connection: sqlite3.Connection, scripts: Sequence[str]) -> None:
    for script in scripts:
        for statement in _statements(script):
            connection.execute(statement)


def look_into(path: Path, *, wholly: bool) -> None:
    """Refuse a header that forbids writing, and have the system read the file in one go.

    SQLite would take the first for a lack of rights, and do the second page by page: 88 MB
    that were not in the cache were opened in 0.3 s instead of 1.6 s.
    """
    chunk = bytearray(2**20)
    with path.open("rb", buffering=0) as file:
        file.readinto(chunk)
        if chunk[_WRITE_VERSION] > _WAL:
            raise DatabaseDamaged("its header forbids writing")
        while wholly and file.readinto(chunk):
            pass


def check(connection: sqlite3.Connection) -> None:
    """Look at every page, and at the schema word by word; what else is there is no concern."""
    found = _schema_of(connection)
    wanted = _schema(version_of(connection))
    missing = [name for name, sql in wanted.items() if found.get(name) != sql]
    if missing:
        raise DatabaseDamaged(f"the schema of {', '.join(missing)} is not what it was")
    (first, *_) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if first != "ok":
        raise DatabaseDamaged(str(first))


@cache
def _schema(version: int) -> dict[str, str]:
    """Return what the first ``version`` migrations lead to, as SQLite keeps it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _apply(connection, migrations()[:version])
        return _schema_of(connection)


def _schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return dict(rows.fetchall())


def _statements(script: str) -> Iterator[str]:
    """Split a script; ``executescript`` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _named_statements(text: str) -> Mapping[str, str]:
    """Return the statements of a file like ``queries.sql`` by name, without their comments."""
    _, *pieces = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
    }


# By its path: importlib.resources would cost each command of a human 5 ms of imports.
QUERIES = _named_statements(Path(__file__).with_name("queries.sql").read_text("utf-8"))
