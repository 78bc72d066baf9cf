"""Isolated trees on disk: for each a folder with a store, a clone that shares it, and a record.

::

    <project>/isolated/<delegation>/
        about.json      what was made; written last, so that a half-made one is none
        store.git       objects of ours; those of main are read by alternates
        base.index      the clone's index as it was made
        tree/           where the agent works: a clone without a remote, on no branch
        changes/        what was found to be other at the end, with its contents

The repository that it is a copy of is only read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from background_agents.adapters.changes.images import NO_UTF8, SUBMODULE, TOO_LARGE, opaque
from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.own_repository import (
    LINK,
    REPOSITORY,
    OwnRepository,
    shown,
)
from background_agents.adapters.changes.source import (
    Source,
    asked,
    ignored_everywhere,
    source_of,
)
from background_agents.adapters.files.private import private_folder, read_file, replace_file
from background_agents.adapters.isolation.clone import check_out
from background_agents.adapters.isolation.supplies import supply
from background_agents.domain.changes import ABSENT, Image, Kind, Segment
from background_agents.domain.errors import GitFailed, NotIsolated
from background_agents.domain.isolation import ISOLATED, TREE, WORKTREE, Isolated, State

ABOUT, STORE, BASE_INDEX, CHANGES = "about.json", "store.git", "base.index", "changes"

MAX_ABOUT_BYTES = 16 * 2**20
"""The names of copied files stand in it."""

MAX_KEPT_BYTES = 256 * 2**20
"""Of a file that was changed: it is held in memory while it is kept."""

FILES_TOLD = 5
"""Of those that main has changed too, in a sentence."""


class IsolatedFolder:
    """The isolated trees of a project, whose folder is ``project``."""

    def __init__(self, project: Path) -> None:
        self.folder = project / ISOLATED

    def prepare(self, name: str, directory: str) -> Isolated:
        found = self.find(name)
        if found is not None:
            return found
        folder = self.folder / name
        _remove(folder)  # one that was never finished
        try:
            private_folder(self.folder)
            private_folder(folder)
            return self._made(name, directory)
        except OSError as error:
            raise NotIsolated(f"{folder} cannot be written ({error.strerror})") from error

    def _made(self, name: str, directory: str) -> Isolated:
        folder, source = self.folder / name, source_of(Path(directory))
        inside = Path(os.path.realpath(directory)).relative_to(os.path.realpath(source.top))
        store = OwnRepository(folder / STORE)
        store.make(source)
        if ignored := ignored_everywhere(source.top):
            store.git("config", "core.excludesFile", ignored)
        head = asked(source.top, "rev-parse", "--verify", "-q", "HEAD^{commit}")
        index = folder / "main.index"
        tree, left_out = store.snapshot(source.top, source.index, index)
        left_out += [f"{one}/" for one in store.submodules(index)]
        base = store.commit(tree, *([head] if head else []))
        store.git("update-ref", "refs/heads/base", base)
        check_out(store, source, folder / TREE, base)
        shutil.copy2(folder / TREE / ".git" / "index", folder / BASE_INDEX)
        copied = supply(store, index, source.top, folder / TREE, inside)
        index.unlink(missing_ok=True)
        (folder / TREE / inside).mkdir(parents=True, exist_ok=True)
        made = Isolated(
            name=name,
            origin=directory,
            main=str(source.top),
            directory=os.path.realpath(folder / TREE / inside),
            base=base,
            head=head,
            branch=asked(source.top, "symbolic-ref", "-q", "--short", "HEAD"),
            copied=tuple(map(shown, copied)),
            left_out=tuple(sorted(map(shown, left_out))),
            made_at=datetime.now(UTC),
        )
        self._note(made)
        return made

    def find(self, name: str) -> Isolated | None:
        try:
            told = read_file(self.folder / name / ABOUT, MAX_ABOUT_BYTES)
            return msgspec.json.decode(told, type=Isolated)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise NotIsolated(f"{self.folder / name / ABOUT} cannot be read") from error

    def state(self, name: str) -> State:
        found = self.find(name)
        if found is None:
            return State.DISCARDED
        if not (self.folder / name / TREE).is_dir():
            return State.GONE
        stands = found.applied and not found.is_taken_back
        return State.APPLIED if stands and self._is_applied(found) else State.OPEN

    def is_needed(self, name: str) -> bool:
        """Return whether a tree has something that was not applied, or nobody can tell."""
        try:
            found = self.find(name)
            if found is None or self.state(name) is not State.OPEN:
                return False
            result, left_out = self.result(found)
            is_other = bool(self.store(name).differences(f"{found.base}^{{tree}}", result))
            return is_other or bool(missing(found, left_out))
        except (GitFailed, NotIsolated):
            return True

    def _is_applied(self, about: Isolated) -> bool:
        """Whether nothing was changed after all of it was applied."""
        try:
            result, left_out = self.result(about)
            return result == about.applied[-1] and not missing(about, left_out)
        except GitFailed:
            return False  # what cannot be told is not given up

    def changes(self, name: str, delegation: str = "") -> Sequence[Segment]:
        found = self.get(name)
        journal = self.kept(name)
        store, (result, left_out) = self.store(name), self.result(found)
        now = datetime.now(UTC)
        entries = store.differences(f"{found.base}^{{tree}}", result)
        sides = [(one.before_mode, one.before) for one in entries]
        sides += [(one.after_mode, one.after) for one in entries]
        images = images_of(store, sides, journal)
        segments = [
            Segment(at=now, path=shown(one.path), before=before, after=after, by=WORKTREE)
            if shown(one.path) == one.path
            else Segment(at=now, path=shown(one.path), before=ABSENT, after=opaque(NO_UTF8))
            for one, before, after in zip(
                entries, images[: len(entries)], images[len(entries) :], strict=True
            )
        ]
        segments += [
            Segment(at=now, path=path, before=ABSENT, after=opaque(why), by=WORKTREE)
            for path, why in missing(found, left_out)
        ]
        if delegation:
            # Once more after a crash: what counts is what is there now.
            journal.path(delegation).unlink(missing_ok=True)
            journal.add(delegation, segments)
        return segments

    def kept(self, name: str) -> FileJournal:
        """Return what was kept of a tree's changes; its contents go when the tree does."""
        return FileJournal(self.folder / name / CHANGES)

    def seen(self, name: str, delegation: str) -> tuple[Sequence[Segment], FileJournal]:
        kept = self.kept(name)
        if (self.folder / name / TREE).is_dir():
            return self.changes(name), kept
        return kept.segments(delegation), kept

    def moved(self, name: str) -> str:
        found = self.get(name)
        source = source_of(Path(found.main))
        return " ".join(filter(None, (_switched(found, source), self._both(found, source))))

    def _both(self, about: Isolated, source: Source) -> str:
        """Say which files were changed in main, by whomever, that the try has changed too."""
        store, base = self.store(about.name), f"{about.base}^{{tree}}"
        with self.own_index(about.name) as index:
            now, _ = store.snapshot(source.top, source.index, index)
        theirs = {one.path for one in store.differences(base, now)}
        if not theirs:
            return ""
        mine = {one.path for one in store.differences(base, self.result(about)[0])}
        if not (both := sorted(map(shown, mine & theirs))):
            return ""
        more = f" and {len(both) - FILES_TOLD:,} more" if len(both) > FILES_TOLD else ""
        told = ", ".join(both[:FILES_TOLD]) + more
        return f"By it or by others the main folder was changed in the same files: {told}."

    def discard(self, name: str) -> None:
        folder, gone = self.folder / name, self.folder / f".{name}.discarded"
        _remove(gone)  # what an earlier attempt has left
        with suppress(FileNotFoundError):
            folder.rename(gone)  # out of sight first: a tree that is half there is none
        _remove(gone)

    # --- for who applies ---------------------------------------------------

    def get(self, name: str) -> Isolated:
        """Return a tree that is there. Raises ``NotIsolated``."""
        found = self.find(name)
        if found is None:
            raise NotIsolated("its tree was discarded")
        if not (self.folder / name / TREE).is_dir():
            raise NotIsolated(f"its tree {self.folder / name / TREE} is gone")
        return found

    def store(self, name: str) -> OwnRepository:
        """Return the repository that knows a tree's objects."""
        return OwnRepository(self.folder / name / STORE)

    def result(self, about: Isolated) -> tuple[str, list[str]]:
        """Return a tree's files as they are now, as git names them, and what that leaves out."""
        folder = self.folder / about.name
        with self.own_index(about.name) as index:
            seed = folder / BASE_INDEX
            return self.store(about.name).snapshot(folder / TREE, seed, index, is_raw=True)

    @contextmanager
    def own_index(self, name: str) -> Iterator[Path]:
        """Yield the path of an index that nobody else uses, and is deleted afterwards."""
        index = self.folder / name / f".{os.urandom(8).hex()}.index"
        try:
            yield index
        finally:
            index.unlink(missing_ok=True)

    def _note(self, about: Isolated) -> None:
        text = msgspec.json.format(msgspec.json.encode(about), indent=1)
        replace_file(self.folder / about.name / ABOUT, text)

    def note_applied(self, about: Isolated, tree: str, delegation: str) -> None:
        """Remember that a tree was applied to main."""
        applied, by = (*about.applied, tree), (*about.applied_by, delegation)
        new = msgspec.structs.replace(about, applied=applied, applied_by=by, is_taken_back=False)
        self._note(new)

    def note_taken_back(self, name: str, *, is_so: bool) -> None:
        """Remember whether something of what was applied is undone."""
        about = self.find(name)
        if about is not None and about.is_taken_back != is_so:
            self._note(msgspec.structs.replace(about, is_taken_back=is_so))


def origin_of(directory: Path, data_root: Path) -> str:
    """Return the directory that an isolated tree was made for; empty for any other directory."""
    root, here = os.path.realpath(data_root), os.path.realpath(directory)
    if not here.startswith(f"{root}{os.sep}"):
        return ""
    project, *inside = Path(here).relative_to(root).parts
    if len(inside) < 3 or (inside[0], inside[2]) != (ISOLATED, TREE):
        return ""
    found = IsolatedFolder(Path(root) / project).find(inside[1])
    return found.origin if found else ""


def _switched(about: Isolated, source: Source) -> str:
    """Say what main has checked out by now that it had not."""
    branch = asked(source.top, "symbolic-ref", "-q", "--short", "HEAD")
    if branch != about.branch:
        was, now = about.branch or "no branch", branch or "no branch"
        return f"The main folder was on {was}, and is on {now} now."
    head = asked(source.top, "rev-parse", "--verify", "-q", "HEAD^{commit}")
    if head != about.head:
        return f"The main folder has other commits on {branch or 'no branch'} than before."
    return ""


def missing(about: Isolated, left_out: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a result leaves out that the try has made, each with the reason."""
    made = [one for one in map(shown, left_out) if one not in about.left_out]
    return [(one.rstrip("/"), SUBMODULE if one.endswith("/") else TOO_LARGE) for one in made]


def images_of(
    store: OwnRepository, sides: Sequence[tuple[int, str]], journal: FileJournal
) -> list[Image]:
    """Return images of blobs, each given with git's mode of it, and keep what they hold."""
    wanted = [blob for mode, blob in sides if mode not in (0, REPOSITORY)]
    contents = store.contents(wanted)
    return [_image(mode, contents, journal) for mode, _ in sides]


def _image(mode: int, contents: Iterator[bytes | None], journal: FileJournal) -> Image:
    if mode == 0:
        return ABSENT
    if mode == REPOSITORY:
        return opaque(SUBMODULE)
    content = next(contents)
    if content is None:
        raise GitFailed("cat-file", "what a file held is missing")
    if len(content) > MAX_KEPT_BYTES:
        return opaque(TOO_LARGE, len(content))
    kind = Kind.LINK if mode == LINK else Kind.FILE
    bits = mode & 0o777 if kind is Kind.FILE else 0
    return Image(kind, journal.keep(content), bits, len(content))


def _remove(folder: Path) -> None:
    """Delete a folder with all that is in it, also what was made unwritable."""
    if not folder.is_dir():
        return
    for here, below, _ in os.walk(folder):
        for one in below:
            path = Path(here) / one
            if not path.is_symlink() and not path.stat().st_mode & 0o200:
                path.chmod(0o700)
    shutil.rmtree(folder)
