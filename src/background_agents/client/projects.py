"""Projects with their records, opened for reading, and for searching where words are asked for.

What damages one project of several is told and does not keep the others from being read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from background_agents import config
from background_agents.adapters.sqlite.records import Found, IndexDamaged, Records
from background_agents.adapters.sqlite.schema import for_doctor
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable
from background_agents.domain.query import Query

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Hears how many delegations are indexed, and of how many; twice 0 once none is left."""


class Project:
    """One project's folder and its records."""

    def __init__(self, folder: Path, records: Records, progress: Progress) -> None:
        self._progress = progress
        self.folder = folder
        self.records = records

    @property
    def label(self) -> str:
        """What people call the project: the folder in which something was delegated last."""
        newest = self.records.find(Query(), 1).numbers
        directories = [Path(one.directory).name for one in self.records.delegations(newest)]
        return next(iter(directories), "") or self.folder.name

    def place(self, one: Delegation) -> Place:
        """Return the project, seen from where one of its delegations works."""
        return Place(Path(one.directory), self.folder.parent, self.folder.name)

    def find(self, query: Query, limit: int | None = None, *, by_rank: bool = False) -> Found:
        """Return which delegations are asked for; words are indexed first where need be."""
        if not query.is_full_text:
            return self.records.find(query, limit)
        if not (self.folder / config.DATABASE).exists():
            return Found((), 0)  # and nothing that could be indexed
        # Indexing is imported only where somebody searches.
        from background_agents.client.indexing import attach, attach_anew

        try:
            attach(self.folder, self.records, self._progress)
            return self.records.find(query, limit, by_rank=by_rank)
        except IndexDamaged:
            attach_anew(self.folder, self.records, self._progress)
        try:
            return self.records.find(query, limit, by_rank=by_rank)
        except IndexDamaged as error:
            what = f"The database in {self.folder} cannot be searched"
            raise for_doctor(what, error) from error


class Projects:
    """The project of ``place``, or all of the user's.

    ``unread`` hears why one of several could not be read, ``progress`` how far indexing is.
    """

    def __init__(
        self,
        place: Place | None,
        *,
        unread: Callable[[StoreUnavailable], None],
        progress: Progress,
    ) -> None:
        self._place = place
        self._unread = unread
        self._progress = progress
        root = config.data_root(os.environ)
        self._folders = (
            [place.folder]
            if place
            else sorted(one.parent for one in root.glob(f"*/{config.DATABASE}"))
        )

    @property
    def are_many(self) -> bool:
        """Whether it must be told which project something is of."""
        return self._place is None

    def each(self, do: Callable[[Project], T]) -> list[T]:
        """Do something with each project while it is open; return what came of it.

        Raises:
            StoreUnavailable: the records of the one project that was meant cannot be read.
        """
        if self._place is not None:
            with self._place.records() as records:
                return [do(Project(self._place.folder, records, self._progress))]
        return [done for folder in self._folders for done in self._excused(folder, do)]

    def _excused(self, folder: Path, do: Callable[[Project], T]) -> list[T]:
        """Go on with the next project where one of several cannot be read."""
        try:
            records = Records.open(folder / config.DATABASE)
            if records is None:
                return []
            with records:
                return [do(Project(folder, records, self._progress))]
        except StoreUnavailable as error:
            self._unread(error)
            return []


def in_all(delegation: str, unread: Callable[[StoreUnavailable], None]) -> dict[Place, Delegation]:
    """Return the delegations that have an id, all of it, by the projects that they are of."""

    def found(project: Project) -> Delegation | None:
        with suppress(InvalidRequest):
            one = project.records.resolve(delegation)
            return one if one.id == delegation else None
        return None

    several = Projects(None, unread=unread, progress=lambda _done, _total: None)
    every = several.each(lambda project: (project, found(project)))
    return {project.place(one): one for project, one in every if one is not None}
