"""Isolated trees that lie nowhere: what a try changes, a test says."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from background_agents.domain.changes import Segment
from background_agents.domain.errors import NotApplied, NotIsolated
from background_agents.domain.isolation import Isolated, Plan, State
from background_agents.domain.undoing import Left, Reason, Step
from background_agents.testing.memory import MemoryJournal


class MemoryTries:
    """``IsolatedTrees`` in dictionaries."""

    def __init__(self) -> None:
        self.failure: NotIsolated | None = None
        """Raised where a tree is to be made, until it is None again."""
        self.made: dict[str, Isolated] = {}
        self.changed: dict[str, list[Segment]] = {}
        """What is other in each tree than it was."""
        self.conflicts: dict[str, list[str]] = {}
        """What does not fit into main, by tree."""
        self.moves: dict[str, str] = {}
        """What main did meanwhile, by tree."""
        self.journals: dict[str, MemoryJournal] = {}

    def prepare(self, name: str, directory: str) -> Isolated:
        if self.failure is not None:
            raise self.failure
        apart = f"/isolated/{name}/tree"
        return self.made.setdefault(
            name, Isolated(name=name, origin=directory, main=directory, directory=apart, base="b")
        )

    def find(self, name: str) -> Isolated | None:
        return self.made.get(name)

    def state(self, name: str) -> State:
        if name not in self.made:
            return State.DISCARDED
        return State.APPLIED if self.made[name].applied else State.OPEN

    def kept(self, name: str) -> MemoryJournal:
        return self.journals.setdefault(name, MemoryJournal())

    def changes(self, name: str, delegation: str = "") -> Sequence[Segment]:
        self._get(name)
        found = self.changed.get(name, [])
        if delegation:
            self.kept(name).add(delegation, found)
        return found

    def seen(self, name: str, delegation: str) -> tuple[Sequence[Segment], MemoryJournal]:
        return self.changed.get(name, []), self.kept(name)

    def moved(self, name: str) -> str:
        return self.moves.get(name, "")

    def plan(self, name: str, paths: Sequence[str] = ()) -> Plan:
        self._get(name)
        steps = [
            Step(path=one.path, now=one.before, then=one.after, certainty=one.certainty)
            for one in self.changed.get(name, [])
            if not paths or one.path in paths
        ]
        left = [Left(one, Reason.CONFLICT) for one in self.conflicts.get(name, [])]
        return Plan(name, "result", tuple(steps), tuple(left))

    def apply(self, plan: Plan, delegation: str) -> Sequence[Segment]:
        if plan.left:
            raise NotApplied(delegation, [one.path for one in plan.left])
        about = self._get(plan.name)
        self.made[plan.name] = replace(about, applied=(*about.applied, plan.result))
        written = {one.path for one in plan.steps}
        return [one for one in self.changed.get(plan.name, []) if one.path in written]

    def discard(self, name: str) -> None:
        self.made.pop(name, None)

    def _get(self, name: str) -> Isolated:
        if name not in self.made:
            raise NotIsolated("its tree was discarded")
        return self.made[name]
