"""What an undo, a redo or an apply does to files: noted before it is done, and known afterwards.

One at a time in a project. Of a process that is killed in the middle the next one learns what it
had done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from background_agents.adapters.changes import intents
from background_agents.adapters.changes.intents import Intent
from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.writer import Tree
from background_agents.adapters.files.private import storage
from background_agents.domain.changes import Segment
from background_agents.domain.errors import ContentGone
from background_agents.domain.undoing import Left, Reason, Step, is_done


class Done(NamedTuple):
    """What has come of a plan."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    """What was left alone, and what could not be done after all."""
    segments: tuple[Segment, ...]
    """What the steps are in the journal."""


class Writing:
    """Writes to the tree at ``top`` for a delegation, into whose journal it goes."""

    def __init__(
        self, journal: FileJournal, delegation: str, top: Path, stays: Sequence[Path] = ()
    ) -> None:
        """``stays`` are folders that stay, even when empty."""
        self._journal, self._delegation = journal, delegation
        self._top, self._stays = top, stays

    @contextmanager
    def alone(self) -> Iterator[Tree]:
        """Yield the tree as it is now, while nobody else undoes or applies in the project.

        Raises:
            StoreUnavailable: what is written cannot be noted.
        """
        folder = self._journal.folder
        with storage(f"What is undone cannot be kept in {folder}"), intents.alone(folder):
            self._settle()
            yield self._tree(self._top)

    def do(self, by: str, steps: Sequence[Step], *, whole: bool = False) -> Done:
        """Do steps as far as files are still as they were; if ``whole``, none if one is not.

        Raises:
            StoreUnavailable: what is overwritten cannot be kept; nothing was then changed.
        """
        with self.alone() as tree:
            ready, left = self._kept(steps, tree)
            if not ready or (left and whole):
                return Done((), tuple(left), ())
            intent = self._intent(by, ready, tree)
            noted = intents.note(self._journal.folder, intent)
            done: list[tuple[Step, Segment]] = []
            for step, planned in zip(ready, intent.segments, strict=True):
                failure = tree.put(step, intent.temporary)
                if failure is not None:
                    left.append(failure)
                    continue
                # By this time a look tells it from what a command does.
                segment = replace(planned, at=datetime.now(UTC))
                self._journal.add(self._delegation, [segment])
                done.append((step, segment))
            tree.tidy(_deleted(intent.segments))
            noted.unlink()
        return Done(tuple(one for one, _ in done), tuple(left), tuple(one for _, one in done))

    def _tree(self, top: Path) -> Tree:
        return Tree(top, self._journal.content, self._stays)

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
                self._journal.keep(content)
            if step.merged is not None:
                self._journal.keep(step.merged)
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
        temporary = f".{self._delegation}.{os.urandom(4).hex()}.tmp"
        return Intent(
            delegation=self._delegation, top=str(self._top), temporary=temporary, segments=segments
        )

    def _settle(self) -> None:
        """Make up for one that was killed: what it has done is known from now on."""
        for path, intent in intents.noted(self._journal.folder):
            if not os.path.isdir(intent.top):
                continue  # moved, so that nobody can tell; it may come back
            tree = self._tree(Path(intent.top))
            known = self._journal.segments(intent.delegation)
            for segment in intent.segments:
                tree.clear(segment.path, intent.temporary)
                if not _is_among(segment, known) and _was_done(segment, tree):
                    self._journal.add(intent.delegation, [segment])
            tree.tidy(_deleted(intent.segments))
            path.unlink()


def _is_among(noted: Segment, known: Iterable[Segment]) -> bool:
    """Return whether what was to be done is known as done, which was then or later."""
    return any(one.at >= noted.at and replace(one, at=noted.at) == noted for one in known)


def _was_done(segment: Segment, tree: Tree) -> bool:
    try:
        return is_done(segment, tree)
    except ContentGone:
        return False


def _deleted(segments: Iterable[Segment]) -> dict[str, int | None]:
    """Return the files that some changes delete, and how many folders go with each."""
    return {one.path: one.folders for one in segments if not one.after.is_there}
