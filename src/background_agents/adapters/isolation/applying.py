"""From an isolated tree back to main: merged by git in our own store, written by our own writer.

What main is now and what the try has come to are two commits above the same base, so that git
merges them like branches, renames included. Neither main's index nor its branches take part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from background_agents.adapters.changes.images import SUBMODULE
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.changes.own_repository import (
    REPOSITORY,
    Difference,
    OwnRepository,
    shown,
)
from background_agents.adapters.changes.source import source_of
from background_agents.adapters.changes.writer import Tree
from background_agents.adapters.changes.writing import Writing
from background_agents.adapters.isolation.folder import (
    IsolatedFolder,
    images_of,
    missing,
)
from background_agents.adapters.projects.git import run
from background_agents.domain.changes import APPLY, Certainty, Image, Kind, Segment
from background_agents.domain.errors import InvalidRequest, NotApplied, quote
from background_agents.domain.isolation import Isolated, Plan
from background_agents.domain.undoing import Left, Reason, Step

MERGES_TREES = (2, 38)
"""The first version of Git that merges two trees without a working tree."""


class IsolatedWorktrees(IsolatedFolder):
    """The isolated trees of a project, as ``IsolatedTrees`` says."""

    def __init__(self, project: Path) -> None:
        super().__init__(project)
        self._journal = FileJournal(project / FOLDER)

    def plan(self, name: str, paths: Sequence[str] = ()) -> Plan:
        _make_sure_it_merges()
        about, store = self.get(name), self.store(name)
        wanted = [one.strip().strip("/").removeprefix("./") for one in paths]
        main = Path(about.main)
        with ThreadPoolExecutor(1) as beside:
            finding = beside.submit(self.result, about)
            with self.own_index(name) as index:
                now, _ = store.snapshot(main, source_of(main).index, index)
            result, left_out = finding.result()
        left = [
            Left(one, Reason.NOT_KEPT, why)
            for one, why in missing(about, left_out)
            if not wanted or any(_is_in(one, path) for path in wanted)
        ]
        has_some = about.applied and not about.is_taken_back
        before, covers = about.applied[-1] if has_some else about.base, result
        if wanted:
            covers = self._only(about, result, wanted, before)
            result = self._only(about, result, wanted, about.base)
        merged, conflicts = _merged(store, about.base, now, result)
        if conflicts and has_some:
            # Main may have gone on with what it has of the try: only what is new is to fit.
            merged, conflicts = _merged(store, store.commit(before), now, covers)
        left += [Left(shown(one), Reason.CONFLICT) for one in conflicts]
        if left:
            return Plan(name, result, left=tuple(left))
        return self._writing(about, result, now, merged)._replace(covers=covers)

    def _writing(self, about: Isolated, result: str, now: str, merged: str) -> Plan:
        """Return what leads from main as it is now to what was merged."""
        store, seen = self.store(about.name), Tree(Path(about.main), self._journal.content)
        entries = store.differences(now, merged)
        sides = [(one.before_mode, one.before) for one in entries]
        befores = images_of(store, sides, self._journal)
        sides = [(one.after_mode, one.after) for one in entries]
        afters = images_of(store, sides, self._journal)
        found = [
            _step(one, seen.look(one.path)[0], before, after)
            for one, before, after in zip(entries, befores, afters, strict=True)
        ]
        steps = [one for one in found if isinstance(one, Step)]
        left = tuple(one for one in found if isinstance(one, Left))
        # What goes makes room: a folder may come where a file was, or the other way round.
        steps.sort(key=lambda one: one.then.is_there)
        return Plan(about.name, result, tuple(steps), left)

    def apply(self, plan: Plan, delegation: str) -> Sequence[Segment]:
        about = self.get(plan.name)
        if plan.left:
            raise NotApplied(delegation, [one.path for one in plan.left])
        writing = Writing(self._journal, delegation, Path(about.main), [Path(about.origin)])
        done = writing.do(APPLY, plan.steps, whole=True)
        if done.left:
            paths = [one.path for one in done.left]
            raise NotApplied(delegation, paths, partly=bool(done.steps))
        self.note_applied(about, plan.covers, delegation)
        return done.segments

    def _only(self, about: Isolated, result: str, wanted: Sequence[str], onto: str) -> str:
        """Return a tree with some of a result's changes."""
        store = self.store(about.name)
        entries = store.differences(f"{about.base}^{{tree}}", result)
        for one in wanted:
            if not any(_is_in(entry.path, one) for entry in entries):
                raise InvalidRequest(f"{about.name} has changed no {quote(one)}.")
        chosen = [entry for entry in entries if any(_is_in(entry.path, one) for one in wanted)]
        with self.own_index(about.name) as index:
            store.git("read-tree", onto, index=index)
            given = b"".join(
                b"%o %s\t%s\0" % (one.after_mode, one.after.encode(), os.fsencode(one.path))
                for one in sorted(chosen, key=lambda one: bool(one.after_mode))
            )
            store.git(
                "update-index", "-z", "--add", "--replace", "--index-info", index=index, given=given
            )
            return store.git("write-tree", index=index).decode().strip()


def _merged(store: OwnRepository, base: str, ours: str, theirs: str) -> tuple[str, list[str]]:
    """Return the tree that two become, and the paths at which they do not fit."""
    commits = (store.commit(ours, base), store.commit(theirs, base))
    asked = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages")
    told = store.git(*asked, *commits, fine=(0, 1)).rstrip(b"\0").split(b"\0")
    return told[0].decode(), [os.fsdecode(one) for one in told[1:]]


def _step(entry: Difference, now: Image, before: Image, after: Image) -> Step | Left:
    """Return how one file is written, or why it is not."""
    path = entry.path
    if REPOSITORY in (entry.before_mode, entry.after_mode):
        return Left(shown(path), Reason.NOT_KEPT, SUBMODULE)
    if Kind.OPAQUE in (now.kind, after.kind):
        return Left(shown(path), Reason.UNREADABLE, now.why or after.why)
    if (now.kind, now.digest) != (before.kind, before.digest):
        # A file that main ignores stands where one of the try is to come; or it changes just now.
        return Left(shown(path), Reason.RECREATED if not before.is_there else Reason.MOVED)
    then = after
    if now.kind is after.kind is Kind.FILE:
        then = Image(Kind.FILE, after.digest, _mode(now.mode, after.mode), after.size)
    return Step(path=path, now=now, then=then, certainty=Certainty.SURE, folders=0)


def _mode(now: int, wanted: int) -> int:
    """Return a file's mode with what git knows of modes: whether it can be run."""
    if not wanted & 0o100:
        return now & ~0o111
    return now | (now & 0o444) >> 2


def _is_in(path: str, folder: str) -> bool:
    return folder in (path, ".") or path.startswith(f"{folder}/")


def _make_sure_it_merges() -> None:
    told = run(("version",), Path("/")).decode()
    numbers = re.findall(r"\d+", told)
    if tuple(map(int, numbers[:2])) < MERGES_TREES:
        raise InvalidRequest(
            f"Applying needs Git {'.'.join(map(str, MERGES_TREES))} or newer, and here is "
            f"{'.'.join(numbers[:3])}."
        )
