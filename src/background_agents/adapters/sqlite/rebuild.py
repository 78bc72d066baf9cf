"""Opening a database that may be lost or damaged, and filling it from what is left.

What counts, in this order: the rows of the damaged file that can still be read, then the
files that tell of delegations no row tells of. So nothing is lost that is not really gone.
A damaged file is moved aside, never deleted. Knows no file format but the database's: who
reads the other files is passed in.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial, reduce
from pathlib import Path
from typing import NamedTuple

import msgspec

from background_agents.adapters.files.private import private_folder
from background_agents.adapters.sqlite import rows, schema
from background_agents.adapters.sqlite.folder_lock import SHARED, SOLE, held
from background_agents.adapters.sqlite.wreck import Row, read_rows
from background_agents.domain import delegation as domain
from background_agents.domain.errors import IdTaken
from background_agents.domain.events import Event, Registered
from background_agents.ports.storage import Change

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding raises when a byte of a text has changed."""

_log = logging.getLogger(__name__)


class Told(NamedTuple):
    """A delegation that has ended, as a file tells of it."""

    first: Registered
    later: tuple[Event, ...]
    foreign: bool = False
    """Another program's; that our database did not know it is no loss."""


Known = frozenset[tuple[str, str]]
"""Pairs of id and root session."""

Files = Callable[[Known], Iterable[Told]]
"""Tells of every delegation that has a file and is not among the known ones."""


def no_files(_: Known) -> Iterable[Told]:
    """Tell of nothing: there are no files beside the database."""
    return ()


def open_database(path: Path, files: Files = no_files) -> sqlite3.Connection:
    """Open the database at ``path``, whatever has become of it, and take in unknown files.

    Several processes may do so at the same moment: one of them rebuilds, the others wait.

    Raises:
        StoreUnavailable: a newer version of the package wrote it; it is left untouched.
        OSError, sqlite3.Error: it cannot be opened now, or there is no room to rebuild it.
    """
    private_folder(path.parent)
    try:
        with held(path.parent, SHARED):
            connection = _sound(path)
    except schema.DatabaseDamaged:
        connection = _repaired(path, files)
    with schema.closing_on_error(connection):
        _take_in_late(connection, path, files)
    return connection


def _repaired(path: Path, files: Files) -> sqlite3.Connection:
    with held(path.parent, SOLE):
        try:
            return _sound(path)  # somebody else was faster
        except schema.DatabaseDamaged as damage:
            _rebuild(path, files, str(damage))
            return schema.connect(path)


def _sound(path: Path) -> sqlite3.Connection:
    """Open the database. Raises ``DatabaseDamaged`` if it is not sound."""
    if not path.exists() and Path(f"{path}-wal").exists():
        # SQLite would delete the log together with all that is only in there.
        raise schema.DatabaseDamaged("the file is gone, and its log is not")
    connection = schema.connect(path)
    with schema.closing_on_error(connection):
        if path.stat().st_size <= schema.CHECKED_BYTES:
            check_records(connection)
    return connection


def check_records(connection: sqlite3.Connection) -> None:
    """Decode every record and notice that is due: a sound page may hold an unsound text."""
    with schema.telling_damage():
        cursor = connection.execute("SELECT * FROM delegations")
        names = [one[0] for one in cursor.description]
        for found in cursor:
            row = dict(zip(names, found, strict=True))
            if _mended(row) != row:
                raise schema.DatabaseDamaged(f"the row of {row['id']!r:.80} is not what it was")
        for (record,) in connection.execute("SELECT record FROM notices WHERE due = 1"):
            if not _decodes(rows.read_notice, "record", {"record": record}):
                raise schema.DatabaseDamaged("a notice cannot be read")


def _rebuild(path: Path, files: Files, reason: str) -> None:
    """Make a new database beside the damaged one, then let them change places.

    A crash before that leaves all as it was.
    """
    fresh = path.with_name(f"{path.name}.rebuilding")
    for leftover in (fresh, *(Path(f"{fresh}{side}") for side in schema.SIDES)):
        leftover.unlink(missing_ok=True)
    with closing(schema.connect(fresh)) as connection, schema.transaction(connection):
        sound = filter(None, map(_mended, read_rows(path, "delegations")))
        _copy(connection, "delegations", sound)
        kept = _names(connection)
        told = _take_in(connection, path, files(_known(connection)))
        _salvage_rest(connection, path, kept)
    aside = _move_aside(path)
    os.replace(fresh, path)
    _log.warning(
        "The database %s is damaged (%s) and was rebuilt: %d delegations from what could be "
        "read of it, %d from their files. What neither tells of is lost: delegations that had "
        "not ended, and whether a result was read. The damaged file is kept as %s",
        path, reason, len(kept), told, aside,
    )  # fmt: skip


def _move_aside(path: Path) -> Path:
    """Give the damaged database another name, under which SQLite still finds its log."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for side in (*schema.SIDES, ""):
        with suppress(FileNotFoundError):
            os.rename(f"{path}{side}", f"{aside}{side}")
    return aside


# --- what can still be read ----------------------------------------------------------


def _salvage_rest(connection: sqlite3.Connection, damaged: Path, kept: frozenset[str]) -> None:
    """Copy the other tables, but nothing of delegations that were not ``kept``.

    A notice that had not arrived is sent even if its delegation is known from a file alone.
    """
    there = _names(connection)
    for table, key in _other_tables(connection):
        owners = there if table == "notices" else kept
        found = read_rows(damaged, table, key)
        belong = (one for one in found if "delegation" not in one or one["delegation"] in owners)
        _copy(connection, table, belong)


def _other_tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the tables beside the delegations, and the columns that order each."""
    tables = connection.execute(
        "SELECT name, wr FROM pragma_table_list "
        "WHERE schema = 'main' AND type = 'table' AND name NOT IN ('sqlite_schema', 'delegations')"
    )
    return [(name, _key(connection, name) if wr else "rowid") for name, wr in tables.fetchall()]


def _key(connection: sqlite3.Connection, table: str) -> str:
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return ", ".join(name for _, name, *_, primary in columns if primary)


def _copy(connection: sqlite3.Connection, table: str, found: Iterable[Row]) -> None:
    """Insert the sound rows as they are; one that the table does not take is damaged, too."""
    known = [one[1] for one in connection.execute(f"PRAGMA table_info({table})")]
    is_sound = _SOUND.get(table, bool)
    for row in filter(is_sound, found):
        try:
            schema.insert(connection, table, {name: row[name] for name in known if name in row})
        except sqlite3.IntegrityError as error:
            _log.info("A row of %s was left out: %s", table, error)


def _mended(row: Row) -> Row | None:
    """Return the row of a delegation with all that it repeats of its record set right.

    None if the record cannot be decoded, or is not the row's own.
    """
    record = _bytes(row.get("record"))
    try:
        delegation = rows.read_delegation(record)
    except _UNREADABLE:
        return None
    right = {**row, **rows.columns(delegation), "record": record}
    same = all(row.get(one) == right[one] for one in ("id", "version", "status", "root_session"))
    return right if same else None


def _decodes(decode: Callable[[bytes], object], column: str, row: Row) -> bool:
    try:
        decode(_bytes(row.get(column)))
    except _UNREADABLE:
        return False
    return True


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


_SOUND: Mapping[str, Callable[[Row], bool]] = {
    "events": partial(_decodes, rows.read_event, "body"),
    "notices": partial(_decodes, rows.read_notice, "record"),
}
"""Which rows of the other tables can be used."""


# --- what files tell -------------------------------------------------------------------


def _take_in_late(connection: sqlite3.Connection, path: Path, files: Files) -> None:
    """Take in what files tell beyond the database: all of it after a loss, mostly nothing.

    An opened database is worth more than a file that is not taken in yet: trouble is
    logged, and the next opening tries again.
    """
    known = _known(connection)
    told = list(files(known))
    if not told:
        return
    try:
        with schema.transaction(connection):
            count = _take_in(connection, path, told)
    except sqlite3.Error as error:
        _log.warning("Files beside %s were not taken in yet: %s", path, error)
        return
    ours = sum(not one.foreign for one in told)
    if ours and not known:
        _log.warning(
            "The database %s was lost and was rebuilt from its markdown: %d delegations, all "
            "counted as read. Those that had not ended are gone with it; how many is not known",
            path, count,
        )  # fmt: skip
    else:
        _log.info("%d delegations that %s did not know were taken in", count, path)


def _take_in(connection: sqlite3.Connection, path: Path, told: Iterable[Told]) -> int:
    """Insert what is told; return how much of it was new."""
    count = 0
    for one in sorted(told, key=lambda one: one.first.at):
        try:
            delegation = rows.register(connection, one.first)
        except IdTaken:
            _report_taken(connection, path, one.first)
        else:
            after = reduce(domain.apply, one.later, delegation)
            rows.commit(connection, Change(after=after, events=one.later))
            count += 1
    if count:
        renumber(connection)
    return count


def renumber(connection: sqlite3.Connection) -> None:
    """Number the delegations in the order in which they began, which is how lists show them."""
    query = "SELECT number FROM delegations ORDER BY registered_at, number"
    order = [number for (number,) in connection.execute(query)]
    if order == sorted(order):
        return
    update = "UPDATE delegations SET number = ? WHERE number = ?"
    # By way of negative numbers, so that none is taken meanwhile.
    connection.executemany(update, [(-new, old) for new, old in enumerate(order, 1)])
    connection.execute("UPDATE delegations SET number = -number WHERE number < 0")


def _report_taken(connection: sqlite3.Connection, path: Path, first: Registered) -> None:
    if rows.find(connection, first.id, first.root_session) is None:
        _log.warning(
            "%s/%s.md is not listed: another session of %s has a delegation of that name. The "
            "file is left as it is",
            first.root_session, first.id, path.parent,
        )  # fmt: skip


def _known(connection: sqlite3.Connection) -> Known:
    return frozenset(connection.execute("SELECT id, root_session FROM delegations"))


def _names(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(name for (name,) in connection.execute("SELECT id FROM delegations"))
