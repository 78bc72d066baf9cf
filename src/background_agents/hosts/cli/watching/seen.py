"""What there is to be seen of a project, or of all, at one moment. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from background_agents.ports.storage import Line
from background_agents.views.json import ActiveSheet, PeekSheet, Sheet


class Pane(StrEnum):
    """What a pane shows of a delegation."""

    RUN = "run"
    """What it writes, as it writes; once it has ended, its result."""
    FACTS = "facts"
    """All that is known of it."""


@dataclass(frozen=True)
class Peeked:
    """What was found of the delegation that a pane shows."""

    key: str
    pane: Pane = Pane.RUN
    sheet: PeekSheet | None = None
    """None once it has ended, or while its owner does not answer."""
    said: str = ""
    """What is to be known instead."""
    is_whole: bool = False
    """It does not grow at its end, and is read from its beginning."""


class Ended(NamedTuple):
    """A delegation that has ended."""

    line: Line
    project: str = ""
    """The folder of its project's records; empty where all are of one."""


@dataclass(frozen=True)
class Seen:
    """The project, or all, as they were looked at."""

    at: datetime
    active: tuple[ActiveSheet, ...] = ()
    """Oldest first."""
    gone: frozenset[str] = frozenset()
    """The keys of those whose process has ended."""
    ended: tuple[Ended, ...] = ()
    """Newest first."""
    trouble: str = ""
    """Why nothing, or not everything, can be seen."""
    peeked: Peeked | None = None
    projects: Mapping[str, str] = field(default_factory=dict)
    """What people call each project, by its folder; empty where there is but one."""

    def key(self, one: ActiveSheet | Ended) -> str:
        """Return what names a delegation here; two projects may have one of the same id."""
        if isinstance(one, Ended):
            return f"{one.project}/{one.line.id}" if self.projects else one.line.id
        sheet = one.delegation
        return f"{sheet.project}/{sheet.id}" if self.projects else sheet.id

    @property
    def keys(self) -> list[str]:
        """Return those of all rows, from the top to the bottom."""
        return [*map(self.key, self.active), *map(self.key, self.ended)]

    def has_news(self, before: Seen) -> bool:
        """Return whether one has ended, or asks something, since ``before``."""
        known = {before.key(one) for one in before.ended}
        known |= {request.id for one in before.active for request in one.delegation.requests}
        asked = [(it.id, it.asked_at) for one in self.active for it in one.delegation.requests]
        ended = [(self.key(one), one.line.ended_at) for one in self.ended]
        return any(at and at > before.at and it not in known for it, at in (*asked, *ended))

    def project(self, one: ActiveSheet | Ended) -> str:
        """Return what people call its project; empty where that is clear."""
        project = one.project if isinstance(one, Ended) else one.delegation.project
        return self.projects.get(project, "")

    def active_one(self, key: str) -> ActiveSheet | None:
        """Return an active delegation."""
        return next((one for one in self.active if self.key(one) == key), None)

    def sheet(self, key: str) -> Sheet | None:
        """Return what is known of an active delegation."""
        found = self.active_one(key)
        return found.delegation if found else None
