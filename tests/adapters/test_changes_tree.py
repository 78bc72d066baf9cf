"""Working trees between two looks, in real repositories and without any."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from trees import LIMIT, Watcher, git, prints, repository

from background_agents.adapters.changes import tree as module
from background_agents.adapters.changes.own_repository import OwnRepository
from background_agents.domain.changes import Kind
from background_agents.domain.errors import NotSeen

HUGE = ["it is too large"]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return repository(tmp_path / "src", a_txt=b"one\n", b_bin=b"\0\xff\n", c_txt=b"see\r\n")


@pytest.fixture
def watcher(top: Path, tmp_path: Path) -> Watcher:
    return Watcher(top, tmp_path)


def test_what_is_changed_added_deleted_and_renamed(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").write_bytes(b"two\n")
    (top / "b.bin").write_bytes(b"\0\xfe\n")
    (top / "c.txt").rename(top / "d.txt")
    (top / "new").mkdir()
    (top / "new" / "ä \n'\"").write_bytes(b"")
    assert watcher.changed() == {
        "a.txt": (b"one\n", b"two\n"),
        "b.bin": (b"\0\xff\n", b"\0\xfe\n"),
        "c.txt": (b"see\r\n", None),
        "d.txt": (None, b"see\r\n"),
        "new/ä \n'\"": (None, b""),
    }
    assert watcher.changed() == {}


def test_each_look_begins_where_the_last_one_ended(top: Path, watcher: Watcher) -> None:
    for before, after in ((b"one\n", b"2"), (b"2", b"3"), (b"3", b"one\n")):
        (top / "a.txt").write_bytes(after)
        assert watcher.changed() == {"a.txt": (before, after)}


def test_what_is_written_again_while_it_is_looked_at_is_seen_by_the_next_look(
    top: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same second, as long as before; and the next second begins before git is done."""
    (top / "a.txt").write_bytes(b"two\n")
    real = OwnRepository.update

    def slow(
        store: OwnRepository, top: Path, index: Path, there: Iterable[bytes], gone: Iterable[bytes]
    ) -> None:
        real(store, top, index, there, gone)
        then = (top / "a.txt").stat().st_mtime_ns
        (top / "a.txt").write_bytes(b"six\n")
        os.utime(top / "a.txt", ns=(then, then))
        os.utime(index, ns=(then, then + 10**9))

    with monkeypatch.context() as patched:
        patched.setattr(OwnRepository, "update", slow)
        assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}
    assert watcher.changed() == {"a.txt": (b"two\n", b"six\n")}


def test_what_is_only_touched_is_not_told(top: Path, watcher: Watcher) -> None:
    os.utime(top / "a.txt", ns=(1, 1))
    (top / "c.txt").write_bytes((top / "c.txt").read_bytes())
    assert watcher.changed() == {}
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_what_was_too_large_for_a_while_is_told_both_times(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").write_bytes(b"x" * (LIMIT + 1))
    assert watcher.changed() == {"a.txt": (b"one\n", HUGE)}
    (top / "a.txt").write_bytes(b"one\n")
    assert watcher.changed() == {"a.txt": (HUGE, b"one\n")}
    assert watcher.changed() == {}


def test_what_was_there_before_is_not_told(top: Path, tmp_path: Path) -> None:
    (top / "a.txt").write_bytes(b"human's\n")
    (top / "mine.txt").write_bytes(b"human's\n")
    git(top, "rm", "-q", "--cached", "c.txt")
    watcher = Watcher(top, tmp_path)
    assert watcher.changed() == {}
    (top / "a.txt").write_bytes(b"agent's\n")
    (top / "mine.txt").unlink()
    assert watcher.changed() == {
        "a.txt": (b"human's\n", b"agent's\n"),
        "mine.txt": (b"human's\n", None),
    }


def test_modes_and_links(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").chmod(0o755)
    (top / "c.txt").unlink()
    (top / "c.txt").symlink_to("a.txt")
    deltas = {one.path: one for one in watcher.tree.look(keep=True)}
    run = deltas["a.txt"]
    assert run.before.digest == run.after.digest
    assert (run.before.mode & 0o100, run.after.mode) == (0, 0o755)
    assert watcher.told(deltas["c.txt"]) == (b"see\r\n", ("->", b"a.txt"))


def test_a_file_becomes_a_folder_and_back(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").unlink()
    (top / "a.txt").mkdir()
    (top / "a.txt" / "in").write_bytes(b"in")
    assert watcher.changed() == {"a.txt": (b"one\n", None), "a.txt/in": (None, b"in")}
    shutil.rmtree(top / "a.txt")
    (top / "a.txt").write_bytes(b"one\n")
    assert watcher.changed() == {"a.txt": (None, b"one\n"), "a.txt/in": (b"in", None)}


def test_ignored_files_are_not_seen(top: Path, watcher: Watcher) -> None:
    (top / ".gitignore").write_bytes(b"*.log\n")
    (top / "x.log").write_bytes(b"x")
    git(top, "config", "core.excludesFile", str(top / ".git" / "everywhere"))
    assert list(watcher.changed()) == [".gitignore"]


def test_a_tracked_file_that_is_ignored_is_seen(top: Path, tmp_path: Path) -> None:
    (top / ".gitignore").write_bytes(b"a.txt\n")
    watcher = Watcher(top, tmp_path)
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_what_its_user_ignores_everywhere_is_ignored(top: Path, tmp_path: Path) -> None:
    git(top, "config", "core.excludesFile", str(tmp_path / "everywhere"))
    (tmp_path / "everywhere").write_bytes(b"*.swp\n")
    (top / ".git" / "info").mkdir(exist_ok=True)
    (top / ".git" / "info" / "exclude").write_bytes(b"mine\n")
    watcher = Watcher(top, tmp_path)
    for name in ("x.swp", "mine", "other"):
        (top / name).write_bytes(b"")
    assert list(watcher.changed()) == ["other"]


def test_a_huge_file_is_told_and_not_read(top: Path, watcher: Watcher) -> None:
    (top / "huge").write_bytes(b"x" * (LIMIT + 1))
    (top / "a.txt").write_bytes(b"x" * (LIMIT + 2))
    assert watcher.changed() == {"huge": (None, HUGE), "a.txt": (b"one\n", HUGE)}
    assert watcher.changed() == {}
    (top / "huge").write_bytes(b"y" * (LIMIT + 3))
    (top / "a.txt").write_bytes(b"small")
    assert watcher.changed() == {"huge": (HUGE, HUGE), "a.txt": (HUGE, b"small")}
    (top / "huge").unlink()
    assert watcher.changed() == {"huge": (HUGE, None)}


def test_a_huge_file_of_the_repository_is_told(tmp_path: Path) -> None:
    top = repository(tmp_path / "src", huge=b"x" * (LIMIT + 1))
    watcher = Watcher(top, tmp_path)
    (top / "huge").write_bytes(b"small")
    assert watcher.changed() == {"huge": (HUGE, b"small")}


def test_a_name_that_is_no_text_is_told_as_far_as_it_is(top: Path, watcher: Watcher) -> None:
    Path(os.fsdecode(os.fsencode(top) + b"/\xff.txt")).write_bytes(b"x")
    assert watcher.changed() == {"\\xff.txt": (None, ["its name is not UTF-8"])}


def test_what_is_no_file_is_not_opened(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").unlink()
    os.mkfifo(top / "a.txt")
    os.mkfifo(top / "pipe")
    assert watcher.changed() == {"a.txt": (b"one\n", ["it is no file"])}


def test_repositories_inside_are_left_alone(top: Path, tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner", x_txt=b"x")
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "module")
    git(top, "commit", "-q", "-m", "Submodule")
    repository(top / "nested", y_txt=b"y")
    (top / "young").mkdir()
    git(top / "young", "init", "-q")
    watcher = Watcher(top, tmp_path)
    for folder in ("module", "nested", "young"):
        (top / folder / "new.txt").write_bytes(b"new")
    git(top / "module", "commit", "-q", "--allow-empty", "-m", "Moved on")
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_without_git_all_files_are_seen(tmp_path: Path) -> None:
    top = tmp_path / "src"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "a").write_bytes(b"one")
    watcher = Watcher(top, tmp_path)
    (top / "sub" / "a").write_bytes(b"two")
    (top / "b").write_bytes(b"new")
    assert watcher.changed() == {"sub/a": (b"one", b"two"), "b": (None, b"new")}
    assert sorted(one.name for one in top.iterdir()) == ["b", "sub"]


def test_before_the_first_commit(tmp_path: Path) -> None:
    top = tmp_path / "src"
    top.mkdir()
    git(top, "init", "-q")
    (top / "a").write_bytes(b"one")
    watcher = Watcher(top, tmp_path)
    (top / "a").unlink()
    assert watcher.changed() == {"a": (b"one", None)}


def test_from_a_folder_below_the_whole_tree_is_seen(top: Path, tmp_path: Path) -> None:
    (top / "sub").mkdir()
    watcher = Watcher(top / "sub", tmp_path)
    assert watcher.tree.top == str(top)
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}
    assert watcher.tree.name(str(top / "sub"), "../a.txt") == "a.txt"


def test_commits_and_stashes_are_no_changes(top: Path, watcher: Watcher) -> None:
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}
    git(top, "commit", "-qam", "Two")
    assert watcher.changed() == {}
    git(top, "checkout", "-q", "HEAD~1")
    assert watcher.changed() == {"a.txt": (b"two\n", b"one\n")}


@pytest.mark.parametrize("text", [b"a\nb\n", b"a\r\nb\r\n"])
def test_line_ends_are_what_they_are(tmp_path: Path, text: bytes) -> None:
    """What git has stored with other line ends is not what stood there, and is not taken for it."""
    top = repository(tmp_path / "src", a_txt=text, b_txt=text)
    git(top, "config", "core.autocrlf", "true")
    (top / "b.txt").unlink()
    git(top, "checkout", "--", "b.txt")
    git(top, "add", "b.txt")
    watcher = Watcher(top, tmp_path)
    held = (top / "b.txt").read_bytes()
    (top / "b.txt").write_bytes(b"new\r\n")
    (top / "a.txt").write_bytes(b"new\n")
    found = watcher.changed()
    assert found["a.txt"] == (text, b"new\n")
    assert found["b.txt"] in ((held, b"new\r\n"), (["it is stored by a filter"], b"new\r\n"))


def test_a_filter_is_seen_and_not_run(tmp_path: Path) -> None:
    top = repository(tmp_path / "src", a_txt=b"one\n")
    trap = f"touch {tmp_path}/ran; cat"
    for name in ("clean", "smudge", "process"):
        git(top, "config", f"filter.trap.{name}", trap)
    git(top, "config", "core.fsmonitor", trap)
    (top / ".gitattributes").write_bytes(b"* filter=trap\n")
    watcher = Watcher(top, tmp_path)
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}
    assert not (tmp_path / "ran").exists()


def test_the_human_s_repository_is_as_before(top: Path, tmp_path: Path) -> None:
    """Byte by byte, its index, its staged part and all time stamps included."""
    (top / "a.txt").write_bytes(b"staged\n")
    git(top, "add", "a.txt")
    (top / "a.txt").write_bytes(b"staged and more\n")
    before = prints(top / ".git")
    watcher = Watcher(top, tmp_path)
    for text in (b"x", b"y"):
        (top / "a.txt").write_bytes(text)
        (top / "n.txt").write_bytes(text)
        assert set(watcher.changed()) == {"a.txt", "n.txt"}
    assert prints(top / ".git") == before
    assert git(top, "diff", "--cached").count("+staged\n") == 1


def test_a_worktree_is_a_tree_of_its_own(top: Path, tmp_path: Path) -> None:
    git(top, "worktree", "add", "-q", str(tmp_path / "second"))
    watcher = Watcher(tmp_path / "second", tmp_path)
    (top / "a.txt").write_bytes(b"elsewhere\n")
    (tmp_path / "second" / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_our_own_files_are_no_changes(top: Path) -> None:
    watcher = Watcher(top, top / "state")
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_what_happened_between_two_processes_is_told_if_it_is_asked_for(
    top: Path, tmp_path: Path
) -> None:
    first = Watcher(top, tmp_path)
    os.close(first.tree._lock)
    (top / "a.txt").write_bytes(b"two\n")
    second = Watcher.__new__(Watcher)
    second.journal = first.journal
    second.tree = module.FileTree(top, first.journal.folder, first.journal.keep, LIMIT)
    assert second.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_two_processes_have_a_picture_each(top: Path, tmp_path: Path) -> None:
    first, second = Watcher(top, tmp_path), Watcher(top, tmp_path)
    assert not first.tree.is_alone
    (top / "a.txt").write_bytes(b"two\n")
    assert first.changed() == second.changed() == {"a.txt": (b"one\n", b"two\n")}
    os.close(second.tree._lock)
    assert first.tree.is_alone


def test_too_much_at_once_is_said(
    top: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NEW", 1)
    (top / "x").write_bytes(b"x")
    (top / "y").write_bytes(b"y")
    with pytest.raises(NotSeen, match="2 files of 0 MiB are new or changed at once"):
        watcher.changed()
    (top / "x").unlink()
    assert watcher.changed() == {}  # a new picture, from now on


def test_without_the_program_it_is_said(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSeen, match="git is not installed"):
        Watcher(top, tmp_path)


def test_an_index_that_git_cannot_read_is_done_without(top: Path, tmp_path: Path) -> None:
    git(top, "update-index", "--split-index")
    watcher = Watcher(top, tmp_path)
    (top / "a.txt").write_bytes(b"two\n")
    assert watcher.changed() == {"a.txt": (b"one\n", b"two\n")}


def test_what_git_has_cleared_away_has_no_content(top: Path, watcher: Watcher) -> None:
    blob = git(top, "rev-parse", "HEAD:a.txt").strip()
    (top / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    (top / "a.txt").write_bytes(b"two\n")
    (delta,) = watcher.tree.look(keep=True)
    assert (delta.before.kind, delta.before.why) == (
        Kind.OPAQUE,
        "what it held is not stored any more",
    )
