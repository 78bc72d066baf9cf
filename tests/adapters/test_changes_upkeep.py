"""What is kept of changes is bounded, and what is needed stays."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.changes.intents import Intent, note
from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.upkeep import Kept, clear, forget, tidy
from background_agents.domain.changes import Image, Kind
from background_agents.domain.errors import ContentGone, StoreUnavailable
from background_agents.testing.contracts.changes import HERON, OTTER, change, window

DAY = timedelta(days=1)

EAGLE = "dear-green-eagle"


@pytest.fixture
def journal(tmp_path: Path) -> FileJournal:
    return FileJournal(tmp_path / "project" / "changes")


def write(journal: FileJournal, delegation: str, content: bytes, age: timedelta) -> str:
    """Let a delegation have written a content, so long ago."""
    digest = journal.keep(content)
    after = Image(Kind.FILE, digest, 0o644, len(content))
    journal.add(delegation, [replace(change("a"), after=after)])
    for path in (journal.path(delegation), journal.content_path(digest)):
        make_old(path, age)
    return digest


def make_old(path: Path, age: timedelta) -> None:
    moment = time.time() - age.total_seconds()
    os.utime(path, (moment, moment), follow_symlinks=False)


def has(journal: FileJournal, digest: str) -> bool:
    try:
        journal.content(digest)
    except ContentGone:
        return False
    return True


def test_what_is_too_old_goes_with_its_contents(journal: FileJournal) -> None:
    old, young = write(journal, OTTER, b"old", DAY * 3), write(journal, HERON, b"young", DAY)
    both = write(journal, EAGLE, b"old", DAY)
    (journal.folder / "x.jsonl").touch()
    tidy(journal, Kept(DAY * 2, 1000))
    assert old == both
    assert has(journal, old)
    assert has(journal, young)
    assert journal.segments(OTTER) == []
    tidy(journal, Kept(DAY / 2, 1000))
    assert not has(journal, old)
    assert not has(journal, young)
    assert journal.journals() == []


def test_what_an_undo_that_was_killed_has_kept_stays(journal: FileJournal) -> None:
    """The next undo notes what it had done; a redo of that needs the contents."""
    write(journal, OTTER, b"x", timedelta(0))
    digest = journal.keep(b"overwritten")
    make_old(journal.content_path(digest), DAY)
    undone = replace(change("a"), before=Image(Kind.FILE, digest, 0o644, 11), by="undo")
    about = Intent(delegation=OTTER, top="/src", temporary=".t", segments=(undone,))
    noted = note(journal.folder, about)
    clear(journal)
    assert has(journal, digest)
    noted.unlink()
    clear(journal)
    assert not has(journal, digest)


def test_of_too_much_the_oldest_goes_first(journal: FileJournal) -> None:
    digests = [
        write(journal, name, letter * 100, DAY * age)
        for name, letter, age in ((OTTER, b"a", 3), (HERON, b"b", 2), (EAGLE, b"c", 1))
    ]
    tidy(journal, Kept(DAY * 9, 250))
    assert [has(journal, one) for one in digests] == [False, True, True]
    tidy(journal, Kept(DAY * 9, 10))
    assert [has(journal, one) for one in digests] == [False, False, False]


def test_what_runs_is_neither_too_old_nor_too_much(journal: FileJournal) -> None:
    """An agent may rest for hours, and be undone afterwards."""
    running = write(journal, OTTER, b"a" * 100, DAY * 12)
    ended = write(journal, HERON, b"b" * 100, DAY)
    tidy(journal, Kept(DAY * 9, 150, {OTTER}))
    assert has(journal, running)
    assert not has(journal, ended)


def test_what_was_just_written_is_never_too_much(journal: FileJournal) -> None:
    digest = write(journal, OTTER, b"x" * 100, timedelta(minutes=5))
    nobodys = journal.keep(b"on its way")
    tidy(journal, Kept(DAY, 10))
    assert has(journal, digest)
    assert has(journal, nobodys)
    assert journal.segments(OTTER)


def test_what_an_open_call_has_found_is_needed(journal: FileJournal) -> None:
    digest = journal.keep(b"before")
    before = {"a": Image(Kind.FILE, digest, 0o644, 6)}
    journal.open(OTTER, replace(window("c"), before=before))
    make_old(journal.content_path(digest), DAY)
    clear(journal)
    assert has(journal, digest)


def test_what_nobody_names_goes(journal: FileJournal) -> None:
    digest = write(journal, OTTER, b"mine", DAY)
    half = journal.contents / ".content.0123456789abcdef.tmp"
    other = journal.contents / ".content.mine"
    for path in (half, other):
        path.touch()
        make_old(path, DAY)
    forget(journal, OTTER)
    forget(journal, OTTER)
    clear(journal)
    assert not has(journal, digest)
    assert (half.exists(), other.exists()) == (False, True)


def test_a_journal_that_cannot_be_read_keeps_all_contents(journal: FileJournal) -> None:
    digest = write(journal, OTTER, b"mine", DAY)
    journal.path(OTTER).rename(journal.folder / "there")
    journal.path(OTTER).symlink_to("there")
    with pytest.raises(StoreUnavailable):
        clear(journal)
    tidy(journal, Kept(DAY * 9, 1000))
    assert has(journal, digest)


def test_pictures_that_nobody_looks_at_go(journal: FileJournal) -> None:
    old, claimed, young = (journal.folder / "trees" / f"{name}-0" for name in ("a", "b", "c"))
    for folder in (old, claimed, young):
        folder.mkdir(parents=True)
        (folder / "lock").touch()
    with (claimed / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in (old, claimed):
            make_old(folder, DAY * 2)
        tidy(journal, Kept(DAY, 10))
    assert [one.exists() for one in (old, claimed, young)] == [False, True, True]


def test_a_project_without_changes_gets_no_folder(journal: FileJournal) -> None:
    tidy(journal, Kept(DAY, 10))
    clear(journal)
    assert not journal.folder.exists()
