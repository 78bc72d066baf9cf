"""What delegations changed, in words: for models, and for people.

Names of files and what stands in them are anybody's: bounded here, and escaped by whoever writes
tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from background_agents.domain.changes import Changes
from background_agents.domain.text import counted, one_line

_NAMES_CHARS = 300
"""Of the names in a notice: six usual ones."""

_OPEN_CHARS = 200
"""Of what may go on writing: a command, and what it is."""


class Sum(Protocol):
    """The numbers of ``Changes``, whoever tells them."""

    @property
    def files(self) -> int: ...
    @property
    def added(self) -> int: ...
    @property
    def removed(self) -> int: ...
    @property
    def uncertain(self) -> int: ...


def brief(changes: Sum) -> str:
    """Say in a few words what was changed: ``7 files +3 -42``; nothing if nothing was."""
    if not changes.files:
        return ""
    unsure = f", {changes.uncertain} uncertain" if changes.uncertain else ""
    return f"{counted(changes.files, 'file')} +{changes.added:,} -{changes.removed:,}{unsure}"


class Counted(NamedTuple):
    """A text with numbers beside it."""

    numbers: Mapping[str, int]
    text: str


def names(changes: Changes) -> Counted | None:
    """Return what a notice tells of what was changed; None if nothing was."""
    if not changes.files:
        return None
    numbers = {"files": changes.files, "added": changes.added, "removed": changes.removed}
    if changes.uncertain:
        numbers["uncertain"] = changes.uncertain
    more = ["…"] if len(changes.names) < changes.files else []
    return Counted(numbers, one_line(", ".join([*changes.names, *more]), _NAMES_CHARS))


def still_writing(changes: Changes) -> str | None:
    """Say what may go on writing although its delegation has ended; None if nothing does."""
    return one_line("; ".join(changes.open), _OPEN_CHARS) or None
