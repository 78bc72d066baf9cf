"""Clears away what processes have left that died between writing an artifact and naming it.

Touches nothing but regular files with names of our own making, old enough to be nobody's, in
folders that are no links. Knows nothing of what they hold.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from datetime import timedelta
from pathlib import Path

from background_agents.adapters.files.artifacts import SESSION, TEMPORARY
from background_agents.adapters.files.private import refuse_link, subfolders
from background_agents.domain.errors import StoreUnavailable

AGE = timedelta(hours=1)
"""From when on a temporary file is nobody's: a write takes milliseconds, on a slow network disk
seconds. Should its writer only have slept, its rename fails, and it writes the file again."""

_log = logging.getLogger(__name__)


async def clear_leftovers(root: Path) -> int:
    """Remove leftovers from the session folders of a project; return how many there were.

    What cannot be looked at or removed is named in the log and stays.
    """
    before_s = time.time() - AGE.total_seconds()
    return await asyncio.to_thread(_clear, root, before_s)


def _clear(root: Path, before_s: float) -> int:
    try:
        refuse_link(root)
        folders = subfolders(root)
    except FileNotFoundError:
        return 0  # a project without a past
    except (OSError, StoreUnavailable) as error:
        _log.warning("%s is not looked through for leftovers: %s", root, error)
        return 0
    return sum(_clear_folder(root / name, before_s) for name in folders if SESSION.fullmatch(name))


def _clear_folder(folder: Path, before_s: float) -> int:
    # By its descriptor: a folder cannot become another one, or a link, while this goes on.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags)
    except OSError as error:
        _log.warning("%s is not looked through for leftovers: %s", folder, error)
        return 0
    try:
        names = filter(TEMPORARY.fullmatch, os.listdir(descriptor))
        return sum(_removed(descriptor, name, before_s) for name in names)
    finally:
        os.close(descriptor)


def _removed(folder: int, name: str, before_s: float) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_mtime > before_s:
            return False
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False  # another process was first
    except OSError as error:
        _log.warning("the leftover %s stays: %s", name, error)
        return False
    return True
