"""The contract with scripts for changes: what ``diff``, ``undo`` and ``redo`` write as JSON.

As in ``views.json``: a field may be added, none is renamed or removed. Paths are from the top of
the tree, with ``/``; in full where they lie outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents.domain.change_sums import Content, fold, sum_of
from background_agents.domain.changes import Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.undoing import Left, Plan, Step
from background_agents.views import undoing
from background_agents.views.diffs import Row
from background_agents.views.json import ChangesSheet
from background_agents.views.undoing import deed

_CERTAINTY = "`sure`, `likely` (a command of it ran) or `shared` (others wrote at the same time)"


class FileSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is other than before."""

    path: str
    was: Annotated[str | None, Meta(description="its old name, where it was renamed")]
    state: Annotated[str, Meta(description="`added`, `changed`, `deleted` or `renamed`")]
    certainty: Annotated[str, Meta(description=_CERTAINTY)]
    added: Annotated[int | None, Meta(description="lines; null where it has none")]
    removed: int | None
    about: Annotated[str, Meta(description="why it has no lines, or what else is to be said")]
    pieces: Annotated[
        int, Meta(description="changes that it consists of, between which others wrote")
    ]


class DiffSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `diff`."""

    id: str
    state: str
    directory: str
    changes: ChangesSheet
    files: tuple[FileSheet, ...]
    undone: Annotated[tuple[str, ...], Meta(description="paths that `redo` would change again")]


class StepSheet(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with a file."""

    path: str
    deed: Annotated[str, Meta(description="`restore`, `merge`, `delete` or `create`")]
    certainty: Annotated[str, Meta(description=_CERTAINTY)]


class LeftSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is left alone."""

    path: str
    reason: Annotated[str, Meta(description="one word or two, such as `conflict` or `not kept`")]
    text: Annotated[str, Meta(description="the reason in words")]


class UndoSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `undo` and of `redo`."""

    id: str
    act: Annotated[str, Meta(description="`undo` or `redo`")]
    dry_run: bool
    done: Annotated[tuple[StepSheet, ...], Meta(description="with --dry-run, what would be done")]
    left: tuple[LeftSheet, ...]
    already: Annotated[tuple[str, ...], Meta(description="what was as it should be already")]


def diff_sheet(
    one: Delegation, segments: Sequence[Segment], content: Content, found: Sequence[Row]
) -> DiffSheet:
    """Return what a program is told of changes; ``found`` are the rows that were asked for."""
    changes = sum_of(segments, content, one.changes.open)
    return DiffSheet(
        id=one.id,
        state=one.status.value,
        directory=one.directory,
        changes=msgspec.convert(changes, ChangesSheet, from_attributes=True),
        files=tuple(map(_file, found)),
        undone=tuple(file.path for file in fold(segments) if file.undone),
    )


def _file(row: Row) -> FileSheet:
    return FileSheet(
        path=row.path,
        was=row.was or None,
        state=row.state.value,
        certainty=row.certainty.value,
        added=row.added,
        removed=row.removed,
        about=row.about,
        pieces=sum(piece.path == row.path for piece in row.pieces),
    )


def undo_sheet(
    delegation: str, by: str, plan: Plan, steps: Sequence[Step], left: Sequence[Left], *, dry: bool
) -> UndoSheet:
    """Return what a program is told of an undo or a redo."""
    return UndoSheet(
        id=delegation,
        act=by,
        dry_run=dry,
        done=tuple(
            StepSheet(path=one.path, deed=deed(one).value, certainty=one.certainty.value)
            for one in steps
        ),
        left=tuple(
            LeftSheet(path=one.path, reason=one.reason.value, text=undoing.why(one)) for one in left
        ),
        already=plan.already,
    )
