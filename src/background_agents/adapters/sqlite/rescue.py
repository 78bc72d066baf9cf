"""Keeps what a process knows when its database's file is deleted or replaced under it.

An open connection reads a file that has no name any more, its log included. So what it holds
goes into a new file under the old name, or into the one that has taken its place. All of it blocks.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.files.private import private_file, private_folder, sync_folder
from background_agents.adapters.sqlite.folder_lock import SOLE, held

_Identity = tuple[int, int] | None


class Identity(NamedTuple):
    """What tells a database's files from others under the same names; None where there is none."""

    database: _Identity
    log: _Identity

    @classmethod
    def of(cls, path: Path) -> Identity:
        """Look at the files of the database at ``path``."""
        return cls(_identity(path), _identity(Path(f"{path}-wal")))

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
        now = Identity.of(path)
        if now.database not in (None, opened.database):
            return
        fresh = path.with_name(f"{path.name}.putting-back")
        fresh.unlink(missing_ok=True)
        private_file(fresh)
        with closing(sqlite3.connect(fresh)) as copy:
            connection.backup(copy)
        # What is left of the old log would be taken for the new file's.
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        os.replace(fresh, path)
        sync_folder(path.parent)


def _identity(path: Path) -> _Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
