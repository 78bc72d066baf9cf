"""Changes as a patch that ``git apply`` takes, from the top of the tree; git writes it.

Raw bytes: what a file holds stands in it as it is. What git takes from nobody (what lies outside of
the tree, or in a ``.git``) and what was not kept is named in a line that git skips.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from background_agents.adapters.changes.own_repository import LINK, OwnRepository
from background_agents.domain.change_sums import Content, bytes_of
from background_agents.domain.changes import Image, Kind, Segment
from background_agents.domain.errors import ContentGone, GitFailed, InvalidRequest
from background_agents.domain.text import one_line

MOST_AT_ONCE = 64 * 2**20
"""Bytes of files that are held in memory and given to git together."""

_BEFORE, _AFTER = "refs/heads/before", "refs/heads/after"

_DIFFERENCE = ("diff-tree", "-p", "--binary", "--full-index", "--no-renames", _BEFORE, _AFTER)


def patch(pieces: Iterable[Segment], content: Content) -> Iterator[bytes]:
    """Yield the patch of some changes, in their order.

    Raises:
        InvalidRequest: there is no git to write it.
    """
    with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
        store = OwnRepository(Path(folder) / "store.git", ("-c", "core.quotePath=false"))
        try:
            store.make(None)
            yield from _written(pieces, content, store)
        except GitFailed as error:
            raise InvalidRequest(f"A patch cannot be written: {error.why}.") from error


def _written(pieces: Iterable[Segment], content: Content, store: OwnRepository) -> Iterator[bytes]:
    waiting: dict[str, tuple[bytes, bytes]] = {}
    size = 0
    for piece in pieces:
        why = _why_not(piece)
        try:
            sides = None if why else (_file(piece, piece.before, content),
                                      _file(piece, piece.after, content))  # fmt: skip
        except ContentGone:
            sides, why = None, "its content is kept no more"
        if sides is None:
            yield f"# Not in this patch: {one_line(piece.path)} ({why})\n".encode()
            continue
        if piece.path in waiting or size > MOST_AT_ONCE:
            yield _difference(list(waiting.values()), store)
            waiting, size = {}, 0
        waiting[piece.path] = sides
        size += sum(map(len, sides))
    yield _difference(list(waiting.values()), store)


def _why_not(piece: Segment) -> str | None:
    opaque = [one.why for one in (piece.before, piece.after) if one.kind is Kind.OPAQUE]
    if opaque:
        return opaque[0]
    if piece.path.startswith("/"):
        return "it lies outside of the tree"
    return "it is git's own" if ".git" in piece.path.split("/") else None


def _file(piece: Segment, image: Image, content: Content) -> bytes:
    """Return how ``git fast-import`` is told of a file; nothing of one that is not there."""
    if not image.is_there:
        return b""
    held = bytes_of(image, content)
    # Git knows links, and whether a file may be run.
    mode = LINK if image.kind is Kind.LINK else 0o100755 if image.mode & 0o100 else 0o100644
    path = re.sub(rb'(["\\])', rb"\\\1", os.fsencode(piece.path)).replace(b"\n", rb"\n")
    return b'M %o inline "%s"\ndata %d\n%s\n' % (mode, path, len(held), held)


def _difference(files: Sequence[tuple[bytes, bytes]], store: OwnRepository) -> bytes:
    """Return what leads from one state of some files to another."""
    told = [
        b"commit %s\ncommitter nobody <nobody> 0 +0000\ndata 0\n%s\n"
        % (name.encode(), b"".join(one[side] for one in files))
        for side, name in enumerate((_BEFORE, _AFTER))
    ]
    store.git("fast-import", "--quiet", "--force", given=b"".join(told))
    return store.git(*_DIFFERENCE)
