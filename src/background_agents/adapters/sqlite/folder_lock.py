"""A lock on the database's folder, so that of several processes only one rebuilds.

The folder itself is locked: no file is left behind, and a process that dies lets go.
Everything here blocks and belongs on a worker thread.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from background_agents.domain.errors import StoreUnavailable

SHARED = fcntl.LOCK_SH
"""For opening: many at a time, none while one rebuilds."""

SOLE = fcntl.LOCK_EX
"""For rebuilding."""

PATIENCE_S = 60.0
"""A rebuild of 10,000 delegations takes a few seconds; a slow disk may need ten times that."""

_BETWEEN_TRIES_S = 0.01
"""``flock`` can wait for ever or not at all; this is soon enough to go unnoticed."""

_log = logging.getLogger(__name__)


@contextmanager
def held(folder: Path, mode: int) -> Iterator[None]:
    """Hold the lock within the block.

    Raises:
        StoreUnavailable: somebody else held it for too long.
        OSError: the folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _acquire(descriptor, folder, mode)
        yield
    finally:
        os.close(descriptor)  # lets go, too


def _acquire(descriptor: int, folder: Path, mode: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                # Some network disks know no such locks; SQLite is not safe there either.
                _log.warning("%s cannot be locked (%s); going on without", folder, error)
                return
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"Another process has kept the data folder {folder} locked for "
                f"{PATIENCE_S:.0f} s, as it does to rebuild a database; end it or try again."
            )
        time.sleep(_BETWEEN_TRIES_S)
