"""What is kept of changes, bounded by age and size: the oldest goes first, and nothing half.

A journal is as old as its newest line; that of a delegation that has not ended stays, however long
it rests. Contents that no journal names go, but for those that are so new that their line may still
be on its way. Blocks, and may run in several processes at once.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.changes.intents import noted
from background_agents.adapters.changes.journal import DIGEST, TEMPORARY, FileJournal
from background_agents.adapters.changes.tree import FOLDER as PICTURES
from background_agents.adapters.changes.tree import is_free
from background_agents.domain.errors import StoreUnavailable

GRACE = timedelta(hours=1)
"""What is newer is not touched: between a content and the line that names it are milliseconds, and
a command may run between an image and its successor."""

_log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """What a project keeps of changes."""

    age: timedelta
    """Of a journal that is older, nobody needs anything any more."""
    size: int
    """Of all contents together, in bytes."""
    active: Collection[str] = ()
    """Ids of the delegations that have not ended."""


def tidy(journal: FileJournal, kept: Kept) -> None:
    """Delete what is older or more than is kept, and what nobody names.

    What cannot be deleted is named in the log, and stays.
    """
    now_s = time.time()
    try:
        for path in _ended(journal, kept):
            _delete(path, now_s - kept.age.total_seconds())
        for path in _too_much(journal, kept):
            _delete(path, now_s - GRACE.total_seconds())
        clear(journal)
        _delete_pictures(journal.folder / PICTURES, now_s - kept.age.total_seconds())
    except (OSError, StoreUnavailable) as error:
        _log.warning("changes in %s are not tidied up: %s", journal.folder, error)


def forget(journal: FileJournal, delegation: str) -> None:
    """Delete the journal of a delegation; what only it has named goes with ``clear``."""
    journal.path(delegation).unlink(missing_ok=True)


def clear(journal: FileJournal) -> None:
    """Delete the contents that no journal and no begun undo names, and those that were never whole.

    Raises:
        StoreUnavailable: a journal cannot be read; nothing is deleted then.
    """
    before_s = time.time() - GRACE.total_seconds()
    # First what goes on: once it is done, it stands in a journal.
    begun = (segment for _, one in noted(journal.folder) for segment in one.segments)
    named = {image.digest for one in begun for image in (one.before, one.after)}
    for path in _journals(journal):
        named |= journal.digests(path.stem)
    for path in _contents(journal):
        if path.name not in named:
            _delete(path, before_s)
    for path in journal.contents.glob(".content.*"):
        if TEMPORARY.fullmatch(path.name):
            _delete(path, before_s)


def _journals(journal: FileJournal) -> list[Path]:
    """Return the journals that there are, oldest first."""
    found = []
    for path in journal.journals():
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def _contents(journal: FileJournal) -> Iterator[Path]:
    for folder in journal.contents.glob("[0-9a-f][0-9a-f]"):
        for path in folder.iterdir():
            if DIGEST.fullmatch(path.name):
                yield path


def _ended(journal: FileJournal, kept: Kept) -> list[Path]:
    return [one for one in _journals(journal) if one.stem not in kept.active]


def _too_much(journal: FileJournal, kept: Kept) -> list[Path]:
    """Return the journals of ended ones with which the contents that are named no longer fit."""
    sizes: dict[str, int] = {}
    for path in _contents(journal):
        with suppress(FileNotFoundError):
            sizes[path.name] = path.stat().st_size
    active = [one for one in _journals(journal) if one.stem in kept.active]
    found: list[Path] = []
    total, counted = 0, set[str]()
    # What stays counts first; then from the newest on, each with what no newer one names.
    for path in (*active, *reversed(_ended(journal, kept))):
        mine = journal.digests(path.stem) - counted
        total += sum(sizes.get(one, 0) for one in mine)
        counted |= mine
        if total > kept.size and path not in active:
            found.append(path)
    return found


def _delete(path: Path, before_s: float) -> None:
    """Delete a file that was written before a moment."""
    with suppress(FileNotFoundError):
        if path.lstat().st_mtime < before_s:
            path.unlink()


def _delete_pictures(folder: Path, before_s: float) -> None:
    """Delete pictures of trees that nobody has looked at for long."""
    for one in folder.glob("*-[0-9]"):
        with suppress(FileNotFoundError):
            if one.stat().st_mtime < before_s and is_free(one):
                shutil.rmtree(one)
