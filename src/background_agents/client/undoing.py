"""Undo and redo of what a delegation changed, as people's programs do it.

Needs no service: the journal says what was changed, the tree what there is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from background_agents import config
from background_agents.adapters.changes.images import top_of
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.changes.writing import Done, Writing
from background_agents.client.place import Place
from background_agents.domain.change_sums import chained, fold, sum_of
from background_agents.domain.changes import UNDO, Changes, Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import ChangesGone, InvalidRequest, StillWrites, TreeGone
from background_agents.domain.isolation import State
from background_agents.domain.undoing import Asked, Plan, plan_redo, plan_undo


class Undoing:
    """What one delegation that has ended has changed, to be taken back or done again."""

    def __init__(self, place: Place, one: Delegation) -> None:
        """Raises ``InvalidRequest`` where there is nothing that could be taken back."""
        if not one.is_terminal:
            raise StillWrites(one.id, one.status)
        if not os.path.isdir(one.directory):
            raise TreeGone(one.id, one.directory)
        self._place, self._one = place, one
        self.journal = FileJournal(place.folder / FOLDER)
        self.top = top_of(Path(one.directory))
        self._writing = Writing(self.journal, one.id, self.top, [Path(one.directory)])
        if one.changes.files and not self.journal.segments(one.id):
            if one.tree:
                self._check_applied()
            raise ChangesGone(one.id)

    def plan(self, by: str, asked: Asked) -> Plan:
        """Return what an undo or a redo (``by``) would do."""
        with self._writing.alone() as tree:
            plan = plan_undo if by == UNDO else plan_redo
            return plan(self.journal.segments(self._one.id), asked, tree)

    def do(self, by: str, plan: Plan) -> Done:
        """Do what was planned, as far as files are still as they were then.

        Raises:
            StoreUnavailable: what is overwritten cannot be kept; nothing was then changed.
        """
        done = self._writing.do(by, plan.steps)
        return done._replace(left=(*plan.left, *done.left))

    def note(self) -> Changes:
        """Store in the delegation's record what stands of its changes, and return that."""
        from background_agents.adapters.sqlite.amending import note_changes

        segments = self.journal.segments(self._one.id)
        if self._one.tree:
            self._note_tree(segments)
            return self._one.changes  # what it has made in its tree stands
        changes = sum_of(segments, self.journal.content, self._one.changes.open)
        database = self._place.folder / config.DATABASE
        note_changes(database, self._one.id, changes, datetime.now(UTC))
        return changes

    def _note_tree(self, segments: Sequence[Segment]) -> None:
        from background_agents.adapters.isolation.folder import IsolatedFolder
        from background_agents.adapters.sqlite.amending import note_tree

        trees, name = IsolatedFolder(self._place.folder), self._one.tree
        trees.note_taken_back(name, is_so=any(chained(one.undone) for one in fold(segments)))
        database = self._place.folder / config.DATABASE
        note_tree(database, name, str(trees.state(name)), datetime.now(UTC))

    def _check_applied(self) -> None:
        """Raise ``InvalidRequest`` where nothing was applied in the name of this delegation."""
        from background_agents.adapters.isolation.folder import IsolatedFolder

        about, name = IsolatedFolder(self._place.folder).find(self._one.tree), self._one.id
        by = about.applied_by if about else ()
        others = [one for one in dict.fromkeys(by) if self.journal.segments(one)]
        if others and name not in by:
            told = f"What {name} has changed was applied with {others[-1]}; undo that."
            raise InvalidRequest(told)
        if name not in by and self._one.changes.apart != State.APPLIED:
            why = f"Nothing of {name} was applied, so that there is nothing to take back."
            raise InvalidRequest(why)
