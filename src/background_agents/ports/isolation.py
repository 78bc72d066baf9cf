"""Working trees apart, in which delegations try something that nobody has to live with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from background_agents.domain.changes import Segment
from background_agents.domain.isolation import Isolated, Plan, State
from background_agents.ports.changes import ChangeJournal


class IsolatedTrees(Protocol):
    """The isolated trees of a project.

    Everything here blocks, and belongs on a worker thread or into a person's program. Raises
    ``NotIsolated`` where a tree cannot be made or is there no more, and nothing is then written.
    """

    def prepare(self, name: str, directory: str) -> Isolated:
        """Copy the working tree of a directory as it is; one that was copied already is returned.

        What it is a copy of is not written to, its repository included.
        """

    def find(self, name: str) -> Isolated | None:
        """Return a tree that was prepared and not discarded; None if there is none."""

    def state(self, name: str) -> State:
        """Return what has become of a tree."""

    def kept(self, name: str) -> ChangeJournal:
        """Return what was kept of a tree's changes; it goes when the tree does."""

    def seen(self, name: str, delegation: str) -> tuple[Sequence[Segment], ChangeJournal]:
        """Return what is other in a tree, or was at a delegation's end, and what has contents."""

    def changes(self, name: str, delegation: str = "") -> Sequence[Segment]:
        """Return what is other in a tree than it was; ``kept`` has the contents.

        They stay there whatever becomes of main. For a ``delegation`` the changes are noted there,
        too, in place of what was noted for it before.
        """

    def moved(self, name: str) -> str:
        """Say what happened to main since a tree was made; empty if it is nothing to speak of.

        That is another branch or commit than it had, and changes of files that the try changed.
        """

    def plan(self, name: str, paths: Sequence[str] = ()) -> Plan:
        """Return what applying a tree would write to main as it is now.

        ``paths`` are files of it, or folders with all that is in them; everything if there are
        none. Raises ``InvalidRequest`` where one is no change of it.
        """

    def apply(self, plan: Plan, delegation: str) -> Sequence[Segment]:
        """Write what was planned, and return it as changes of main, noted for a delegation.

        Raises ``NotApplied`` where there are conflicts, or a file of main is not what it was when
        it was planned; nothing is written then.
        """

    def discard(self, name: str) -> None:
        """Delete a tree for good, with all that is in it; one that is gone is none."""
