"""The files of a working tree, looked at and put back.

A file is put in place as a whole, by a temporary one beside it, and only if what is there is still
what was expected, which is looked at at the last moment. No symbolic link is followed on the way.
What is created is as its owner's umask and the image say.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import takewhile
from pathlib import Path, PurePosixPath

from background_agents.adapters.changes.images import image_of, opaque
from background_agents.adapters.changes.merge import merged
from background_agents.domain.changes import Image, Kind
from background_agents.domain.errors import ContentGone
from background_agents.domain.undoing import Left, Reason, Step

MOST_BYTES = 1024 * 1024 * 1024
"""More than is ever kept of a file, whatever the settings were when that was."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_IS_LINK = (errno.ELOOP, errno.ENOTDIR)
"""What opening a folder ends with where a link, or a file, has taken its place."""


_ELSEWHERE = "a folder above it is a link"


class _CannotPut(Exception):
    """A file is left alone."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail


class Tree:
    """The files below ``top``, and those outside by their whole names. No link leads to ``top``."""

    def __init__(
        self, top: Path, content: Callable[[str], bytes], stays: Sequence[Path] = ()
    ) -> None:
        """``content`` returns what was kept. ``stays`` are folders that stay, even when empty."""
        self._top, self.content = top, content
        self._stays = {top, *stays}

    def look(self, path: str) -> tuple[Image, bytes]:
        held = [b""]
        folder = (self._top / path).parent
        if os.path.realpath(folder) != str(folder):
            return opaque(_ELSEWHERE), b""

        def hold(content: bytes) -> str:
            held[0] = content
            return sha256(content).hexdigest()

        return image_of(self._top / path, hold, MOST_BYTES), held[0]

    def merge(self, current: bytes, base: bytes, other: bytes) -> bytes | Reason:
        return merged(current, base, other)

    def put(self, step: Step, temporary: str) -> Left | None:
        """Do a step by a file named ``temporary`` beside the path; return why not, if not.

        Raises:
            StoreUnavailable: what is to be there cannot be read.
        """
        wanted = step.then.is_there
        try:
            content = step.merged
            if content is None:
                content = self.content(step.then.digest) if wanted else b""
            with self._folder(step.path, make=wanted) as folder:
                self._put(step, content, folder, temporary)
        except ContentGone:
            return Left(step.path, Reason.FORGOTTEN)
        except _CannotPut as error:
            return Left(step.path, error.reason, error.detail)
        except OSError as error:
            return Left(step.path, Reason.REFUSED, error.strerror or type(error).__name__)
        return None

    def missing_above(self, path: str) -> int:
        """Return how many of the folders above a path are not there."""
        folders = (self._top / path).parents
        return sum(1 for _ in takewhile(lambda one: not os.path.lexists(one), folders))

    def tidy(self, deleted: Mapping[str, int | None]) -> None:
        """Remove the folders of deleted files, as many as given of each, that are empty by now.

        Where it is not known how many came with a file, all go that are empty, as git does it. None
        goes outside of the tree.
        """
        for path, count in sorted(deleted.items(), reverse=True):
            if not path.startswith("/"):
                self._tidy(list((self._top / path).parents)[:count])

    def clear(self, path: str, temporary: str) -> None:
        """Delete the temporary file of a step that was never done."""
        with suppress(OSError, _CannotPut), self._folder(path, make=False) as folder:
            os.unlink(temporary, dir_fd=folder)

    def _put(self, step: Step, content: bytes, folder: int, temporary: str) -> None:
        name = PurePosixPath(step.path).name
        if not step.then.is_there:
            self._check(step)
            os.unlink(name, dir_fd=folder)
            return
        try:
            if step.then.kind is Kind.LINK:
                os.symlink(content, os.fsencode(temporary), dir_fd=folder)
            else:
                _write(folder, temporary, content, step.then.mode)
            self._check(step)
            if step.now.is_there:
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                return
            # Not renamed, which would take the place of what has come there just now.
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise _CannotPut(Reason.MOVED) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)

    def _check(self, step: Step) -> None:
        if self.look(step.path)[0] != step.now:
            raise _CannotPut(Reason.MOVED)

    @contextmanager
    def _folder(self, path: str, *, make: bool) -> Iterator[int]:
        """Open the folder of a path, step by step; what is made for nothing is removed again."""
        inside = PurePosixPath(path)
        begin = Path("/") if inside.is_absolute() else self._top
        made: list[Path] = []
        folder = os.open(begin, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            at = begin
            for part in inside.parent.parts:
                if part == "..":
                    raise _CannotPut(Reason.OUTSIDE)
                at = at / part
                below = _step(folder, part, made if make else None, at)
                os.close(folder)
                folder = below
            yield folder
        except BaseException:
            for one in reversed(made):
                with suppress(OSError):
                    one.rmdir()
            raise
        finally:
            os.close(folder)

    def _tidy(self, folders: Sequence[Path]) -> None:
        for one in folders:
            if one in self._stays:
                return
            try:
                one.rmdir()
            except OSError:
                return


def _step(folder: int, part: str, made: list[Path] | None, whole: Path) -> int:
    """Open a folder in a folder; make it if it is missing and ``made`` is there to note it."""
    if part == "/":
        return os.dup(folder)
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if made is None:
            raise
        os.mkdir(part, dir_fd=folder)
        made.append(whole)
        return os.open(part, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _IS_LINK:
            raise _CannotPut(Reason.OUTSIDE) from None
        raise


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, stat.S_IMODE(mode))
        os.fsync(descriptor)
