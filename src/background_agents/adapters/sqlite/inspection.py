"""Looking into a database without changing a byte: sound or damaged, and who claims what.

The same checks as on opening, but nothing is migrated, repaired or even touched: SQLite would
create files beside a database that it only reads. For ``doctor``, which must be able to look at
a patient that somebody else is to treat.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from background_agents.adapters.sqlite import rows, schema
from background_agents.adapters.sqlite.rebuild import check_records
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import StoreUnavailable
from background_agents.ports.storage import Lease

_LEASES_SINCE = 3
"""The migration that made their table."""


class Condition(StrEnum):
    """What a database is found to be."""

    ABSENT = "absent"
    SOUND = "sound"
    OLDER = "older"
    """Sound, and of an older version; it is brought up to date on opening."""
    NEWER = "newer"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    """It cannot be looked into, so nothing is known of it."""


@dataclass(frozen=True)
class Inspection:
    """What a look into a database found; the rest of it as far as it can be read."""

    condition: Condition
    why: str = ""
    delegations: int = 0
    active: tuple[Delegation, ...] = ()
    leases: tuple[Lease, ...] = ()
    mends_itself: bool = True
    """Damage is found on opening; a database of more than ``CHECKED_BYTES`` is opened on trust."""


def inspect(path: Path) -> Inspection:
    """Look at every page and every record of the database at ``path``."""
    log = Path(f"{path}-wal")
    if not path.exists():
        if log.exists():
            return Inspection(Condition.DAMAGED, "the file is gone, and its log is not")
        return Inspection(Condition.ABSENT)
    found = _inspect(path)
    if found.condition is Condition.DAMAGED and log.exists():
        # Somebody may have opened it while we read it as if nobody would.
        return _inspect(path)
    return found


def _inspect(path: Path) -> Inspection:
    try:
        schema.look_into(path, wholly=False)
        with untouched(path) as connection:
            schema.refuse_newer(connection, path)
            is_older = schema.version_of(connection) < len(schema.migrations())
            schema.check(connection)
            if not is_older:  # its columns are not those that records are compared with
                check_records(connection)
            condition = Condition.OLDER if is_older else Condition.SOUND
            return _read(connection, Inspection(condition))
    except schema.DatabaseDamaged as damage:
        return _damaged(path, str(damage))
    except StoreUnavailable as error:
        return Inspection(Condition.NEWER, str(error))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if schema.is_damage(error):
            return _damaged(path, str(error))
        return Inspection(Condition.UNREADABLE, str(error))
    except OSError as error:
        return Inspection(Condition.UNREADABLE, error.strerror or str(error))


def _damaged(path: Path, why: str) -> Inspection:
    mends_itself = path.stat().st_size <= schema.CHECKED_BYTES
    damaged = Inspection(Condition.DAMAGED, why, mends_itself=mends_itself)
    try:
        with untouched(path) as connection:
            return _read(connection, damaged)
    except (sqlite3.Error, UnicodeDecodeError, msgspec.DecodeError):
        return damaged  # what cannot be read is what was just said


def _read(connection: sqlite3.Connection, found: Inspection) -> Inspection:
    if schema.version_of(connection) == 0:
        return found  # created, and nothing more
    count = schema.scalar(connection, "SELECT count(*) FROM delegations")
    active = tuple(rows.unfinished(connection))
    has_leases = schema.version_of(connection) >= _LEASES_SINCE
    leases = tuple(rows.leases(connection)) if has_leases else ()
    return Inspection(found.condition, found.why, count, active, leases, found.mends_itself)


@contextmanager
def untouched(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database so that neither it nor anything beside it changes."""
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not log.exists() or (log.stat().st_size == 0 and not index.exists()):
        # All that there is stands in the file, and nobody has it open.
        with closing(schema.open_as(path, "mode=ro&immutable=1")) as connection:
            yield connection
    elif index.exists():
        with closing(schema.open_as(path, "mode=ro&readonly_shm=1")) as connection:
            yield connection
    else:
        # SQLite would have to make the log's index anew; so it does that with a copy.
        with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
            for one in (path, log):
                shutil.copy(one, folder)
            with closing(schema.open_as(Path(folder) / path.name, "mode=ro")) as connection:
                yield connection
