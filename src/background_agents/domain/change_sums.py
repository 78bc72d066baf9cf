"""What is left of many changes: the files that are other than before, and the sum of that.

Pure. A file's changes follow each other where nobody else wrote in between; then they are one
change, from what was before the first to what was after the last. Where somebody did, they stay
apart, since what lies between is not theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from background_agents.domain.changes import (
    ABSENT,
    REDO,
    UNDO,
    Certainty,
    Changes,
    Image,
    Kind,
    Segment,
)
from background_agents.domain.errors import ContentGone
from background_agents.domain.line_diffs import counts, is_text
from background_agents.domain.text import LINE_CHARS, one_line

NAMES_TOLD = 6
"""Of changed files, in a notice or a list: who wants all asks for them."""

_SURENESS = (Certainty.SURE, Certainty.LIKELY, Certainty.SHARED)

Content = Callable[[str], bytes]
"""Returns a content by its digest. Raises ``ContentGone``."""


class FileChanges(NamedTuple):
    """What a delegation has changed of one file."""

    path: str
    standing: tuple[Segment, ...]
    """What was not undone, oldest first, as it was found."""
    undone: tuple[Segment, ...]
    """What undoing it has changed, oldest first; what a redo takes back."""

    @property
    def pieces(self) -> tuple[Segment, ...]:
        """What stands, as few changes as it can be told in."""
        return chained(self.standing)

    @property
    def certainty(self) -> Certainty:
        """How sure it is that all of it is the delegation's: as sure as the least sure piece."""
        return weakest(one.certainty for one in self.standing)


def weakest(of: Iterable[Certainty]) -> Certainty:
    """Return the least sure one; sure, where there is none."""
    return max(of, key=_SURENESS.index, default=Certainty.SURE)


def covers(level: Certainty, other: Certainty) -> bool:
    """Return whether what is as sure as ``other`` is meant where ``level`` suffices."""
    return _SURENESS.index(other) <= _SURENESS.index(level)


def fold(segments: Iterable[Segment]) -> list[FileChanges]:
    """Return what was changed, by path; also what was undone, for it may be redone.

    An undo has taken back all that was as sure as its own ``certainty`` says, or surer.
    """
    standing: dict[str, list[Segment]] = defaultdict(list)
    undone: dict[str, list[Segment]] = defaultdict(list)
    for one in segments:
        there = standing[one.path]
        if one.by == UNDO:
            there[:] = [kept for kept in there if not covers(one.certainty, kept.certainty)]
            undone[one.path].append(one)
            continue
        if one.by == REDO:
            undone[one.path].clear()
        there.append(one)
    return [
        FileChanges(path, tuple(standing[path]), tuple(undone[path])) for path in sorted(standing)
    ]


def chained(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Return changes of one file with those as one that follow each other; none that is none.

    What a look at the tree has found may be told later than what came after it.
    """
    found: list[Segment] = []
    for one in segments:
        if found and one.after == found[-1].before:
            found[-1] = _joined(one, found[-1])
        else:
            found.append(one)
        while len(found) > 1 and found[-2].after == found[-1].before:
            last = found.pop()
            found[-1] = _joined(found[-1], last)
    return tuple(one for one in found if one.before != one.after)


def _joined(first: Segment, second: Segment) -> Segment:
    return msgspec.structs.replace(
        second,
        before=first.before,
        certainty=weakest((first.certainty, second.certainty)),
        folders=second.folders if first.before.is_there else first.folders,
    )


def changed(segments: Iterable[Segment]) -> list[FileChanges]:
    """Return the files that are other than before, by path."""
    return [one for one in fold(segments) if one.pieces]


def renames(files: Iterable[FileChanges]) -> Mapping[str, str]:
    """Return the new names of files that have but another name, each with the old one."""
    gone: dict[str, str] = {}
    come: list[tuple[str, str]] = []
    for path, before, after in ((one.path, *_ends(one)) for one in files):
        if before.kind is Kind.FILE and before.size and after == ABSENT:
            gone.setdefault(before.digest, path)
        elif after.kind is Kind.FILE and before == ABSENT:
            come.append((path, after.digest))
    return {path: gone.pop(digest) for path, digest in come if digest in gone}


def _ends(one: FileChanges) -> tuple[Image, Image]:
    return one.pieces[0].before, one.pieces[-1].after


def names(files: Sequence[FileChanges]) -> list[str]:
    """Return how changed files are told: a renamed one once, with both of its names."""
    renamed = renames(files)
    sources = set(renamed.values())
    told = (
        f"{renamed[one.path]} → {one.path}" if one.path in renamed else one.path
        for one in files
        if one.path not in sources
    )
    return [one_line(name, LINE_CHARS) for name in told]


def lines_changed(before: Image, after: Image, content: Content) -> tuple[int, int] | None:
    """Return how many lines were added and removed; None of what has no lines.

    Raises:
        ContentGone: it cannot be told any more.
    """
    if {before.kind, after.kind} <= {Kind.FILE, Kind.ABSENT}:
        old, new = bytes_of(before, content), bytes_of(after, content)
        return counts(old, new) if is_text(old) and is_text(new) else None
    return None


def bytes_of(image: Image, content: Content) -> bytes:
    """Return what a file holds, or where a link leads; nothing of what is absent or not kept.

    Raises:
        ContentGone: it is kept no more.
    """
    return content(image.digest) if image.kind in (Kind.FILE, Kind.LINK) else b""


def sum_of(segments: Sequence[Segment], content: Content, still: Sequence[str] = ()) -> Changes:
    """Return the sum of changes. ``still``: what may go on writing, a sentence each."""
    files = changed(segments)
    renamed = renames(files)
    unmoved = [one for one in files if one.path not in renamed.values()]
    added = removed = 0
    for piece in (piece for one in files for piece in one.pieces):
        if piece.path in renamed or piece.path in renamed.values():
            continue
        try:
            more, less = lines_changed(piece.before, piece.after, content) or (0, 0)
        except ContentGone:
            continue  # what is known of it is that it changed
        added, removed = added + more, removed + less
    return Changes(
        files=len(unmoved),
        added=added,
        removed=removed,
        uncertain=sum(one.certainty is not Certainty.SURE for one in unmoved),
        names=tuple(names(files)[:NAMES_TOLD]),
        open=tuple(still),
    )
