"""What stands at a path at one moment, with its content kept, and how paths are named.

Opens nothing but regular files, and follows no symbolic link at the path itself. What cannot be
kept says why; that is an image too, which tells whether something was there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from background_agents.domain.changes import ABSENT, Image, Kind

Keep = Callable[[bytes], str]
"""Keeps a content and returns its digest."""

TOO_LARGE = "it is too large"
FOLDER = "it is a folder"
SUBMODULE = "it is a repository of its own"
NO_FILE = "it is no file"
NO_UTF8 = "its name is not UTF-8"
UNREADABLE = "it cannot be read"


def opaque(why: str, size: int = 0) -> Image:
    """Return the image of something whose content is not kept."""
    return Image(Kind.OPAQUE, size=size, why=why)


def image_of(path: Path, keep: Keep, limit: int) -> Image:
    """Return what stands at ``path``; a file of more than ``limit`` bytes is not kept.

    Raises:
        StoreUnavailable: the content cannot be kept.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return opaque(NO_UTF8) if os.path.lexists(path) else ABSENT
    try:
        return _image(path, keep, limit)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError:
        return opaque(UNREADABLE)


def _image(path: Path, keep: Keep, limit: int) -> Image:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        target = os.fsencode(os.readlink(path))
        return Image(Kind.LINK, keep(target), size=len(target))
    if stat.S_ISDIR(found.st_mode):
        return opaque(SUBMODULE if (path / ".git").exists() else FOLDER)
    if not stat.S_ISREG(found.st_mode):
        return opaque(NO_FILE)
    if found.st_size > limit:
        return opaque(TOO_LARGE, found.st_size)
    # Another kind of thing may be there by now, such as a pipe that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return opaque(NO_FILE)
        content = file.read(limit + 1)
    if len(content) > limit:
        return opaque(TOO_LARGE, len(content))
    return Image(Kind.FILE, keep(content), stat.S_IMODE(mode), len(content))


def top_of(directory: Path) -> Path:
    """Return the top of the working tree that a directory is in; itself if it is in none."""
    here = Path(os.path.realpath(directory))
    for step in (here, *here.parents):
        if os.path.lexists(step / ".git"):
            return step
    return here


def name_in(top: Path, path: Path) -> str:
    """Return how a path is named in a journal: from the top, or in full where it lies outside.

    A folder that is reached by a symbolic link is named by where it is; the last part is kept,
    since a link may be what is changed. What is no UTF-8 is shown as far as it is.
    """
    folder = Path(os.path.realpath(path.parent))
    whole = folder / path.name if path.name not in ("", "..") else Path(os.path.realpath(path))
    named = whole.relative_to(top) if whole.is_relative_to(top) else whole
    return os.fsencode(named.as_posix()).decode(errors="backslashreplace")
