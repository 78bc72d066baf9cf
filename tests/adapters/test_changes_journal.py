"""Journals are whole lines, private, and survive whoever was killed while it wrote one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from background_agents.adapters.changes.journal import FileJournal
from background_agents.domain.errors import ContentGone, StoreUnavailable
from background_agents.ports.changes import ChangeJournal
from background_agents.testing.contracts import ChangeJournalContract
from background_agents.testing.contracts.changes import OTTER, change


class TestFileJournal(ChangeJournalContract):
    def opened(self, folder: Path) -> ChangeJournal:
        return FileJournal(folder / "project" / "changes")


@pytest.fixture
def journal(tmp_path: Path) -> FileJournal:
    return FileJournal(tmp_path / "project" / "changes")


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_line_was_never_there(journal: FileJournal, cut: int) -> None:
    journal.add(OTTER, [change("a")])
    journal.add(OTTER, [change("b")])
    os.truncate(journal.path(OTTER), journal.path(OTTER).stat().st_size - cut)
    assert journal.segments(OTTER) == [change("a")]
    journal.add(OTTER, [change("c")])
    assert journal.segments(OTTER) == [change("a"), change("c")]


def test_a_journal_that_is_one_torn_line_begins_anew(journal: FileJournal) -> None:
    journal.add(OTTER, [change("a" * 9000)])
    os.truncate(journal.path(OTTER), 8500)
    assert journal.segments(OTTER) == []
    journal.add(OTTER, [change("b")])
    assert journal.segments(OTTER) == [change("b")]


def test_a_line_that_is_damaged_takes_no_other_with_it(journal: FileJournal) -> None:
    journal.add(OTTER, [change("a")])
    with journal.path(OTTER).open("ab") as file:
        file.write(b"\0\0{]\n")
    journal.add(OTTER, [change("b")])
    assert journal.segments(OTTER) == [change("a"), change("b")]


def test_a_full_disk_leaves_nothing_half(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.add(OTTER, [change("a")])
    whole = journal.path(OTTER).read_bytes()

    def half(descriptor: int, text: bytes, at: int) -> int:
        if at > len(whole):
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, text[:20], at)

    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(StoreUnavailable, match="No space left"):
        journal.add(OTTER, [change("b")])
    assert journal.path(OTTER).read_bytes() == whole


def test_what_is_kept_is_its_owners_alone(journal: FileJournal) -> None:
    digest = journal.keep(b"secret")
    journal.add(OTTER, [change("a")])
    path = journal.content_path(digest)
    modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, journal.path(OTTER))]
    assert modes == [0o600, 0o700, 0o600]
    assert [one.name for one in journal.contents.iterdir()] == [digest[:2]]


def test_a_content_that_somebody_changed_is_no_content(journal: FileJournal) -> None:
    digest = journal.keep(b"mine")
    journal.content_path(digest).write_bytes(b"else")
    with pytest.raises(ContentGone):
        journal.content(digest)


def test_links_are_not_followed(journal: FileJournal, tmp_path: Path) -> None:
    digest = journal.keep(b"mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    journal.content_path(digest).unlink()
    journal.content_path(digest).symlink_to(elsewhere)
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        journal.content(digest)
    journal.path(OTTER).symlink_to(elsewhere)
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        journal.add(OTTER, [change("a")])
    assert elsewhere.read_bytes() == b"mine"
