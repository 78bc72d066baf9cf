"""What delegations changed, in words: for models, and for people.

Names of files and what stands in them are anybody's: bounded here, and escaped by whoever writes
tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from background_agents.domain.changes import Changes
from background_agents.domain.isolation import Applied, State
from background_agents.domain.text import counted, one_line

_NAMES_CHARS = 300
"""Of the names in a notice: six usual ones."""

_PATHS, _APPLIED_CHARS = 30, 2_000
"""Of what was applied: who wants all of it asks for the difference."""

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
    @property
    def apart(self) -> str: ...


def brief(changes: Sum) -> str:
    """Say in a few words what was changed: ``7 files +3 -42``; nothing if nothing was."""
    if not changes.files:
        return ""
    unsure = f", {changes.uncertain} uncertain" if changes.uncertain else ""
    apart = f", isolated: {changes.apart}" if changes.apart else ""
    lines = f"+{changes.added:,} -{changes.removed:,}"
    return f"{counted(changes.files, 'file')} {lines}{unsure}{apart}"


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


def apart(changes: Changes, delegation: str) -> str | None:
    """Say what has become of changes that were made in an isolated tree; None for others."""
    if not changes.apart:
        return None
    if changes.apart != State.OPEN:
        return changes.apart
    return f'not applied: delegation_apply("{delegation}") takes it over into the project'


def applied(done: Applied) -> str:
    """Tell the supervisor's model what an apply has come to."""
    if not done.segments:
        return f"The project has all of {done.delegation} already; nothing was written."
    paths = sorted({one.path for one in done.segments})
    more = f" and {len(paths) - _PATHS:,} more" if len(paths) > _PATHS else ""
    told = one_line(", ".join(paths[:_PATHS]) + more, _APPLIED_CHARS)
    rest = "" if done.state is State.APPLIED else " The rest of it is not applied."
    return f"Applied {done.delegation}: {counted(len(paths), 'file')} written: {told}.{rest}"
