"""Working trees between two looks: which files differ, with what they held before and after."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.changes.images import (
    NO_FILE,
    NO_UTF8,
    TOO_LARGE,
    UNREADABLE,
    Keep,
    image_of,
    name_in,
    opaque,
    top_of,
)
from background_agents.adapters.changes.own_repository import LINK, REPOSITORY, Entry, shown
from background_agents.adapters.changes.picture import Picture
from background_agents.adapters.files.private import open_private, private_folder
from background_agents.domain.changes import ABSENT, Delta, Image, Kind
from background_agents.domain.errors import NotSeen

FOLDER = "trees"
"""Its name in the folder of changes."""

MOST_NEW = 20_000
"""Of files that a look reads; more are made by whoever installs packages without ignoring them."""

MOST_NEW_BYTES = 512 * 1024 * 1024
"""Of such files together."""

FILTERED = "it is stored by a filter"
FORGOTTEN = "what it held is not stored any more"
MOST_PICTURES = 8
"""Of one tree: an OpenCode has one, and nobody has more of them open in a folder."""


class _Unread(NamedTuple):
    """A file that is not taken into the picture."""

    mark: tuple[int, ...]
    why: str
    size: int

    @property
    def image(self) -> Image:
        return opaque(self.why, self.size)


class FileTrees:
    """The trees that a project's directories are in; ``folder`` is that of its changes."""

    def __init__(self, folder: Path, keep: Keep, limit: int) -> None:
        self._folder = folder
        self._keep = keep
        self._limit = limit
        self._trees: dict[Path, FileTree] = {}

    def of(self, directory: str) -> FileTree:
        top = top_of(Path(directory))
        if top not in self._trees:
            self._trees[top] = FileTree(top, self._folder, self._keep, self._limit)
        return self._trees[top]


class FileTree:
    """One working tree, with a picture of it that outlives the process."""

    def __init__(self, top: Path, folder: Path, keep: Keep, limit: int) -> None:
        self._top = top
        self._own = Path(os.path.realpath(folder)).parent.parent
        """All that we keep, which may lie in the tree."""
        self._pictures = folder / FOLDER
        self.keep = keep
        self.limit = limit
        self._claim: Path | None = None
        self._lock = -1
        self._picture: Picture | None = None
        self._unread: dict[bytes, _Unread] = {}

    @property
    def top(self) -> str:
        return str(self._top)

    def name(self, directory: str, path: str) -> str:
        return name_in(self._top, Path(directory, path))

    def image(self, name: str) -> Image:
        return image_of(self._top / name, self.keep, self.limit)

    def path(self, path: bytes) -> Path:
        """Return where a path of the picture is."""
        return self._top / os.fsdecode(path)

    @property
    def is_alone(self) -> bool:
        """Whether no other process has a picture of the same tree."""
        own = self._picture.folder if self._picture else None
        others = (one for one in self._pictures.glob(f"{self._key}-*") if one != own)
        return all(is_free(one) for one in others)

    def look(self, *, keep: bool) -> list[Delta]:
        if self._picture is None:
            self._claim = self._claim or self._claimed()
            picture = Picture(self._claim, self._top)
            if not keep or not picture.index.exists():
                picture.renew()
                keep = False
            self._picture = picture
        try:
            return self._look(self._picture, keep=keep)
        except NotSeen:
            self._picture.index.unlink(missing_ok=True)
            self._picture = None  # it may be damaged, and is made anew
            raise

    def _look(self, picture: Picture, *, keep: bool) -> list[Delta]:
        # What was not read may be again what the picture has, and no difference.
        listed = self._ours(dict.fromkeys((*picture.differing(), *self._unread)))
        # Of a picture that is only brought up to date nobody asks what was in it.
        old = picture.entries(listed) if keep else {}
        paths = [one for one in listed if one not in old or old[one].mode != REPOSITORY]
        unread = self._not_to_read(paths)
        taken = [one for one in paths if one not in unread]
        there = [one for one in taken if _is_readable(_found(self.path(one)))]
        self._check(there)
        picture.update(there, set(taken) - set(there))
        new = picture.entries(there) if keep else {}
        was, self._unread = self._unread, unread
        others = [one for one in {**was, **unread} if was.get(one) != unread.get(one)]
        written = (one for one in taken if not _is_alike(old.get(one), new.get(one)))
        changed = list(dict.fromkeys((*written, *others)))
        if not keep or not changed:
            return []
        looks = _Look(self, picture, [*old.values(), *new.values()])
        return [
            Delta(
                shown(os.fsdecode(path)),
                was[path].image if path in was else looks.image(path, old.get(path)),
                unread[path].image if path in unread else looks.image(path, new.get(path)),
            )
            for path in changed
        ]

    def _ours(self, paths: Iterable[bytes]) -> list[bytes]:
        """Leave out what is ours, and what lies in a repository of its own."""
        own = b""
        if self._own.is_relative_to(self._top) and self._own != self._top:
            own = os.fsencode(self._own.relative_to(self._top)) + b"/"
        nested: dict[bytes, bool] = {}

        def is_nested(folder: bytes) -> bool:
            if folder and folder not in nested:
                is_one = os.path.lexists(self.path(folder) / ".git")
                nested[folder] = is_one or is_nested(os.path.dirname(folder))
            return nested.get(folder, False)

        return [
            one
            for one in paths
            if not one.endswith(b"/")
            and not (own and one.startswith(own))
            and not is_nested(os.path.dirname(one))
        ]

    def _not_to_read(self, paths: Iterable[bytes]) -> dict[bytes, _Unread]:
        """Return what is there and is not read, with the reason."""
        found: dict[bytes, _Unread] = {}
        for one in paths:
            at = _found(self.path(one))
            if at is None or stat.S_ISLNK(at.st_mode) or stat.S_ISDIR(at.st_mode):
                continue
            why = ""
            if not stat.S_ISREG(at.st_mode):
                why = NO_FILE
            elif at.st_size > self.limit:
                why = TOO_LARGE
            elif not os.access(self.path(one), os.R_OK):
                why = UNREADABLE
            if why:
                mark = (at.st_size, at.st_mtime_ns, at.st_ino)
                found[one] = _Unread(mark, why, at.st_size)
        return found

    def _check(self, there: Sequence[bytes]) -> None:
        """Raise ``NotSeen`` where a look would have to read too much."""
        size = sum(at.st_size for one in there if (at := _found(self.path(one))) is not None)
        if len(there) > MOST_NEW or size > MOST_NEW_BYTES:
            files = f"{len(there):,} files of {size / 2**20:,.0f} MiB"
            raise NotSeen(self.top, f"{files} are new or changed at once, too much to read")

    def _claimed(self) -> Path:
        """Return the folder of a picture that no other process has, and claim it for good."""
        private_folder(self._pictures)
        for number in range(MOST_PICTURES):
            folder = self._pictures / f"{self._key}-{number}"
            private_folder(folder)
            if (lock := _lock(folder)) is not None:
                self._lock = lock
                return folder
        raise NotSeen(self.top, f"{MOST_PICTURES} processes watch it already")

    @property
    def _key(self) -> str:
        return hashlib.sha256(os.fsencode(self._top)).hexdigest()[:16]


class _Look:
    """What entries of a picture stand for, with their contents read at once."""

    def __init__(self, tree: FileTree, picture: Picture, entries: Sequence[Entry]) -> None:
        self._tree = tree
        # One that git has not noted the size of was made in the moment in which it looked.
        small = [one for one in entries if one.mode != REPOSITORY and one.size <= tree.limit]
        self._blobs = picture.blobs(one.blob for one in small)

    def image(self, path: bytes, entry: Entry | None) -> Image:
        """Return what an entry of a path stands for."""
        if entry is None:
            return ABSENT
        if entry.size > self._tree.limit:
            return opaque(TOO_LARGE, entry.size)
        blob = self._blobs.get(entry.blob)
        if blob is None:
            return opaque(FORGOTTEN, entry.size)
        if not _is_utf8(path):
            return opaque(NO_UTF8, len(blob))
        if entry.mode == LINK:
            return Image(Kind.LINK, self._tree.keep(blob), size=len(blob))
        if entry.size not in (0, len(blob)):
            return opaque(FILTERED, entry.size)
        return Image(Kind.FILE, self._tree.keep(blob), self._mode(path, entry), len(blob))

    def _mode(self, path: bytes, entry: Entry) -> int:
        """Return the permission bits, of which git knows one: the others as they are now."""
        usual = entry.mode & 0o777
        found = _found(self._tree.path(path))
        if found is not None and stat.S_ISREG(found.st_mode):
            actual = stat.S_IMODE(found.st_mode)
            return actual if (actual ^ usual) & 0o100 == 0 else usual & ~_umask() | usual & 0o700
        return usual & ~_umask() | usual & 0o700


def _is_alike(old: Entry | None, new: Entry | None) -> bool:
    """Whether a file was only touched: it holds what it held."""
    return old is not None and new is not None and old[:2] == new[:2]


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _is_readable(found: os.stat_result | None) -> bool:
    return found is not None and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode))


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _umask() -> int:
    """Return what new files do not get, by which files have most likely been made."""
    with suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text("utf-8")
        return int(status.split("\nUmask:")[1].split()[0], 8)
    return 0o022


def _lock(folder: Path) -> int | None:
    """Claim a picture until this process ends; None if another one has."""
    descriptor = open_private(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_free(picture: Path) -> bool:
    """Return whether no process has claimed a picture."""
    lock = _lock(picture)
    if lock is not None:
        os.close(lock)
    return lock is not None
