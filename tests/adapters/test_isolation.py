"""Isolated trees: copied as main is, told apart from it, and deleted without a trace in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from trees import Main

from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.domain.changes import Kind
from background_agents.domain.errors import NotIsolated
from background_agents.domain.isolation import State


def names(trees: IsolatedWorktrees, name: str = "a-b-c") -> set[str]:
    return {one.path for one in trees.changes(name)}


def test_a_copy_is_main_as_it_is(main: Main, trees: IsolatedWorktrees) -> None:
    """What is not committed is there, staged or not, untracked files too; ignored ones are not."""
    main.write(".gitignore", "*.log\n")
    main.write("gone.txt", "soon\n")
    main.commit("More")
    main.write("kept.txt", "changed\n")
    main.write("staged.txt", "staged\n")
    main.git("add", "staged.txt")
    main.write("ünïcode näme\n.txt", "new\n")
    main.write("noise.log", "noise\n")
    (main.folder / "gone.txt").unlink()
    main.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (main.folder / "link").symlink_to("kept.txt")

    made = trees.prepare("a-b-c", str(main.folder))

    tree = Path(made.directory)
    there = {one.name for one in tree.iterdir()}
    assert there == {
        ".git", ".gitignore", "kept.txt", "staged.txt", "ünïcode näme\n.txt", "run.sh", "link",
    }  # fmt: skip
    assert (tree / "kept.txt").read_text() == "changed\n"
    assert stat.S_IMODE((tree / "run.sh").stat().st_mode) & 0o100
    assert os.readlink(tree / "link") == "kept.txt"
    assert main.git("status", "--porcelain", at=tree) == ""
    assert main.git("log", "--format=%s", at=tree).splitlines() == [
        "As it was",
        "More",
        "The first",
    ]
    assert main.git("remote", at=tree) == ""
    assert stat.S_IMODE(trees.folder.stat().st_mode) == 0o700
    assert names(trees) == set()


def test_nothing_of_mains_repository_is_written(main: Main, trees: IsolatedWorktrees) -> None:
    """Byte for byte, index, reflogs and hooks included, whatever the agent does in its tree."""
    ran = main.folder / "ran"
    for hook in ("post-checkout", "pre-commit", "post-commit", "reference-transaction"):
        main.write(f".git/hooks/{hook}", f"#!/bin/sh\necho {hook} >> {ran}\n").chmod(0o755)
    main.git("config", "filter.evil.clean", f"sh -c 'echo filter >> {ran}; cat'")
    main.git("config", "filter.evil.smudge", f"sh -c 'echo filter >> {ran}; cat'")
    main.git("config", "core.fsmonitor", f"echo fsmonitor >> {ran}")
    main.write(".gitattributes", "*.txt filter=evil\n")
    main.write("kept.txt", "changed\n")
    before = main.repository()

    made = trees.prepare("a-b-c", str(main.folder))
    tree = Path(made.directory)
    (tree / "kept.txt").write_text("by the agent\n")
    main.git("stash", at=tree)
    main.git("stash", "pop", at=tree)
    main.git("checkout", "-q", "-b", "its-own", at=tree)
    main.git("config", "user.email", "agent@example.org", at=tree)
    main.git("commit", "-q", "-a", "-m", "Mine", at=tree)
    (tree / "later.txt").write_text("later\n")
    trees.changes("a-b-c", "a-b-c")
    plan = trees.plan("a-b-c")
    trees.apply(plan, "a-b-c")
    trees.discard("a-b-c")

    assert main.repository() == before
    assert not ran.exists()
    assert main.read("kept.txt") == b"by the agent\n"
    assert main.read("later.txt") == b"later\n"


def test_a_result_is_the_tree_whatever_git_was_told_in_it(
    main: Main, trees: IsolatedWorktrees
) -> None:
    """Commits, what was added to the index only, and untracked files are all its changes."""
    made = trees.prepare("a-b-c", str(main.folder))
    tree = Path(made.directory)
    (tree / "committed.txt").write_text("1\n")
    main.git("add", "-A", at=tree)
    main.git("commit", "-q", "-m", "Mine", at=tree)
    (tree / "added.txt").write_text("2\n")
    main.git("add", "added.txt", at=tree)
    (tree / "untracked.txt").write_text("3\n")
    (tree / "kept.txt").unlink()

    changes = {one.path: one for one in trees.changes("a-b-c", "a-b-c")}

    assert set(changes) == {"committed.txt", "added.txt", "untracked.txt", "kept.txt"}
    assert changes["kept.txt"].after.kind is Kind.ABSENT
    kept = trees.kept("a-b-c")
    assert kept.content(changes["kept.txt"].before.digest) == main.read("kept.txt")
    assert {one.path for one in kept.segments("a-b-c")} == set(changes)


def test_what_was_kept_outlives_the_history(main: Main, trees: IsolatedWorktrees) -> None:
    """The human rewrites and prunes; the images of what was changed are there all the same."""
    made = trees.prepare("a-b-c", str(main.folder))
    (Path(made.directory) / "kept.txt").write_text("other\n")
    (one,) = trees.changes("a-b-c", "a-b-c")
    for path in (main.folder / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()

    kept = trees.kept("a-b-c")
    assert kept.content(one.before.digest).startswith(b"one\n")
    assert kept.content(one.after.digest) == b"other\n"


def test_a_subfolder_is_the_same_subfolder_of_the_copy(
    main: Main, trees: IsolatedWorktrees
) -> None:
    main.write("sub/deep/file.txt", "x\n")

    made = trees.prepare("a-b-c", str(main.folder / "sub"))

    assert Path(made.directory).name == "sub"
    assert (Path(made.directory) / "deep" / "file.txt").read_text() == "x\n"
    assert (Path(made.directory).parent / "kept.txt").exists()


def test_one_that_was_prepared_is_returned_and_one_half_made_is_made_anew(
    main: Main, trees: IsolatedWorktrees
) -> None:
    """A process that dies in between leaves nothing that is taken for a tree."""
    made = trees.prepare("a-b-c", str(main.folder))
    (Path(made.directory) / "mine.txt").write_text("mine\n")

    assert trees.prepare("a-b-c", str(main.folder)) == made
    assert (Path(made.directory) / "mine.txt").exists()

    (trees.folder / "a-b-c" / "about.json").unlink()
    assert trees.find("a-b-c") is None
    trees.prepare("a-b-c", str(main.folder))
    assert not (Path(made.directory) / "mine.txt").exists()


def test_without_a_commit(tmp_path: Path, trees: IsolatedWorktrees) -> None:
    main = Main(tmp_path / "young", commit=False)
    main.write("first.txt", "1\n")

    made = trees.prepare("a-b-c", str(main.folder))
    (Path(made.directory) / "second.txt").write_text("2\n")

    assert (Path(made.directory) / "first.txt").read_text() == "1\n"
    assert made.head == ""
    assert names(trees) == {"second.txt"}


def test_without_git_it_is_refused(tmp_path: Path, trees: IsolatedWorktrees) -> None:
    """Nothing says there what is source and what is ignored."""
    (tmp_path / "bare").mkdir()

    with pytest.raises(NotIsolated, match="is in no working tree of Git"):
        trees.prepare("a-b-c", str(tmp_path / "bare"))
    assert trees.find("a-b-c") is None


def test_a_linked_worktree_is_copied_as_it_is(
    tmp_path: Path, main: Main, trees: IsolatedWorktrees
) -> None:
    main.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side" / "aside.txt").write_text("aside\n")

    made = trees.prepare("a-b-c", str(tmp_path / "side"))

    assert made.branch == "side"
    assert (Path(made.directory) / "aside.txt").exists()


def test_submodules_and_repositories_inside(
    tmp_path: Path, main: Main, trees: IsolatedWorktrees
) -> None:
    """Their folders are empty or missing, and that is no change."""
    other = Main(tmp_path / "other")
    allowed = ("-c", "protocol.file.allow=always")
    main.git(*allowed, "submodule", "--quiet", "add", str(other.folder), "module")
    main.commit("With a module")
    Main(main.folder / "nested", commit=False).write("inside.txt", "x\n")

    made = trees.prepare("a-b-c", str(main.folder))

    assert list((Path(made.directory) / "module").iterdir()) == []
    assert not (Path(made.directory) / "nested").exists()
    assert made.left_out == ("module/", "nested/")
    assert names(trees) == set()


def test_files_are_taken_as_they_lie_on_disk(main: Main, trees: IsolatedWorktrees) -> None:
    """CRLF that git would turn around, also where git's index says that all is well."""
    main.write(".gitattributes", "*.txt text eol=crlf\n")
    main.write("crlf.txt", b"one\r\ntwo\r\n")
    main.commit("Converted")
    os.utime(main.folder / "crlf.txt", (1, 1))
    main.git("update-index", "--refresh")  # so that the index is newer than what it knows
    assert main.git("cat-file", "-p", ":crlf.txt") == "one\ntwo"

    made = trees.prepare("a-b-c", str(main.folder))
    crlf = Path(made.directory) / "crlf.txt"
    assert crlf.read_bytes() == b"one\r\ntwo\r\n"
    assert names(trees) == set()
    crlf.write_bytes(b"one\r\nTWO\r\n")

    trees.apply(trees.plan("a-b-c"), "a-b-c")

    assert main.read("crlf.txt") == b"one\r\nTWO\r\n"


def test_huge_files_that_nobody_tracks_stay_behind_and_are_told(
    main: Main, trees: IsolatedWorktrees
) -> None:
    with main.write("data.bin", b"").open("wb") as file:
        file.truncate(65 * 2**20)

    made = trees.prepare("a-b-c", str(main.folder))

    assert made.left_out == ("data.bin",)
    assert not (Path(made.directory) / "data.bin").exists()
    assert names(trees) == set()


def test_ignored_files_come_along_where_they_are_named(
    main: Main, trees: IsolatedWorktrees
) -> None:
    """In the syntax of .gitignore; they are no change of the try, whatever becomes of them."""
    main.write(".gitignore", "*.env\ncache/\n.opencode/\n")
    main.write(".worktreeinclude", "*.env\n!secret.env\n")
    main.commit("Named")
    for name in ("a.env", "sub/b.env", "secret.env", "cache/x", ".opencode/agent/mine.md"):
        main.write(name, "x\n")
    (main.folder / "c.env").symlink_to("a.env")

    made = trees.prepare("a-b-c", str(main.folder))
    tree = Path(made.directory)

    assert set(made.copied) == {"a.env", "sub/b.env", "c.env"}
    assert (tree / "c.env").is_symlink()
    assert not (tree / "secret.env").exists()
    assert not (tree / "cache").exists()
    assert (tree / ".opencode" / "agent" / "mine.md").exists()
    (tree / "a.env").write_text("other\n")
    assert names(trees) == set()


def test_main_that_was_moved_is_told(main: Main, trees: IsolatedWorktrees) -> None:
    trees.prepare("a-b-c", str(main.folder))
    assert trees.moved("a-b-c") == ""

    main.write("kept.txt", "again\n")
    main.commit("Again")
    assert trees.moved("a-b-c") == "The main folder has other commits on trunk than before."
    main.git("checkout", "-q", "-b", "hop")
    assert trees.moved("a-b-c") == "The main folder was on trunk, and is on hop now."


def test_files_that_main_has_changed_too_are_told(main: Main, trees: IsolatedWorktrees) -> None:
    """An agent that wrote to main by absolute paths is seen; what others do elsewhere is not."""
    made = trees.prepare("a-b-c", str(main.folder))
    main.write("elsewhere.txt", "by a human\n")
    (Path(made.directory) / "kept.txt").write_text("agent\n")
    assert trees.moved("a-b-c") == ""

    main.write("kept.txt", "agent\n")
    assert trees.moved("a-b-c") == (
        "By it or by others the main folder was changed in the same files: kept.txt."
    )


def test_discarding_deletes_all_of_it(main: Main, trees: IsolatedWorktrees) -> None:
    made = trees.prepare("a-b-c", str(main.folder))
    locked = Path(made.directory) / "locked"
    locked.mkdir()
    (locked / "file").write_text("x\n")
    locked.chmod(0o500)

    trees.discard("a-b-c")

    assert trees.state("a-b-c") is State.DISCARDED
    assert list(trees.folder.iterdir()) == []
    trees.discard("a-b-c")
    with pytest.raises(NotIsolated, match="was discarded"):
        trees.changes("a-b-c")


def test_a_tree_that_is_gone_is_no_result(main: Main, trees: IsolatedWorktrees) -> None:
    """A folder that somebody has deleted is not taken for the wish to delete all files."""
    made = trees.prepare("a-b-c", str(main.folder))
    Path(made.directory).rename(main.folder.parent / "elsewhere")

    with pytest.raises(NotIsolated, match="is gone"):
        trees.plan("a-b-c")
