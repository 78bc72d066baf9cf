"""Which project a directory belongs to, for good: what is stored is found whatever git does.

A project is named once, by the commit that its repository begins with, or by its folder's path
where there is none. From then on ``projects.json`` in the data root knows the name, by the
repository's place on disk; a look there needs no git. Whoever changes it holds a lock on the data
root, and puts a new file in its place, so that readers need none. Everything here blocks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from background_agents.adapters.files.private import (
    read_file,
    refuse_link,
    replace_file,
)
from background_agents.adapters.projects import scattered
from background_agents.adapters.projects.git import (
    Repository,
    all_beginnings,
    beginnings,
    repository_of,
)
from background_agents.adapters.sqlite.folder_lock import SOLE, held
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.isolation import ISOLATED

log = logging.getLogger(__name__)

NAME = "projects.json"

MAX_BYTES = 64 * 2**20
"""A repository takes some 300 bytes."""


class Entry(msgspec.Struct, frozen=True):
    """A repository that was seen."""

    project: str
    made: str
    """``Repository.made`` at that time."""
    place: int
    """``Repository.place`` at that time."""
    shallow: bool = False
    commits: tuple[str, ...] = ()
    """With which its branches were seen to begin, at any time."""
    scattered: tuple[str, ...] = ()
    """Folders that belong to the project too, and were in use when they were to be merged."""


Entries = dict[str, Entry]
"""By the path that a repository's worktrees share."""

_decode = msgspec.json.Decoder(Entries).decode


def project_id(directory: Path, data_root: Path, *, keep: bool = True) -> str:
    """Return the project of a directory: all worktrees and clones of a repository have one.

    The first time git walks the history, and records that earlier versions kept under other
    names are gathered; later this reads one file. Nothing is written where nothing was ever
    stored, nor if ``keep`` is false.
    """
    if (isolated := project_around(directory, data_root)) is not None:
        return isolated
    repository = repository_of(directory)
    entries = _read(data_root)
    if repository is None:
        return _without_git(directory, entries)
    known = entries.get(str(repository.common))
    if known is not None and _is_settled(known, repository):
        return known.project
    if keep and data_root.is_dir():
        try:
            return _kept(repository, directory, data_root).project
        except (OSError, StoreUnavailable) as error:
            log.warning("the project of %s is not remembered: %s", directory, error)
    return _found(repository, directory, entries, data_root).project


def project_around(directory: Path, data_root: Path) -> str | None:
    """Return the project in whose own folder a directory is, as isolated trees are."""
    root, here = os.path.realpath(data_root), os.path.realpath(directory)
    if not here.startswith(f"{root}{os.sep}"):
        return None
    project, *inside = Path(here).relative_to(root).parts
    return project if inside[:1] == [ISOLATED] else None


def _without_git(directory: Path, entries: Entries) -> str:
    """Name a directory by its path; one that was a repository stays what it was."""
    here = Path(os.path.realpath(directory))
    for step in (here, *here.parents):
        was = entries.get(str(step / ".git"))
        if was is not None:
            return was.project
    return scattered.name_of(here)


def _is_settled(known: Entry, repository: Repository) -> bool:
    """Return whether there is nothing to learn of a repository that git alone could tell."""
    return (
        bool(known.commits)
        and not known.scattered
        and known.made == repository.made
        and known.place == repository.place
        and known.shallow == repository.is_shallow
    )


def _kept(repository: Repository, directory: Path, data_root: Path) -> Entry:
    """Find out and remember, one process at a time; what is scattered is merged."""
    refuse_link(data_root)
    with held(data_root, SOLE):
        entries = _read_to_change(data_root)
        entry = _found(repository, directory, entries, data_root)
        key = str(repository.common)
        was = entries.get(key)
        if was is not None and was.project != entry.project:
            entries[f"{key} ({was.made})"] = was  # it may only have made room
        # Before it is merged: a crash in between is made up for when somebody looks next.
        if was != entry:
            _write(data_root, entries | {key: entry})
        if entry.scattered:
            left = scattered.merge(data_root, entry.project, entry.scattered)
            entry = msgspec.structs.replace(entry, scattered=left)
            _write(data_root, entries | {key: entry})
        return entry


def _found(repository: Repository, directory: Path, entries: Entries, data_root: Path) -> Entry:
    """Return what is known and can be found out of a repository."""
    known = entries.get(str(repository.common))
    roots = beginnings(directory)
    if known is None or _was_replaced(known, repository, roots):
        known = _elsewhere(repository, roots, entries) or _first(
            repository, directory, roots, entries, data_root
        )
    return msgspec.structs.replace(
        known,
        made=repository.made,
        place=repository.place,
        shallow=repository.is_shallow,
        commits=tuple(dict.fromkeys((*known.commits, *roots))),
    )


def _was_replaced(known: Entry, repository: Repository, roots: Sequence[str]) -> bool:
    """Return whether another repository has taken the place of one that was seen.

    Whatever is done in a folder that stays, it is the same project: ``git init`` anew as well.
    """
    if known.place == repository.place or not known.commits or not roots:
        return False
    return set(known.commits).isdisjoint(roots)


def _elsewhere(repository: Repository, roots: Sequence[str], entries: Entries) -> Entry | None:
    """Return what is known of a repository that was moved, or of another clone of it."""
    for path, one in entries.items():
        is_it = one.made == repository.made and one.place == repository.place
        if is_it and Repository(Path(path)).made != one.made:
            return one
    # The first beginning counts most: others may come from branches that clones do not share.
    for root in roots:
        for one in entries.values():
            if root in one.commits:
                return Entry(one.project, "", 0, commits=one.commits)
    return None


def _first(
    repository: Repository,
    directory: Path,
    roots: Sequence[str],
    entries: Entries,
    data_root: Path,
) -> Entry:
    """Name a repository that nobody has seen, by what was stored before names were kept."""
    taken = {name for one in entries.values() for name in (one.project, *one.scattered)}
    stored = [one for one in scattered.folders(data_root) if one.name not in taken]
    names, hashes = {scattered.name_of(repository.top), *roots}, set[str]()
    if any(one.name not in names for one in stored):
        # By what its history began with, stashes and notes included, it may have been named.
        hashes.update(all_beginnings(directory))
    own = [
        one for one in stored
        if one.name in names or _lies_in(repository, one, is_named=one.name in hashes)
    ]  # fmt: skip
    own.sort(key=lambda one: (not scattered.is_in_use(one), one.name not in roots[:1]))
    if not own:
        return Entry(next(iter(roots), scattered.name_of(repository.top)), "", 0)
    first, *others = (one.name for one in own)
    commits = tuple(one for one in (first, *others) if one in hashes)
    return Entry(first, "", 0, commits=commits, scattered=tuple(others))


def _lies_in(repository: Repository, folder: Path, *, is_named: bool) -> bool:
    """Return whether what was stored in a folder was delegated in the repository's worktrees.

    If it bears a name of the repository, it is enough that nothing says otherwise.
    """
    seen = [repository_of(Path(one)) for one in scattered.directories(folder) if Path(one).exists()]
    return repository in seen or (is_named and not any(seen))


def _read(data_root: Path) -> Entries:
    """Return what is known, or nothing; to be looked at alone."""
    try:
        return _decode(read_file(data_root / NAME, MAX_BYTES))
    except (OSError, StoreUnavailable, UnicodeDecodeError, msgspec.DecodeError) as error:
        # Mostly there is none; else whoever opens a project beside it tells what is wrong.
        log.info("%s cannot be read: %s", data_root / NAME, error)
        return {}


def _read_to_change(data_root: Path) -> Entries:
    """Return what is known; a file that is damaged is moved aside, to be made anew.

    What it knew is found out again by commits, and by where things were delegated.

    Raises:
        OSError, StoreUnavailable: it cannot be read now, and must not be replaced.
    """
    path = data_root / NAME
    try:
        return _decode(read_file(path, MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        aside = path.with_name(f"{NAME}.damaged")
        log.warning("%s is damaged (%s), is kept as %s and made anew", path, error, aside)
        os.replace(path, aside)
        return {}


def _write(data_root: Path, entries: Entries) -> None:
    text = msgspec.json.format(msgspec.json.encode(entries), indent=1)
    replace_file(data_root / NAME, text)
