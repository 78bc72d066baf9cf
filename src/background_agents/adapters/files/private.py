"""Folders and files that only their owner may see, whatever the umask says.

Shared by all that keep something on disk; knows nothing of what they keep. Symbolic links are
not followed: what is ours lies where its path says, and nowhere else. Everything here blocks
and belongs on a worker thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from background_agents.domain.errors import StoreUnavailable

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents durably; make it 0700 even if it was there.

    The folder that it stands in is taken as ours, too.

    Raises:
        StoreUnavailable: one of the two is a symbolic link.
    """
    refuse_link(folder.parent)
    private_root(folder)


def private_root(folder: Path) -> None:
    """As ``private_folder``, where what ``folder`` stands in belongs to others.

    People may keep that on another disk and link to it.
    """
    refuse_link(folder)
    _make_private(folder)


def private_file(path: Path) -> None:
    """Create an empty ``path`` unless it exists; make it 0600 either way."""
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))


def open_private(path: Path, flags: int) -> int:
    """Open a file of ours and make it 0600; return its descriptor.

    Raises:
        StoreUnavailable: something else than a file is in its place.
        OSError: it cannot be opened.
    """
    descriptor = _open_file(path, flags)
    try:
        os.fchmod(descriptor, FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, limit: int) -> bytes:
    """Return what a file holds.

    Raises:
        StoreUnavailable: it holds more than ``limit`` bytes, or is no file but a link or a pipe.
        OSError: it cannot be read.
    """
    with open(_open_file(path, os.O_RDONLY), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise StoreUnavailable(f"{path} has more than {limit:,} bytes; read it in another way.")
    return content


def replace_file(path: Path, content: bytes) -> None:
    """Put a file of ours in place durably: as a whole, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with open(open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def storage(trouble: str) -> Iterator[None]:
    """Turn what the system says within the block into ``StoreUnavailable``, and say the trouble."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreUnavailable(
            f"{trouble} ({reason}); check the disk and the permissions of its folder."
        ) from error


def refuse_link(path: Path) -> None:
    """Raise ``StoreUnavailable`` if ``path`` is a symbolic link, wherever that leads."""
    if path.is_symlink():
        raise _is_link(path)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in order; links are none."""
    with os.scandir(folder) as found:
        return sorted(one.name for one in found if one.is_dir(follow_symlinks=False))


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_private(folder: Path) -> None:
    if not folder.is_dir():
        if not folder.parent.exists():
            _make_private(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(folder.parent)
    if folder.stat().st_mode & 0o777 != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)


def _open_file(path: Path, flags: int) -> int:
    """Open a regular file, and never wait for the other end of a pipe."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, FILE_MODE)
    except OSError as error:
        # Systems differ in the number of this error.
        if path.is_symlink():
            raise _is_link(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreUnavailable(f"{path} is not a file; move away what is in its place.")
    return descriptor


def _is_link(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} is a symbolic link, which is not followed; put what it leads to in its place."
    )
