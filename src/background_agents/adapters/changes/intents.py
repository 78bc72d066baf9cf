"""What an undo is about to do, noted before it does it, and the lock that lets one at a time.

So that one that was killed is made up for by the next: what it had done is then known as done.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from background_agents.adapters.files.private import (
    open_private,
    private_folder,
    read_file,
    replace_file,
)
from background_agents.domain.changes import Segment

_LOCK = "undo.lock"

_NAME = re.compile(r"undo-[0-9a-f]{16}\.json")

_MAX_BYTES = 256 * 1024 * 1024

_log = logging.getLogger(__name__)


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to be done to files."""

    delegation: str
    top: str
    temporary: str
    """The name of the file that takes a file's place, beside it."""
    segments: tuple[Segment, ...]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time undo in a project, within the block; the others wait.

    Raises:
        OSError: the folder cannot be written.
    """
    private_folder(folder)
    descriptor = open_private(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # lets go, too


def note(folder: Path, intent: Intent) -> Path:
    """Store durably what is about to be done; return the file that tells of it."""
    path = folder / f"undo-{os.urandom(8).hex()}.json"
    replace_file(path, msgspec.json.encode(intent))
    return path


def noted(folder: Path) -> Iterator[tuple[Path, Intent]]:
    """Yield what is about to be done, or was and was never finished, the oldest first.

    Who does not keep others away by ``alone`` may miss what is finished just now.
    """
    found = []
    for path in folder.glob("undo-*.json"):
        with suppress(FileNotFoundError):
            if _NAME.fullmatch(path.name):
                found.append((path.lstat().st_mtime_ns, path))
    for _, path in sorted(found):
        try:
            told = read_file(path, _MAX_BYTES)
            yield path, msgspec.json.decode(told, type=Intent)
        except FileNotFoundError:
            continue
        except msgspec.MsgspecError as error:
            _log.warning("%s cannot be read: %s", path, error)
