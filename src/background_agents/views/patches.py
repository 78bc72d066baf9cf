"""Changes as a patch that ``git apply`` takes, from the top of the tree.

Raw bytes: what a file holds stands in it as it is. What git takes from nobody (what lies outside of
the tree, or in a ``.git``) and what was not kept is named in a line that git skips.
"""

from __future__ import annotations

import re
import zlib
from base64 import b85encode
from collections.abc import Iterable, Iterator
from hashlib import sha1

from background_agents.domain.change_sums import Content, bytes_of
from background_agents.domain.changes import ABSENT, Image, Kind, Segment
from background_agents.domain.errors import ContentGone
from background_agents.domain.line_diffs import hunks, is_text
from background_agents.domain.text import one_line

_ODD = re.compile(r'[\x00-\x1f\x7f"\\]')

_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}

_NO_END = b"\\ No newline at end of file\n"

_BINARY_LINE = 52
"""Bytes: as many as a letter can count."""

_NO_BLOB = "0" * 40


def patch(pieces: Iterable[Segment], content: Content) -> Iterator[bytes]:
    """Yield the patch of some changes, in their order."""
    for piece in pieces:
        why = _why_not(piece)
        if why is None:
            try:
                yield b"".join(_differences(piece, content))
            except ContentGone:
                why = "its content is kept no more"
        if why is not None:
            yield f"# Not in this patch: {one_line(piece.path)} ({why})\n".encode()


def _why_not(piece: Segment) -> str | None:
    opaque = [one.why for one in (piece.before, piece.after) if one.kind is Kind.OPAQUE]
    if opaque:
        return opaque[0]
    if piece.path.startswith("/"):
        return "it lies outside of the tree"
    return "it is git's own" if ".git" in piece.path.split("/") else None


def _differences(piece: Segment, content: Content) -> Iterator[bytes]:
    before, after = piece.before, piece.after
    if before.is_there and after.is_there and before.kind is not after.kind:
        yield from _difference(piece.path, before, ABSENT, content)
        yield from _difference(piece.path, ABSENT, after, content)
    else:
        yield from _difference(piece.path, before, after, content)


def _difference(path: str, before: Image, after: Image, content: Content) -> Iterator[bytes]:
    old, new = bytes_of(before, content), bytes_of(after, content)
    yield f"diff --git {_quoted('a', path)} {_quoted('b', path)}\n".encode()
    yield from _modes(before, after)
    if old == new and before.is_there and after.is_there:
        return
    mode = f" {_mode(after)}" if before.is_there and _mode(before) == _mode(after) else ""
    yield f"index {_blob(before, old)}..{_blob(after, new)}{mode}\n".encode()
    if not is_text(old) or not is_text(new):
        yield b"GIT binary patch\n"
        yield from _literal(new)
        yield from _literal(old)
    elif old != new:
        end = "\t" if " " in path else ""  # else git takes what follows a space for a date
        yield f"--- {_quoted('a', path) if before.is_there else '/dev/null'}{end}\n".encode()
        yield f"+++ {_quoted('b', path) if after.is_there else '/dev/null'}{end}\n".encode()
        yield from _hunks(old, new)


def _modes(before: Image, after: Image) -> Iterator[bytes]:
    if not before.is_there:
        yield f"new file mode {_mode(after)}\n".encode()
    elif not after.is_there:
        yield f"deleted file mode {_mode(before)}\n".encode()
    elif _mode(before) != _mode(after):
        yield f"old mode {_mode(before)}\nnew mode {_mode(after)}\n".encode()


def _mode(image: Image) -> str:
    """Return what git calls a mode: it knows links, and whether a file may be run."""
    if image.kind is Kind.LINK:
        return "120000"
    return "100755" if image.mode & 0o100 else "100644"


def _blob(image: Image, content: bytes) -> str:
    """Return git's own name of a content; a binary patch is applied by it."""
    if not image.is_there:
        return _NO_BLOB
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _quoted(side: str, path: str) -> str:
    if not _ODD.search(path):
        return f"{side}/{path}"
    escaped = _ODD.sub(lambda odd: _ESCAPES.get(odd[0], f"\\{ord(odd[0]):03o}"), path)
    return f'"{side}/{escaped}"'


def _hunks(old: bytes, new: bytes) -> Iterator[bytes]:
    for hunk in hunks(old, new):
        yield f"{hunk.header}\n".encode()
        for mark, line in hunk.lines:
            yield mark.encode() + line
            if not line.endswith(b"\n"):
                yield b"\n" + _NO_END


def _literal(content: bytes) -> Iterator[bytes]:
    yield b"literal %d\n" % len(content)
    packed = zlib.compress(content)
    for at in range(0, len(packed), _BINARY_LINE):
        part = packed[at : at + _BINARY_LINE]
        count = len(part)
        letter = chr(ord("A") + count - 1 if count <= 26 else ord("a") + count - 27)
        yield letter.encode() + b85encode(part, pad=True) + b"\n"
    yield b"\n"
