"""Undo and redo of what a delegation changed, as people's programs do it.

Needs no service: the journal says what was changed, the tree what there is. Of a process that is
killed in the middle the next one learns what it had done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from background_agents import config
from background_agents.adapters.changes import intents
from background_agents.adapters.changes.images import top_of
from background_agents.adapters.changes.intents import Intent
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.changes.writer import Tree
from background_agents.client.place import Place
from background_agents.domain.change_sums import UNDO, chained, fold, sum_of
from background_agents.domain.changes import Changes, Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    ChangesGone,
    ContentGone,
    InvalidRequest,
    StillWrites,
    StoreUnavailable,
    TreeGone,
)
from background_agents.domain.isolation import State
from background_agents.domain.undoing import (
    Asked,
    Left,
    Plan,
    Reason,
    Step,
    is_done,
    plan_redo,
    plan_undo,
)


class Done(NamedTuple):
    """What has come of a plan."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    """What was left alone, and what could not be done after all."""


class Undoing:
    """What one delegation that has ended has changed, to be taken back or done again."""

    def __init__(self, place: Place, one: Delegation) -> None:
        """Raises ``InvalidRequest`` where there is nothing that could be taken back."""
        if not one.is_terminal:
            raise StillWrites(one.id, one.status)
        if not os.path.isdir(one.directory):
            raise TreeGone(one.id, one.directory)
        self._place, self._one = place, one
        self.folder = place.folder / FOLDER
        self.journal = FileJournal(self.folder)
        self.top = top_of(Path(one.directory))
        if one.changes.files and not self.journal.segments(one.id):
            if one.tree:
                self._check_applied()
            raise ChangesGone(one.id)

    def plan(self, by: str, asked: Asked) -> Plan:
        """Return what an undo or a redo (``by``) would do."""
        with self._alone():
            self._settle()
            plan = plan_undo if by == UNDO else plan_redo
            return plan(self.journal.segments(self._one.id), asked, self._tree())

    def do(self, by: str, plan: Plan) -> Done:
        """Do what was planned, as far as files are still as they were then.

        Raises:
            StoreUnavailable: what is overwritten cannot be kept; nothing was then changed.
        """
        if not plan.steps:
            return Done((), plan.left)
        with self._alone():
            self._settle()
            tree = self._tree()
            ready, moved = self._kept(plan.steps, tree)
            intent = self._intent(by, ready, tree)
            noted = intents.note(self.folder, intent)
            done: list[Step] = []
            left = [*plan.left, *moved]
            for step, segment in zip(ready, intent.segments, strict=True):
                failure = tree.put(step, intent.temporary)
                if failure is not None:
                    left.append(failure)
                    continue
                # By this time a look tells it from what a command does.
                self.journal.add(self._one.id, [replace(segment, at=datetime.now(UTC))])
                done.append(step)
            tree.tidy(_deleted(intent.segments))
            noted.unlink()
        return Done(tuple(done), tuple(left))

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
        from background_agents.adapters.changes.isolation import IsolatedFolder
        from background_agents.adapters.sqlite.amending import note_tree

        trees, name = IsolatedFolder(self._place.folder), self._one.tree
        trees.note_taken_back(name, is_so=any(chained(one.undone) for one in fold(segments)))
        database = self._place.folder / config.DATABASE
        note_tree(database, name, str(trees.state(name)), datetime.now(UTC))

    def _check_applied(self) -> None:
        """Raise ``InvalidRequest`` where nothing was applied in the name of this delegation."""
        from background_agents.adapters.changes.isolation import IsolatedFolder

        about, name = IsolatedFolder(self._place.folder).find(self._one.tree), self._one.id
        by = about.applied_by if about else ()
        others = [one for one in dict.fromkeys(by) if self.journal.segments(one)]
        if others and name not in by:
            told = f"What {name} has changed was applied with {others[-1]}; undo that."
            raise InvalidRequest(told)
        if name not in by and self._one.changes.apart != State.APPLIED:
            why = f"Nothing of {name} was applied, so that there is nothing to take back."
            raise InvalidRequest(why)

    def _tree(self, top: Path | None = None) -> Tree:
        return Tree(top or self.top, self.journal.content, [Path(self._one.directory)])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with intents.alone(self.folder):
                yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StoreUnavailable(
                f"What is undone cannot be kept in {self.folder} ({reason}); check the disk and "
                "the permissions of its folder."
            ) from error

    def _kept(self, steps: Sequence[Step], tree: Tree) -> tuple[list[Step], list[Left]]:
        """Keep what is about to be overwritten; return the steps that can still be done."""
        ready: list[Step] = []
        left: list[Left] = []
        for step in steps:
            now, content = tree.look(step.path)
            if now != step.now:
                left.append(Left(step.path, Reason.MOVED))
                continue
            if now.digest:
                self.journal.keep(content)
            if step.merged is not None:
                self.journal.keep(step.merged)
            ready.append(step)
        return ready, left

    def _intent(self, by: str, steps: Sequence[Step], tree: Tree) -> Intent:
        at = datetime.now(UTC)
        segments = tuple(
            Segment(
                at=at, path=step.path, before=step.now, after=step.then,
                certainty=step.certainty, by=by,
                folders=tree.missing_above(step.path) if step.then.is_there else step.folders,
            )
            for step in steps
        )  # fmt: skip
        temporary = f".{self._one.id}.{os.urandom(4).hex()}.tmp"
        return Intent(
            delegation=self._one.id, top=str(self.top), temporary=temporary, segments=segments
        )

    def _settle(self) -> None:
        """Make up for an undo that was killed: what it has done is known from now on."""
        for path, intent in intents.noted(self.folder):
            if not os.path.isdir(intent.top):
                continue  # moved, so that nobody can tell; it may come back
            tree = self._tree(Path(intent.top))
            known = self.journal.segments(intent.delegation)
            for segment in intent.segments:
                tree.clear(segment.path, intent.temporary)
                if not _is_among(segment, known) and self._was_done(segment, tree):
                    self.journal.add(intent.delegation, [segment])
            tree.tidy(_deleted(intent.segments))
            path.unlink()

    def _was_done(self, segment: Segment, tree: Tree) -> bool:
        try:
            return is_done(segment, tree)
        except ContentGone:
            return False


def _is_among(noted: Segment, known: Iterable[Segment]) -> bool:
    """Return whether what was to be done is known as done, which was then or later."""
    return any(one.at >= noted.at and replace(one, at=noted.at) == noted for one in known)


def _deleted(segments: Iterable[Segment]) -> dict[str, int | None]:
    """Return the files that some changes delete, and how many folders go with each."""
    return {one.path: one.folders for one in segments if not one.after.is_there}
