"""Where changes of files are kept, beside the artifacts of delegations, and how they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from background_agents.domain.changes import Delta, Image, Segment, Window


class ChangeJournal(Protocol):
    """Keeps what delegations of a project changed, with the contents before and after.

    Everything here blocks, and belongs on a worker thread or into a person's program. Raises
    ``StoreUnavailable`` where the storage fails; nothing is then half stored.
    """

    def segments(self, delegation: str) -> list[Segment]:
        """Return what a delegation changed, oldest first; nothing for one that changed nothing."""

    def add(self, delegation: str, segments: Sequence[Segment]) -> None:
        """Store changes durably; what their images name has been kept before."""

    def open(self, delegation: str, window: Window) -> None:
        """Store that a call is about to write, so that it is known if the process dies."""

    def close(self, delegation: str, call: str, segments: Sequence[Segment] = ()) -> None:
        """Store that a call writes no more, together with what it changed."""

    def windows(self, delegation: str) -> list[Window]:
        """Return the calls that were opened and never closed, oldest first."""

    def taken_back(self, since: datetime) -> list[Segment]:
        """Return what users have undone, redone and applied since a moment, or do so just now.

        Of all delegations.
        """

    def keep(self, content: bytes) -> str:
        """Store a content and return its digest; one that is there already costs nothing."""

    def content(self, digest: str) -> bytes:
        """Return a content. Raises ``ContentGone`` when it is kept no more."""


class WorkingTree(Protocol):
    """The files of one working tree, of which a process has a picture that it brings up to date.

    Everything blocks. What it looks at is never written to, and nothing that the tree's own
    configuration names is run. ``image`` may be called at any time, ``look`` by one at a time.
    """

    @property
    def top(self) -> str:
        """Where it begins."""

    @property
    def is_alone(self) -> bool:
        """Whether no other process follows what changes in it; it blocks for a moment."""

    def name(self, directory: str, path: str) -> str:
        """Return how a path that was given in a directory is named in a journal."""

    def image(self, name: str) -> Image:
        """Return what stands at a path now, and keep its content. Raises ``StoreUnavailable``."""

    def look(self, *, keep: bool) -> list[Delta]:
        """Return what differs from the picture, and bring that up to date.

        Nothing is returned, and no content kept, unless ``keep`` is set. The picture outlives the
        process; if the first look is to keep, it tells what was missed in between.

        Raises:
            NotSeen: this tree cannot be looked at as a whole.
            StoreUnavailable: contents cannot be kept.
        """


class WorkingTrees(Protocol):
    """The working trees that directories are in."""

    def of(self, directory: str) -> WorkingTree:
        """Return the tree of a directory, the same one for all directories of it."""
