"""What was changed is taken back and done again byte by byte, or left alone with a reason."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.changes import intents
from background_agents.adapters.changes.writer import Tree as Writer
from background_agents.client.undoing import Undoing
from background_agents.domain.changes import UNDO, Certainty, Changes
from background_agents.domain.errors import ChangesGone, StillWrites, TreeGone
from background_agents.domain.status import Status
from background_agents.domain.undoing import Asked, Reason, Step
from tests.client.trees import OTTER, Tree, snapshot


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def rename(name: str) -> Callable[[Path], object]:
    return lambda path: path.rename(path.parent / name)


NOTHING: dict[str, Reason] = {}


def check_there_and_back(tree: Tree, work: Callable[[], object]) -> None:
    """Check that an undo of some work leaves no trace of it, and a redo no trace of the undo."""
    before = snapshot(tree.top)
    work()
    after, git = snapshot(tree.top), snapshot(tree.top, git=True)
    assert after != before
    assert tree.undo() == NOTHING
    assert snapshot(tree.top) == before
    assert tree.redo() == NOTHING
    assert snapshot(tree.top) == after
    assert tree.undo() == NOTHING
    assert snapshot(tree.top) == before
    assert snapshot(tree.top, git=True) == git
    assert list(intents.noted(tree.journal.folder)) == []


@pytest.mark.parametrize("kind", ["commit", "no commit", "no git"])
@pytest.mark.parametrize(
    "work",
    [
        pytest.param([("f", b"other\n")], id="edit"),
        pytest.param([("f", b"1"), ("f", b"2"), ("f", b"3")], id="many edits"),
        pytest.param([("new/deep/er", b"x")], id="new file in new folders"),
        pytest.param([("f", Path.unlink)], id="deletion"),
        pytest.param([("f", lambda path: path.chmod(0o755))], id="mode"),
        pytest.param([("f", lambda path: path.chmod(0o444))], id="read-only"),
        pytest.param([("pic", bytes(range(256)) * 999)], id="binary"),
        pytest.param([("l", lambda path: path.symlink_to("nowhere"))], id="link"),
        pytest.param(
            [("f", lambda path: (path.unlink(), path.symlink_to("/etc/passwd")))], id="file to link"
        ),
        pytest.param([("crlf", b"a\r\nb\r\n"), ("crlf", b"a\r\nc\r\n")], id="crlf"),
        pytest.param([("f", b"no end")], id="no last newline"),
        pytest.param([("ä 'ö\"\n\t\\ü 漢", b"x")], id="odd name"),
        pytest.param([("empty", b"")], id="empty file"),
        pytest.param([(".gitignore", b"ign\n"), ("ign", b"x")], id="ignored"),
    ],
)
def test_there_and_back(
    tmp_path: Path, kind: str, work: list[tuple[str, bytes | Callable[[Path], object]]]
) -> None:
    tree = Tree(tmp_path, repository=kind != "no git", commit=kind == "commit")
    check_there_and_back(tree, lambda: [tree.agent(path, what) for path, what in work])


def test_a_rename_goes_there_and_back(tree: Tree) -> None:
    def renamed() -> None:
        content = tree.read("f")
        tree.agent("f", Path.unlink)
        tree.agent("g", content)

    check_there_and_back(tree, renamed)


def test_a_file_in_a_submodule_is_a_file(tree: Tree, tmp_path: Path) -> None:
    other = Tree(tmp_path / "x") if (tmp_path / "x").mkdir() is None else tree
    tree.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other.top), "sub")
    inside = snapshot(tree.top / "sub", git=True)
    check_there_and_back(tree, lambda: tree.agent("sub/f", b"changed"))
    assert snapshot(tree.top / "sub", git=True) == inside


def test_a_file_outside_of_the_tree_goes_there_and_back(tree: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    tree.agent(str(outside), lambda _: outside.write_bytes(b"x"))
    assert tree.undo() == NOTHING
    assert not outside.exists()
    assert tree.redo() == NOTHING
    assert outside.read_bytes() == b"x"


def test_what_others_wrote_in_the_same_file_stays(tree: Tree) -> None:
    tree.agent("f", b"one\nTWO\nthree\nfour\nfive\n")
    tree.write("f", b"one\nTWO\nthree\nfour\nFIVE\n")
    assert tree.undo() == NOTHING
    assert tree.read("f") == b"one\ntwo\nthree\nfour\nFIVE\n"
    tree.write("f", b"zero\none\ntwo\nthree\nfour\nFIVE\n")
    assert tree.redo() == NOTHING
    assert tree.read("f") == b"zero\none\nTWO\nthree\nfour\nFIVE\n"


def test_line_ends_and_a_missing_last_one_outlive_a_merge(tree: Tree) -> None:
    tree.write("c", b"1\r\n2\r\n3\r\n4\r\n5")
    tree.agent("c", b"1\r\nB\r\n3\r\n4\r\n5")
    tree.write("c", b"1\r\nB\r\n3\r\n4\r\nE")
    assert tree.undo() == NOTHING
    assert tree.read("c") == b"1\r\n2\r\n3\r\n4\r\nE"


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (b"one\nTHEIRS\nthree\nfour\nfive\n", Reason.CONFLICT),
        (b"one\nTWO\nTHEIRS\nfour\nfive\n", Reason.CONFLICT),
        (b"\0binary", Reason.BINARY),
        (None, Reason.GONE),
    ],
)
def test_what_cannot_be_told_apart_is_left_alone(
    tree: Tree, theirs: bytes | None, reason: Reason
) -> None:
    tree.agent("f", b"one\nTWO\nthree\nfour\nfive\n")
    if theirs is None:
        (tree.top / "f").unlink()
    else:
        tree.write("f", theirs)
    before = snapshot(tree.top)
    assert tree.undo() == {"f": reason}
    assert snapshot(tree.top) == before


def test_a_new_file_that_was_edited_since_is_left_alone(tree: Tree) -> None:
    tree.agent("new", b"x")
    tree.write("new", b"xy")
    assert tree.undo() == {"new": Reason.EDITED}
    assert tree.read("new") == b"xy"


def test_what_is_there_again_is_left_alone(tree: Tree) -> None:
    tree.agent("f", Path.unlink)
    tree.write("f", b"again")
    assert tree.undo() == {"f": Reason.RECREATED}


def test_a_folder_in_the_place_of_a_file_is_left_alone(tree: Tree) -> None:
    tree.agent("f", b"x")
    (tree.top / "f").unlink()
    tree.write("f/inside", b"theirs")
    assert tree.undo() == {"f": Reason.UNREADABLE}
    assert tree.read("f/inside") == b"theirs"


def test_what_is_too_large_was_never_kept(tree: Tree) -> None:
    tree.agent("f", b"x" * 2000, limit=1000)
    plan = tree.plan()
    assert [(one.reason, one.detail) for one in plan.left] == [(Reason.NOT_KEPT, "it is too large")]


def test_without_git_nothing_is_merged(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.agent("f", b"one\nTWO\nthree\nfour\nfive\n")
    tree.write("f", b"one\nTWO\nthree\nfour\nFIVE\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert tree.undo() == {"f": Reason.NO_GIT}


def test_no_link_is_followed_to_elsewhere(tree: Tree, tmp_path: Path) -> None:
    tree.agent("d/f", b"x")
    (tree.top / "d").rename(tmp_path / "elsewhere")
    (tree.top / "d").symlink_to(tmp_path / "elsewhere")
    assert tree.undo() == {"d/f": Reason.UNREADABLE}
    assert (tmp_path / "elsewhere" / "f").read_bytes() == b"x"


def test_a_folder_that_turns_into_a_link_between_plan_and_deed_is_not_followed(
    tree: Tree, tmp_path: Path
) -> None:
    tree.agent("d/f", b"x")
    it = tree.undoing
    (step,) = it.plan(UNDO, Asked()).steps
    (tree.top / "d").rename(tmp_path / "elsewhere")
    (tree.top / "d").symlink_to(tmp_path / "elsewhere")
    failed = Writer(it.top, tree.journal.content, []).put(step, ".t.tmp")
    assert failed is not None
    assert failed.reason is Reason.OUTSIDE
    assert (tmp_path / "elsewhere" / "f").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["f", "new"])
def test_what_is_written_between_plan_and_deed_stays(tree: Tree, path: str) -> None:
    tree.agent(path, Path.unlink if path == "f" else b"x")
    it = tree.undoing
    plan = it.plan(UNDO, Asked())
    tree.write(path, b"theirs")
    assert {one.reason for one in it.do(UNDO, plan).left} == {Reason.MOVED}
    assert tree.read(path) == b"theirs"


def test_what_is_deleted_between_plan_and_deed_is_left_alone(tree: Tree) -> None:
    tree.agent("f", b"x")
    it = tree.undoing
    plan = it.plan(UNDO, Asked())
    tree.journal.content_path(plan.steps[0].then.digest).unlink()
    assert {one.reason for one in it.do(UNDO, plan).left} == {Reason.FORGOTTEN}
    assert tree.read("f") == b"x"
    assert list(intents.noted(tree.journal.folder)) == []


def test_an_empty_folder_that_was_there_stays(tree: Tree) -> None:
    """Of what an undo itself has made it is known which folders came with it."""
    tree.write("d/f", b"theirs")
    tree.agent("d/f", Path.unlink)
    before = snapshot(tree.top)
    assert tree.undo() == NOTHING
    assert tree.redo() == NOTHING
    assert snapshot(tree.top) == before


@pytest.mark.parametrize("path", ["f", "new"])
def test_what_is_written_while_the_new_file_is_prepared_stays(
    tree: Tree, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look is the one that counts; what was not there must still not be there."""
    tree.agent(path, Path.unlink if path == "f" else b"x")
    it = tree.undoing
    plan = it.plan(UNDO, Asked())
    checked = Writer._check

    def late(self: Writer, step: Step) -> None:
        if not step.now.is_there:
            checked(self, step)
        tree.write(path, b"theirs")
        if step.now.is_there:
            checked(self, step)

    monkeypatch.setattr(Writer, "_check", late)
    assert {one.reason for one in it.do(UNDO, plan).left} == {Reason.MOVED}
    assert tree.read(path) == b"theirs"
    assert not list(tree.top.glob(".*.tmp"))


def test_what_is_not_sure_waits_to_be_asked_for(tree: Tree) -> None:
    tree.agent("l", b"x", Certainty.LIKELY)
    tree.agent("s", b"x", Certainty.SHARED)
    assert tree.undo() == {"l": Reason.LIKELY, "s": Reason.SHARED}
    assert tree.undo(likely=True) == {"s": Reason.SHARED}
    assert not (tree.top / "l").exists()
    assert tree.undo("s") == NOTHING
    assert not (tree.top / "s").exists()
    assert tree.redo() == NOTHING
    assert tree.undo() == {"l": Reason.LIKELY, "s": Reason.SHARED}


def test_the_system_may_refuse(tree: Tree) -> None:
    """The folder is gone from under the file system's feet: nothing can be made in /proc."""
    it = tree.undoing
    tree.agent("f", b"x")
    (step,) = it.plan(UNDO, Asked()).steps
    failed = Writer(it.top, tree.journal.content, []).put(
        replace(step, path="/proc/background-agents-x", now=replace(step.now)), ".t.tmp"
    )
    assert failed is not None
    assert failed.reason is Reason.REFUSED
    assert failed.detail


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    tree = Tree(small_disk, repository=False, data=tmp_path / "data")
    tree.write("large", b"x" * 100_000)
    tree.agent("large", b"small")
    tree.agent("new", b"x")
    tree.write("filler", b"z" * 200_000)
    after = snapshot(tree.top)
    it = tree.undoing
    done = it.do(UNDO, it.plan(UNDO, Asked()))
    assert [one.path for one in done.steps] == ["new"]
    assert [(one.reason, one.detail) for one in done.left] == [
        (Reason.REFUSED, "No space left on device")
    ]
    del after["new"]
    assert snapshot(tree.top) == after
    (tree.top / "filler").unlink()
    assert tree.undo() == NOTHING
    assert tree.read("large") == b"x" * 100_000


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("where", ["write", "check", "add", "unlink"])
def test_an_undo_that_was_killed_is_made_up_for(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, where: str, at: int
) -> None:
    tree.write("g", b"gone by now")
    before = snapshot(tree.top)
    for number in range(3):
        tree.agent(f"new{number}", b"x%d" % number)
    tree.agent("f", b"changed")
    tree.agent("g", b"changed")
    after = snapshot(tree.top)
    owner, name = {
        "write": (os, "fsync"),
        "check": (Writer, "_check"),
        "add": (type(tree.journal), "add"),
        "unlink": (os, "unlink"),
    }[where]
    real, calls = getattr(owner, name), iter(range(100))

    def killed(*given: object, **named: object) -> object:
        if next(calls) == at:
            os._exit(9)
        return real(*given, **named)

    if (child := os.fork()) == 0:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, killed)
            tree.undo()
        os._exit(0)
    os.waitpid(child, 0)
    assert tree.undo() == NOTHING
    assert snapshot(tree.top) == before
    assert tree.redo() == NOTHING
    assert snapshot(tree.top) == after
    assert list(intents.noted(tree.journal.folder)) == []


def test_two_undos_at_once_do_it_once(tree: Tree) -> None:
    before = snapshot(tree.top)
    for number in range(20):
        tree.agent(f"n{number}", b"x")
    after = snapshot(tree.top)
    plans = [(it, it.plan(UNDO, Asked())) for it in (tree.undoing, tree.undoing)]
    threads = [threading.Thread(target=it.do, args=(UNDO, plan)) for it, plan in plans]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert snapshot(tree.top) == before
    assert len([one for one in tree.journal.segments(OTTER) if one.by == UNDO]) == 20
    assert tree.redo() == NOTHING
    assert snapshot(tree.top) == after


def test_what_runs_is_not_undone(tree: Tree) -> None:
    tree.one = replace(tree.one, status=Status.RUNNING)
    with pytest.raises(StillWrites, match="running"):
        tree.undoing  # noqa: B018


def test_a_folder_that_is_gone_is_said(tree: Tree) -> None:
    tree.agent("f", b"x")
    tree.top.rename(tree.top.parent / "moved")
    with pytest.raises(TreeGone, match="project"):
        tree.undoing  # noqa: B018


def test_a_journal_that_is_gone_is_said(tree: Tree) -> None:
    tree.agent("f", b"x")
    tree.one = replace(tree.one, changes=Changes(1, 1, 1))
    tree.journal.path(OTTER).unlink()
    with pytest.raises(ChangesGone, match=OTTER):
        tree.undoing  # noqa: B018


def test_a_start_below_the_top_names_files_from_the_top(tree: Tree) -> None:
    tree.write("sub/f", b"1")
    tree.agent("sub/f", b"2")
    it = Undoing(tree.place, replace(tree.one, directory=str(tree.top / "sub")))
    assert [one.path for one in it.plan(UNDO, Asked()).steps] == ["sub/f"]
    assert os.path.isdir(tree.top / "sub")
