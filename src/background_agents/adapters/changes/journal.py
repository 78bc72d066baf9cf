"""What delegations changed, a file of lines for each, and the contents by their digests.

A line is whole or not there: whoever appends holds the file's lock and cuts off what a process that
was killed has left of one. Contents are written aside and renamed. Symbolic links are not followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from background_agents.adapters.changes import intents
from background_agents.adapters.files.private import (
    open_private,
    private_folder,
    read_file,
    refuse_link,
    storage,
    sync_folder,
)
from background_agents.domain.changes import BY_USERS, Image, Segment, Window
from background_agents.domain.errors import ContentGone, InvalidRequest, quote
from background_agents.domain.ids import is_readable_id

FOLDER = "changes"
"""Its name in the folder of each project."""

MAX_JOURNAL_BYTES = 256 * 1024 * 1024
"""A segment takes some 400 bytes; nobody's agent makes half a million changes."""

MAX_CONTENT_BYTES = 1024 * 1024 * 1024
"""More than the largest that is ever kept (`changes_max_file_mb`)."""

DIGEST = re.compile(r"[0-9a-f]{64}")

TEMPORARY = re.compile(r"\.content\.[0-9a-f]{16}\.tmp")
"""The names of contents that are not whole yet."""

_log = logging.getLogger(__name__)


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of a journal, which has one of these."""

    segment: Segment | None = None
    opened: Window | None = None
    closed: str = ""


class FileJournal:
    """``<folder>/<id>.jsonl`` and ``<folder>/contents/ab/<sha256>``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = folder / "contents"
        self._unsynced: set[str] = set()
        """Contents that a power cut may take."""

    def segments(self, delegation: str) -> list[Segment]:
        return [one.segment for one in self._lines(delegation) if one.segment is not None]

    def windows(self, delegation: str) -> list[Window]:
        opened: dict[str, Window] = {}
        for one in self._lines(delegation):
            if one.opened is not None:
                opened[one.opened.call] = one.opened
            opened.pop(one.closed, None)
        return list(opened.values())

    def add(self, delegation: str, segments: Sequence[Segment]) -> None:
        self._append(delegation, [_Line(segment=one) for one in segments])

    def open(self, delegation: str, window: Window) -> None:
        # Against the death of the process only: past a power cut nothing runs that was open.
        self._append(delegation, [_Line(opened=window)], is_durable=False)

    def close(self, delegation: str, call: str, segments: Sequence[Segment] = ()) -> None:
        changed = [_Line(segment=one) for one in segments]
        self._append(delegation, [*changed, _Line(closed=call)])

    def taken_back(self, since: datetime) -> list[Segment]:
        # First what goes on: once it is done, it stands in a journal.
        with storage(f"What is undone cannot be read in {self.folder}"):
            begun = [segment for _, one in intents.noted(self.folder) for segment in one.segments]
        found: list[Segment] = []
        for path in self.journals():
            with suppress(FileNotFoundError):  # pruned meanwhile
                # A file is as old as its newest line; clocks of file systems are a little behind.
                if path.stat().st_mtime >= since.timestamp() - 2:
                    found += self.segments(path.stem)
        return [*begun, *(one for one in found if one.by in BY_USERS and one.at >= since)]

    def keep(self, content: bytes) -> str:
        digest = self.keep_soon(content)
        with storage(f"A content cannot be kept in {self.contents}"):
            self._sync([digest])
        return digest

    def keep_soon(self, content: bytes) -> str:
        """Store a content; past a power cut it is there once a line is that names it.

        While a tool waits nothing is waited for that takes long on a busy disk.
        """
        digest = hashlib.sha256(content).hexdigest()
        with storage(f"A content of {len(content):,} bytes cannot be kept in {self.contents}"):
            path = self.content_path(digest)
            try:
                # It counts as new again: what nobody names is deleted when it is old.
                os.utime(path, follow_symlinks=False)
            except FileNotFoundError:
                self._write(path, content)
                self._unsynced.add(digest)
        return digest

    def content(self, digest: str) -> bytes:
        path = self.content_path(digest)
        with storage(f"The content {path} cannot be read"):
            try:
                content = read_file(path, MAX_CONTENT_BYTES)
            except FileNotFoundError:
                raise ContentGone(digest) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise ContentGone(digest)  # somebody has changed it: it is not what stood there
        return content

    def journals(self) -> list[Path]:
        """Return where the journals are that there are."""
        return [one for one in self.folder.glob("*.jsonl") if is_readable_id(one.stem)]

    def digests(self, delegation: str) -> set[str]:
        """Return the digests of all contents that a journal names."""
        return set[str]().union(*(_digests(one) for one in self._lines(delegation)))

    def path(self, delegation: str) -> Path:
        """Return where the journal of a delegation is, or will be."""
        if not is_readable_id(delegation):
            raise InvalidRequest(f"{quote(delegation)} is not a delegation's id.")
        return self.folder / f"{delegation}.jsonl"

    def content_path(self, digest: str) -> Path:
        """Return where a content is, or would be."""
        if not DIGEST.fullmatch(digest):
            raise ContentGone(digest)
        return self.contents / digest[:2] / digest

    def _lines(self, delegation: str) -> Iterator[_Line]:
        path = self.path(delegation)
        with storage(f"The journal {path} cannot be read"):
            try:
                refuse_link(self.folder)
                whole = read_file(path, MAX_JOURNAL_BYTES)
            except FileNotFoundError:
                return
        # What stands after the last line's end is a line that was never whole.
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                yield msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError as error:
                _log.warning("line %d of %s cannot be read: %s", number, path, error)

    def _append(self, delegation: str, lines: Sequence[_Line], *, is_durable: bool = True) -> None:
        if not lines:
            return
        path = self.path(delegation)
        text = b"".join(msgspec.json.encode(one) + b"\n" for one in lines)
        with storage(f"The journal {path} cannot be written"):
            is_new = not path.exists()
            if is_new:
                private_folder(self.folder)
            descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
            try:
                if is_durable:
                    self._sync(set[str]().union(*(_digests(one) for one in lines)))
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write_whole(descriptor, text, is_durable=is_durable)
            finally:
                os.close(descriptor)
            if is_new and is_durable:
                sync_folder(self.folder)

    def _write(self, path: Path, content: bytes) -> None:
        private_folder(self.contents)
        private_folder(path.parent)
        temporary = self.contents / f".content.{os.urandom(8).hex()}.tmp"
        try:
            with open(open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _sync(self, digests: Iterable[str]) -> None:
        """Make contents that this process has stored survive a power cut."""
        mine = self._unsynced.intersection(digests)
        for one in mine:
            with suppress(FileNotFoundError):  # nobody named it for long, and it was cleared away
                descriptor = open_private(self.content_path(one), os.O_RDWR)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        for folder in {self.content_path(one).parent for one in mine}:
            with suppress(FileNotFoundError):
                sync_folder(folder)
        self._unsynced -= mine


def _digests(line: _Line) -> set[str]:
    images: list[Image] = []
    if line.segment is not None:
        images += (line.segment.before, line.segment.after)
    if line.opened is not None:
        images += line.opened.before.values()
    return {one.digest for one in images if one.digest}


def _write_whole(descriptor: int, text: bytes, *, is_durable: bool) -> None:
    """Append to a file that is locked; what cannot be written as a whole leaves nothing there."""
    end = _end_of_lines(descriptor)
    os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(text):
            written += os.pwrite(descriptor, text[written:], end + written)
        if is_durable:
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _end_of_lines(descriptor: int) -> int:
    """Return where the last whole line of a file ends."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 4096)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0
