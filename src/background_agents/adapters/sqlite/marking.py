"""The one thing that a reader's program writes: that a result was read.

Only of what has ended, so that there is no run whose record it could be. Who may say so is not
known here.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import open_existing
from background_agents.domain import events as ev
from background_agents.domain.delegation import apply
from background_agents.domain.errors import StoreUnavailable
from background_agents.ports.storage import Change


def mark_read(path: Path, delegation: str, now: datetime) -> None:
    """Store in the database at ``path`` that a result was read; the first time counts.

    Raises:
        StoreUnavailable: it cannot be written now.
    """
    connection = open_existing(path)
    if connection is None:
        return
    with closing(connection):
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Looked at again under the lock: its title may have been made better meanwhile.
            one = rows.get(connection, delegation)
            if one is not None and one.is_unread:
                read = ev.Read(at=now)
                rows.commit(connection, Change(after=apply(one, read), events=(read,)))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{path} cannot be written ({error}).") from error
