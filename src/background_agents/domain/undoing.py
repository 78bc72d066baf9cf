"""What an undo would do: a plan, file by file, and a reason for each file that is left alone.

Pure: looks at the world through ``Sight``, which also knows how three texts are merged. The
rule: of what others have written since, not a byte is lost. Redo is the undo of an undo's own
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from background_agents.domain.change_sums import FileChanges, chained, covers, fold, weakest
from background_agents.domain.changes import Certainty, Image, Kind, Segment
from background_agents.domain.errors import ContentGone
from background_agents.domain.line_diffs import is_text


class Reason(StrEnum):
    """Why a file is left alone."""

    CONFLICT = "conflict"
    """Others have changed the same lines since, or lines beside them."""
    BINARY = "binary"
    """Others have changed it since, and it has no lines."""
    EDITED = "edited"
    """It was not there before, and others have changed it since."""
    GONE = "gone"
    RECREATED = "recreated"
    """It was deleted, and is there again."""
    REPLACED = "replaced"
    """Something of another kind is there now, or a link that leads elsewhere."""
    NOT_KEPT = "not kept"
    """Its content was never kept."""
    FORGOTTEN = "forgotten"
    """Its content was kept, and is no more."""
    UNREADABLE = "unreadable"
    """What is there now cannot be read, or is too large to be compared."""
    LIKELY = "likely"
    """It is not sure that it was this delegation, and nobody asked for such."""
    SHARED = "shared"
    """Others may have written at the same time, and nobody named it."""
    GITS_OWN = "git's own"
    """It lies in a ``.git``, which no undo writes to."""
    NO_GIT = "no git"
    """Others have changed it since, and there is no git to merge with."""
    MOVED = "moved"
    """It was changed between plan and deed."""
    OUTSIDE = "outside"
    """A folder above it is a link by now, and leads elsewhere."""
    REFUSED = "refused"
    """The system refuses to write it."""


class Left(NamedTuple):
    """A file that is left alone."""

    path: str
    reason: Reason
    detail: str = ""
    """What the reason alone does not say, as an end of a sentence."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with one file."""

    path: str
    now: Image
    """What must be there for it to be done."""
    then: Image
    certainty: Certainty
    """That of the least sure change that it takes back."""
    merged: bytes | None = None
    """The new content where it is nobody's before; others are kept by their digest."""
    folders: int | None = None
    """How many of the folders above it go with it, if they are empty then; None: all such."""


class Plan(NamedTuple):
    """What an undo or a redo would do."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    already: tuple[str, ...]
    """What is as it should be already."""


class Sight(Protocol):
    """The world as a plan needs it. Blocks."""

    def look(self, path: str) -> tuple[Image, bytes]:
        """Return what stands at a path now, with its content or where its link leads."""
        ...

    def content(self, digest: str) -> bytes:
        """Return a content that was kept. Raises ``ContentGone``."""
        ...

    def merge(self, current: bytes, base: bytes, other: bytes) -> bytes | Reason:
        """Return ``current`` with what leads from ``base`` to ``other``, or why not."""
        ...


class Asked(NamedTuple):
    """Which changes are meant."""

    paths: tuple[str, ...] = ()
    """Files, or folders with all that is in them; everything if empty."""
    likely: bool = False
    """Also those of which it is only likely that they are the delegation's."""

    def means(self, path: str) -> bool:
        return not self.paths or any(_is_in(path, one) for one in self.paths)

    def level(self, path: str) -> Certainty:
        """Return how sure changes of a file must at least be."""
        if path in self.paths:
            return Certainty.SHARED
        return Certainty.LIKELY if self.likely or self.paths else Certainty.SURE


def _is_in(path: str, folder: str) -> bool:
    return folder in (path, ".") or path.startswith(f"{folder.rstrip('/')}/")


def plan_undo(segments: Iterable[Segment], asked: Asked, sight: Sight) -> Plan:
    """Return how what stands of some changes is taken back."""
    steps = []
    for one in fold(segments):
        if asked.means(one.path) and one.pieces:
            steps.append(_undone(one, asked.level(one.path), sight))
    return _plan(steps)


def plan_redo(segments: Iterable[Segment], asked: Asked, sight: Sight) -> Plan:
    """Return how what was undone is done again."""
    steps = []
    for one in fold(segments):
        pieces = chained(one.undone)
        if asked.means(one.path) and pieces:
            # As sure as what it brings back.
            level = weakest(piece.certainty for piece in one.undone)
            steps.append(_taken_back(one.path, pieces, level, sight))
    return _plan(steps)


def _plan(found: Sequence[Step | Left | str]) -> Plan:
    return Plan(
        tuple(one for one in found if isinstance(one, Step)),
        tuple(one for one in found if isinstance(one, Left)),
        tuple(one for one in found if isinstance(one, str)),
    )


def _undone(one: FileChanges, level: Certainty, sight: Sight) -> Step | Left | str:
    """Return what is done with a file. What is shared and not meant counts as others' work."""
    own = [piece for piece in one.standing if piece.certainty is not Certainty.SHARED]
    if level is Certainty.SHARED:
        own = list(one.standing)
    elif not chained(own):
        return Left(one.path, Reason.SHARED)
    certainty = weakest(piece.certainty for piece in own)
    if not covers(level, certainty):
        return Left(one.path, Reason.LIKELY)
    return _taken_back(one.path, chained(own), certainty, sight)


def _taken_back(
    path: str, pieces: Sequence[Segment], certainty: Certainty, sight: Sight
) -> Step | Left | str:
    """Return what is done with a file so that some changes of it are not there any more."""
    if ".git" in path.split("/"):
        return Left(path, Reason.GITS_OWN)
    opaque = next((one for piece in pieces for one in _opaque(piece)), None)
    if opaque is not None:
        return Left(path, Reason.NOT_KEPT, opaque.why)
    now, held = sight.look(path)
    state = _State(now)
    try:
        for piece in reversed(pieces):
            reason = _take(state, piece, held, sight)
            if reason is not None:
                return Left(path, reason, now.why)
        if state.content is None and state.image != now:
            _check_kept(state.image, sight.content)
    except ContentGone:
        return Left(path, Reason.FORGOTTEN)
    if state.image == now:
        return path
    return Step(
        path=path, now=now, then=state.image, certainty=certainty, merged=state.content,
        folders=pieces[0].folders,
    )  # fmt: skip


def _opaque(piece: Segment) -> Iterable[Image]:
    return (one for one in (piece.before, piece.after) if one.kind is Kind.OPAQUE)


def _check_kept(image: Image, content: Callable[[str], bytes]) -> None:
    if image.kind in (Kind.FILE, Kind.LINK):
        content(image.digest)


class _State:
    """A file as it is while its changes are taken back in thought, the newest first."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.content: bytes | None = None
        """What only a merge has made."""


def _take(state: _State, piece: Segment, held: bytes, sight: Sight) -> Reason | None:
    """Take one change back, or return why that cannot be; ``held`` is what the file holds now."""
    now, before, after = state.image, piece.before, piece.after
    if now == after or (not before.is_there and _is_like(now, after)):
        state.image, state.content = before, None
        return None
    if now == before:
        return None
    if (reason := _impossible(now, before, after)) is not None:
        return reason
    mode = before.mode if now.mode == after.mode else now.mode
    if now.digest == before.digest or before.digest == after.digest:
        state.image = msgspec.structs.replace(now, mode=mode)
        return None
    if now.digest == after.digest:
        state.image, state.content = msgspec.structs.replace(before, mode=mode), None
        return None
    mine = state.content
    if mine is None:
        mine = held if now.digest == sha256(held).hexdigest() else sight.content(now.digest)
    merged = _merged(mine, sight.content(after.digest), sight.content(before.digest), sight)
    if isinstance(merged, Reason):
        return merged
    state.content = merged
    state.image = image_of_file(merged, mode)
    return None


def _is_like(now: Image, after: Image) -> bool:
    """Return whether a file is as it was made, whatever of its mode git does not know."""
    mine = (now.kind, now.digest, now.mode & 0o100)
    return now.kind is Kind.FILE and mine == (after.kind, after.digest, after.mode & 0o100)


def _impossible(now: Image, before: Image, after: Image) -> Reason | None:
    """Return why what others have made of a file cannot be kept while it is taken back."""
    if now.kind is Kind.OPAQUE:
        return Reason.UNREADABLE
    if not now.is_there:
        return Reason.GONE
    if not after.is_there:
        return Reason.RECREATED
    if not before.is_there:
        return Reason.EDITED
    if {now.kind, before.kind, after.kind} != {Kind.FILE}:
        return Reason.REPLACED
    return None


def _merged(current: bytes, base: bytes, other: bytes, sight: Sight) -> bytes | Reason:
    if not all(map(is_text, (current, base, other))):
        return Reason.BINARY
    return sight.merge(current, base, other)


def image_of_file(content: bytes, mode: int) -> Image:
    """Return the image of a file with a content."""
    return Image(Kind.FILE, sha256(content).hexdigest(), mode, len(content))


def is_done(segment: Segment, sight: Sight) -> bool:
    """Return whether a change is there, whatever others have written since.

    Raises:
        ContentGone: what it was is not kept.
    """
    now, held = sight.look(segment.path)
    if now in (segment.before, segment.after):
        return now == segment.after
    if _impossible(now, segment.after, segment.before) is not None:
        return False
    before, after = sight.content(segment.before.digest), sight.content(segment.after.digest)
    # To make a change once more that is there already changes nothing.
    return _merged(held, before, after, sight) == held
