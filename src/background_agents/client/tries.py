"""Isolated tries as people's programs apply and discard them; no service is needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from background_agents import config
from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.client.changes import names_for
from background_agents.client.place import Place
from background_agents.domain.changes import Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotIsolated, StillWrites
from background_agents.domain.isolation import Plan, State
from background_agents.domain.undoing import Asked


class Try:
    """What one delegation that has ended has made of a project, in a tree of its own."""

    def __init__(self, place: Place, one: Delegation) -> None:
        """Raises ``InvalidRequest`` where there is no such tree, or somebody still works there."""
        if not one.tree:
            raise NotIsolated(f"{one.id} has worked in the project itself")
        self._place, self.one = place, one
        self._trees = IsolatedWorktrees(place.folder)
        with place.records() as records:
            for active in records.active():
                if active.tree == one.tree:
                    raise StillWrites(active.id, active.status)

    @property
    def state(self) -> State:
        """What has become of its tree."""
        return self._trees.state(self.one.tree)

    @property
    def folder(self) -> Path:
        """Where all that is kept of it is."""
        return self._trees.folder / self.one.tree

    def plan(self, paths: Sequence[str]) -> Plan:
        """Return what applying it, or some paths, would write. Raises ``InvalidRequest``.

        The paths are from where their user is, or as a list of changes shows them.
        """
        known = [one.path for one in self._trees.changes(self.one.tree)] if paths else []

        def meant(path: str) -> str:
            names = names_for(path, self.one)
            return next((one for one in names if any(map(Asked((one,)).means, known))), path)

        return self._trees.plan(self.one.tree, [meant(one) for one in paths])

    def apply(self, plan: Plan) -> Sequence[Segment]:
        """Write what was planned. Raises ``NotApplied``, and nothing is written then."""
        written = self._trees.apply(plan, self.one.id)
        self._note()
        return written

    def discard(self) -> None:
        """Delete the tree for good."""
        self._trees.discard(self.one.tree)
        self._note()

    def _note(self) -> None:
        from background_agents.adapters.sqlite.amending import note_tree

        database = self._place.folder / config.DATABASE
        note_tree(database, self.one.tree, str(self.state), datetime.now(UTC))
