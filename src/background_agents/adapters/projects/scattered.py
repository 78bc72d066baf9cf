"""Folders of projects in the data root, and bringing together what is one project's.

Until a project kept its name, a stash or a first commit could give it another one, and what was
delegated then lies in a folder of its own. Everything here blocks.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from background_agents.adapters.files.private import private_folder, subfolders, sync_folder
from background_agents.config import DATABASE
from background_agents.domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

IN_USE_S = 30.0
"""A service writes to its database every 3 s, and loses its claim after 15 s without."""

_NAME = re.compile(r"[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64}")
"""A hash of a path, or a commit."""

_EMPTIED = [f"{name}{side}" for name in ("search.db", DATABASE) for side in ("-wal", "-shm", "")]
"""What is of no use once a database holds nothing: its index as well."""


def name_of(directory: Path) -> str:
    """Return the name of a project that no repository gives one."""
    import hashlib  # brings OpenSSL with it, for folders without git alone

    return hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]


def folders(data_root: Path) -> list[Path]:
    """Return the folders of projects in which something is stored."""
    try:
        names = subfolders(data_root)
    except OSError as error:
        # Mostly there is none; else whoever opens a project in it tells what is wrong.
        log.info("%s cannot be looked through: %s", data_root, error)
        return []
    mine = (data_root / name for name in names if _NAME.fullmatch(name))
    return [one for one in mine if any(one.iterdir())]


def directories(folder: Path) -> list[str]:
    """Return where it was that something was delegated which a folder holds."""
    from background_agents.adapters.sqlite.inspection import untouched

    path = folder / DATABASE
    if not path.exists():
        return []
    query = "SELECT DISTINCT json_extract(CAST(record AS TEXT), '$.directory') FROM delegations"
    try:
        with untouched(path) as connection:
            return [str(one) for (one,) in connection.execute(query) if one]
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        log.warning("%s does not tell where it belongs: %s", path, error)
        return []


def is_in_use(folder: Path) -> bool:
    """Return whether a service lives that may have a folder's database open."""
    from background_agents.adapters.sqlite.inspection import inspect
    from background_agents.adapters.system import processes
    from background_agents.ports.processes import Fate
    from background_agents.service.ownership.leases import fate_of_owner

    boot, now_s = processes.boot_id(), time.monotonic()
    for lease in inspect(folder / DATABASE).leases:
        fate = fate_of_owner(lease, boot, now_s, processes)
        if fate is Fate.ELSEWHERE:
            # Of an earlier run of this machine, or of another one or a container that shares the
            # folder.
            if is_fresh(folder):
                return True
        elif fate is Fate.ALIVE or now_s - lease.renewed_s < IN_USE_S:
            return True
    return False


def is_fresh(folder: Path) -> bool:
    """Return whether somebody has written to a folder's database just now."""
    for name in (DATABASE, f"{DATABASE}-wal"):
        with suppress(FileNotFoundError):
            if abs(time.time() - (folder / name).stat().st_mtime) < IN_USE_S:
                return True
    return False


def merge(data_root: Path, project: str, others: Sequence[str]) -> tuple[str, ...]:
    """Bring what lies in other folders into a project's own; return those that are left.

    A folder whose service lives is left, and one that cannot be read. A crash loses nothing: what
    was half done is done again.
    """
    left = []
    for name in others:
        source = data_root / name
        if source.is_dir() and not _merged(source, data_root / project):
            left.append(name)
    return tuple(left)


def _merged(source: Path, target: Path) -> bool:
    from background_agents.adapters.sqlite.merging import merge_databases

    if is_in_use(source):
        log.info("%s is in use, and is merged into %s later", source, target)
        return False
    try:
        private_folder(target)
        path, stay = source / DATABASE, list[str]()
        if path.exists():
            stay = merge_databases(path, target / DATABASE, target.name)
        for session in subfolders(source):
            _move(source / session, target / session, stay)
        if not stay:
            for name in _EMPTIED:
                (source / name).unlink(missing_ok=True)
        sync_folder(target)
        with suppress(OSError):  # something is left in it
            source.rmdir()
    except (sqlite3.Error, OSError, StoreUnavailable) as error:
        log.warning("%s is not merged into %s yet: %s", source, target, error)
        return False
    log.info("%s was of the same project as %s, and is merged into it", source, target)
    return True


def _move(session: Path, target: Path, stay: Sequence[str]) -> None:
    """Move a session's files; one of what stays, or whose name is taken there, stays, too."""
    target.mkdir(mode=0o700, exist_ok=True)
    for file in sorted(session.iterdir()):
        if file.name.partition(".")[0] in stay:
            continue
        try:
            os.link(file, target / file.name, follow_symlinks=False)
        except FileExistsError:
            if not file.samefile(target / file.name):
                log.warning("%s stays: %s has another file of that name", file, target)
                continue
        file.unlink()
    sync_folder(target)
    with suppress(OSError):  # something stays in it
        session.rmdir()
