"""What stands at a path: files, links, nothing, and what is not looked into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from background_agents.adapters.changes.images import image_of, name_in, top_of
from background_agents.domain.changes import ABSENT, Image, Kind
from background_agents.testing.memory import MemoryJournal

LIMIT = 1000


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


def test_a_file_is_its_bytes_and_its_mode(tmp_path: Path, journal: MemoryJournal) -> None:
    content = b"\xff\0a\r\nb"
    (tmp_path / "ä \n").write_bytes(content)
    (tmp_path / "ä \n").chmod(0o750)
    seen = image_of(tmp_path / "ä \n", journal.keep, LIMIT)
    assert (seen.kind, seen.mode, seen.size) == (Kind.FILE, 0o750, 6)
    assert journal.content(seen.digest) == content


def test_a_link_is_where_it_leads(tmp_path: Path, journal: MemoryJournal) -> None:
    (tmp_path / "link").symlink_to("no/where")
    seen = image_of(tmp_path / "link", journal.keep, LIMIT)
    assert seen.kind is Kind.LINK
    assert journal.content(seen.digest) == b"no/where"


@pytest.mark.parametrize("path", ["none", "none/none", "file/below"])
def test_nothing_is_there(tmp_path: Path, journal: MemoryJournal, path: str) -> None:
    (tmp_path / "file").touch()
    assert image_of(tmp_path / path, journal.keep, LIMIT) == ABSENT


def test_what_is_not_looked_into_says_why(tmp_path: Path, journal: MemoryJournal) -> None:
    (tmp_path / "large").write_bytes(b"x" * (LIMIT + 1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "nested" / ".git").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    name = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(name)).touch()
    found = {one: image_of(one, journal.keep, LIMIT) for one in tmp_path.iterdir()}
    assert {os.fsencode(one.name): image.why for one, image in found.items()} == {
        b"large": "it is too large",
        b"folder": "it is a folder",
        b"nested": "it is a repository of its own",
        b"pipe": "it is no file",
        b"\xff": "its name is not UTF-8",
    }
    assert {image.kind for image in found.values()} == {Kind.OPAQUE}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for the superuser")
def test_a_file_that_cannot_be_read_is_there(tmp_path: Path, journal: MemoryJournal) -> None:
    (tmp_path / "secret").touch(0)
    (tmp_path / "secret").chmod(0)
    assert image_of(tmp_path / "secret", journal.keep, LIMIT) == Image(
        Kind.OPAQUE, why="it cannot be read"
    )


def test_names_are_from_the_top_of_the_working_tree(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "by").symlink_to("sub")
    top = top_of(tmp_path / "by" / "deep")
    assert top == tmp_path
    assert name_in(top, tmp_path / "by" / "deep" / "a") == "sub/deep/a"
    assert name_in(top, tmp_path / "by") == "by"
    assert name_in(top, tmp_path / "sub" / ".." / "b") == "b"
    assert name_in(top, tmp_path.parent / "c") == str(tmp_path.parent / "c")
    assert name_in(top, Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))) == "\\xff"


def test_without_git_the_directory_itself_is_the_top(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert top_of(tmp_path / "a") == tmp_path / "a"
