"""What a delegation changed, file by file: as rows with numbers, and as lines.

The same for models, people and programs, who differ in how much they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from background_agents.domain.change_sums import (
    Content,
    FileChanges,
    bytes_of,
    changed,
    lines_changed,
    renames,
    sum_of,
)
from background_agents.domain.changes import Certainty, Image, Kind, Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import ChangesGone, ContentGone, NotChanged
from background_agents.domain.line_diffs import hunks
from background_agents.domain.text import one_line, printable
from background_agents.views.changes import brief

MODEL_CHARS = 16_000
"""About 4,000 tokens: what a look at changes may cost a supervisor."""

_MODEL_ROWS = 100
"""Of files; they are listed first, and what is left is for their lines."""

_LINE_CHARS = 400
"""Of one line of a file, where a model looks."""

_KEPT_NO_MORE = "its content is kept no more"


class State(StrEnum):
    """What has become of a file."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    RENAMED = "renamed"


LETTERS = {State.ADDED: "A", State.CHANGED: "M", State.DELETED: "D", State.RENAMED: "R"}
"""As everybody writes it."""

UNSURE = {
    Certainty.LIKELY: "likely: changed while a command of it ran",
    Certainty.SHARED: "shared: others wrote at the same time",
}
"""What is said of changes that are not sure."""


class Row(NamedTuple):
    """A file that is other than before."""

    path: str
    was: str
    """Its old name, where it was renamed; else empty."""
    state: State
    certainty: Certainty
    added: int | None
    """Lines; None of what has none, or is not kept."""
    removed: int | None
    about: str
    """Why it has no lines, or what else is to be said of it; may be empty."""
    pieces: tuple[Segment, ...]
    """What it consists of; of a renamed one first how the old file went."""


def rows(segments: Sequence[Segment], content: Content) -> list[Row]:
    """Return the files that are other than before, by path."""
    files = changed(segments)
    renamed = renames(files)
    pieces = {one.path: one.pieces for one in files}
    return [
        _row(one, renamed.get(one.path, ""), pieces.get(renamed.get(one.path, ""), ()), content)
        for one in files
        if one.path not in renamed.values()
    ]


def _row(one: FileChanges, was: str, gone: tuple[Segment, ...], content: Content) -> Row:
    first, last = one.pieces[0].before, one.pieces[-1].after
    counted = [] if was else [_counted(piece, content) for piece in one.pieces]
    told = [f"in {len(one.pieces)} pieces"] if len(one.pieces) > 1 else []
    told += [why for _, why in counted if why]
    if first.kind is last.kind is Kind.FILE and first.mode != last.mode:
        told.append(f"mode {first.mode:o} → {last.mode:o}")
    numbers = [lines for lines, _ in counted if lines is not None]
    is_whole = len(numbers) == len(counted)
    return Row(
        path=one.path,
        was=was,
        state=_state(first, last, was),
        certainty=one.certainty,
        added=sum(added for added, _ in numbers) if is_whole else None,
        removed=sum(removed for _, removed in numbers) if is_whole else None,
        about=", ".join(dict.fromkeys(told)),
        pieces=(*gone, *one.pieces),
    )


def _state(first: Image, last: Image, was: str) -> State:
    if not first.is_there:
        return State.RENAMED if was else State.ADDED
    return State.CHANGED if last.is_there else State.DELETED


def _counted(piece: Segment, content: Content) -> tuple[tuple[int, int] | None, str]:
    """Return how many lines a piece added and removed, or None and why."""
    opaque = next((one for one in (piece.before, piece.after) if one.kind is Kind.OPAQUE), None)
    if opaque is not None:
        return None, f"not kept: {opaque.why}"
    if Kind.LINK in (piece.before.kind, piece.after.kind):
        return None, "link"
    try:
        lines = lines_changed(piece.before, piece.after, content)
    except ContentGone:
        return None, _KEPT_NO_MORE
    return lines, "" if lines is not None else "binary"


def lines(row: Row, content: Content) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file's diff, each with its mark: ``@``, ``-``, ``+`` or a space.

    Those of what is renamed, binary, or not kept are none.
    """
    for piece in () if row.was else row.pieces:
        if _counted(piece, content)[0] is None:
            yield from _leads(piece, content)
            continue
        for hunk in hunks(bytes_of(piece.before, content), bytes_of(piece.after, content)):
            yield "@", hunk.header
            for mark, line in hunk.lines:
                text = line.removesuffix(b"\n").decode(errors="replace")
                yield mark, _shown(text)
                if not line.endswith(b"\n"):
                    yield "\\", " No newline at end of file"


def _shown(text: str) -> str:
    """Return a line of a file as it may be shown; that it ends as on Windows is seen."""
    whole = text.removesuffix("\r")
    return printable(whole).replace("\n", "\ufffd") + ("^M" if whole != text else "")


def _leads(piece: Segment, content: Content) -> Iterator[tuple[str, str]]:
    """Yield where a link led and leads."""
    for mark, one in (("-", piece.before), ("+", piece.after)):
        if one.kind is Kind.LINK:
            with suppress(ContentGone):
                yield mark, one_line(f"→ {content(one.digest).decode(errors='replace')}")


def matching(found: Sequence[Row], delegation: str, *given: str) -> list[Row]:
    """Return the rows of a path, or of those below it; the first of ``given`` that fits counts.

    Raises:
        NotChanged: there are none.
    """
    for path in given:
        folder = f"{path.rstrip('/')}/"
        fits = [one for one in found if path in (one.path, one.was, ".") or
                one.path.startswith(folder)]  # fmt: skip
        if fits:
            return fits
    raise NotChanged(delegation, given[0])


def name_of(row: Row) -> str:
    """Return how a file is told, on one line."""
    return one_line(f"{row.was} → {row.path}" if row.was else row.path)


def numbers(row: Row) -> str:
    """Return how many lines were added and removed; nothing where none were."""
    return f"+{row.added or 0:,} -{row.removed or 0:,}" if row.added or row.removed else ""


def remarks(row: Row) -> str:
    """Return what is to be said of a file besides; nothing of most."""
    return "; ".join(one for one in (row.about, UNSURE.get(row.certainty, "")) if one)


class Diff(NamedTuple):
    """What a delegation has changed, as its supervisor's model is told."""

    delegation: Delegation
    text: str


def for_model(
    delegation: Delegation, segments: Sequence[Segment], content: Content, path: str = ""
) -> str:
    """Return what a supervisor's model is told of changes: the files, then lines, within limits.

    Raises:
        NotChanged: it has not changed ``path``.
        ChangesGone: what it changed is kept no more.
    """
    found = rows(segments, content)
    if not segments and delegation.changes.files:
        raise ChangesGone(delegation.id)
    if not found and not path:
        so_far = "" if delegation.is_terminal else " so far"
        return f"{delegation.id} has changed no file{so_far}, as far as is known."
    if path:
        inside = path.removeprefix(f"{delegation.directory.rstrip('/')}/")
        found = matching(found, delegation.id, path.removeprefix("./"), inside)
    head = f"{delegation.id} changed {brief(sum_of(segments, content))}:"
    if path:
        head += f" of these, {one_line(path, _LINE_CHARS)}:"
    told = [_model_row(one) for one in found[:_MODEL_ROWS]]
    if len(found) > _MODEL_ROWS:
        told.append(f"… and {len(found) - _MODEL_ROWS:,} more files; name a folder to see its own")
    room = MODEL_CHARS - len(head) - sum(len(one) + 1 for one in told)
    body, left = _within(room, found, content)
    if left:
        names = ", ".join(one_line(name_of(one), 60) for one in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        call = f'delegation_diff("{delegation.id}", path)'
        body.append(f"[Not all shown of {names}{more}: {call} shows one, as does its file.]")
    return "\n".join([head, *told, *body])


def _model_row(row: Row) -> str:
    unsure = remarks(row)
    told = f"{LETTERS[row.state]} {one_line(name_of(row), _LINE_CHARS)} {numbers(row)}".rstrip()
    return f"{told} ({unsure})" if unsure else told


def _within(room: int, found: Sequence[Row], content: Content) -> tuple[list[str], list[Row]]:
    """Return as many lines as fit, and the files of which not all are among them."""
    body: list[str] = []
    for at, row in enumerate(found):
        mine = [f"\n{name_of(row)}"]
        for mark, line in lines(row, content):
            shown = line if mark == "@" else f"{mark}{_bounded(line)}"
            room -= len(shown) + 1
            if room < 0:
                return [*body, *mine], list(found[at:])
            mine.append(shown)
        body += mine if len(mine) > 1 else []
    return body, []


def _bounded(line: str) -> str:
    """Return a line of a file with its blanks, cut where it is too long."""
    cut = len(line) - _LINE_CHARS
    return line if cut <= 0 else f"{line[:_LINE_CHARS]}… ({cut:,} more characters)"
