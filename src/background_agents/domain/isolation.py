"""Isolated tries: what a delegation works in that has a working tree of its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from background_agents.domain.changes import Segment
from background_agents.domain.undoing import Left, Step

WORKTREE = "worktree"
"""The one kind of isolation there is; without it a delegation works where everybody does."""

NOT_ISOLATED = "none"

ISOLATIONS = (WORKTREE, NOT_ISOLATED)

ISOLATED = "isolated"
"""The folder of isolated trees, in the folder of each project."""

TREE = "tree"
"""The working tree in the folder of each of them."""


class State(StrEnum):
    """What has become of an isolated try."""

    OPEN = "not applied"
    APPLIED = "applied"
    DISCARDED = "discarded"
    GONE = "gone"
    """Somebody else has deleted its folder."""


class Isolated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A working tree apart, as it was made."""

    name: str
    """The delegation that it was made for; others may go on in it."""
    origin: str
    """The directory that the delegation was given in."""
    main: str
    """The top of the working tree that it is a copy of."""
    directory: str
    """Where sessions work: in the copy what ``origin`` is in ``main``."""
    base: str
    """The commit of main as it was, with what was not committed."""
    head: str = ""
    """Main's newest commit then; empty where there was none."""
    branch: str = ""
    """What main had checked out then; empty where that was a bare commit."""
    copied: tuple[str, ...] = ()
    """Ignored files that were copied along, by the patterns of their user."""
    left_out: tuple[str, ...] = ()
    """Files that are not there although main has them and does not ignore them."""
    made_at: datetime | None = None
    applied: tuple[str, ...] = ()
    """The trees that were applied to main, as git names them."""
    applied_by: tuple[str, ...] = ()
    """The delegations in whose names that was done."""
    is_taken_back: bool = False
    """Something of what was applied was undone, and neither redone nor applied again."""


class Plan(NamedTuple):
    """What an apply would write to main. Where something is left alone it writes nothing at all."""

    name: str
    result: str
    """The tree that is applied, as git names it."""
    steps: tuple[Step, ...] = ()
    left: tuple[Left, ...] = ()
    """What does not fit, each with the reason."""
    covers: str = ""
    """The tree with all that is applied then, also by earlier ones."""


class Applied(NamedTuple):
    """What an apply came to."""

    delegation: str
    segments: Sequence[Segment]
    """What was written; nothing where main had it all."""
    state: State
    """Whether that was all of the try."""


def difference(first: Sequence[Segment], second: Sequence[Segment]) -> list[Segment]:
    """Return what leads from one try's result to another's that began from the same files."""
    mine = {one.path: one for one in first}
    theirs = {one.path: one for one in second}
    found = []
    for path in sorted({*mine, *theirs}):
        one, other = mine.get(path), theirs.get(path)
        known = other or one
        if known is None:
            raise AssertionError(path)
        before = one.after if one else known.before
        after = other.after if other else known.before
        if before != after:
            found.append(Segment(at=known.at, path=path, before=before, after=after))
    return found
