"""An isolated try applied to main: merged like a branch, or refused as a whole, with its paths."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from trees import Main

from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.domain.changes import Kind
from background_agents.domain.errors import InvalidRequest, NotApplied
from background_agents.domain.isolation import State
from background_agents.domain.undoing import Reason

ID = "a-b-c"

SIX = "one\ntwo\nthree\nfour\nfive\nsix\n"


@pytest.fixture
def tree(main: Main, trees: IsolatedWorktrees) -> Path:
    """A try that begins from ``main`` as the fixture made it."""
    return Path(trees.prepare(ID, str(main.folder)).directory)


def apply(trees: IsolatedWorktrees, *paths: str) -> set[str]:
    return {one.path for one in trees.apply(trees.plan(ID, paths), ID)}


def conflicts(trees: IsolatedWorktrees, *paths: str) -> dict[str, Reason]:
    return {one.path: one.reason for one in trees.plan(ID, paths).left}


def test_what_both_have_changed_elsewhere_is_merged(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    """Lines of the agent and of the human in the same file; a staged part stays staged."""
    main.write("kept.txt", SIX.replace("one", "ONE"))
    main.git("add", "kept.txt")
    main.write("kept.txt", SIX.replace("one", "ONE").replace("three", "THREE"))
    (tree / "kept.txt").write_text(SIX.replace("six", "SIX"))
    staged = main.git("diff", "--cached")

    assert apply(trees) == {"kept.txt"}

    assert main.read("kept.txt").decode() == "ONE\ntwo\nTHREE\nfour\nfive\nSIX\n"
    assert main.git("diff", "--cached") == staged
    assert trees.state(ID) is State.APPLIED


def test_renamed_by_the_agent_and_edited_by_the_human(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    (tree / "kept.txt").rename(tree / "new name.txt")
    main.write("kept.txt", SIX.replace("two", "TWO"))

    assert apply(trees) == {"kept.txt", "new name.txt"}

    assert not (main.folder / "kept.txt").exists()
    assert main.read("new name.txt").decode() == SIX.replace("two", "TWO")


def test_conflicts_refuse_all_of_it_and_name_the_paths(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    main.write("kept.txt", SIX.replace("two", "human"))
    (tree / "kept.txt").write_text(SIX.replace("two", "agent"))
    (tree / "fine.txt").write_text("fine\n")
    main.write("both.txt", "human\n")
    (tree / "both.txt").write_text("agent\n")
    before = {one: main.read(one) for one in ("kept.txt", "both.txt")}

    assert conflicts(trees) == {"kept.txt": Reason.CONFLICT, "both.txt": Reason.CONFLICT}
    with pytest.raises(NotApplied, match=r"both\.txt, kept\.txt"):
        apply(trees)

    assert {one: main.read(one) for one in before} == before
    assert not (main.folder / "fine.txt").exists()
    assert trees.state(ID) is State.OPEN


def test_paths_alone_are_applied(main: Main, trees: IsolatedWorktrees, tree: Path) -> None:
    """Files, and folders with all that is in them; the rest stays unapplied, and is said so."""
    (tree / "kept.txt").write_text("agent\n")
    main.write("kept.txt", "human\n")
    (tree / "sub").mkdir()
    (tree / "sub" / "a.txt").write_text("a\n")
    (tree / "sub" / "b.txt").write_text("b\n")
    (tree / "c.txt").write_text("c\n")

    assert apply(trees, "./sub/", "c.txt") == {"sub/a.txt", "sub/b.txt", "c.txt"}

    assert main.read("kept.txt") == b"human\n"
    assert trees.state(ID) is State.OPEN
    for nothing in ("nothing.txt", "", "/", " "):
        with pytest.raises(InvalidRequest, match=r"has changed no '"):
            trees.plan(ID, [nothing])


def test_part_after_part_is_all_of_it(main: Main, trees: IsolatedWorktrees, tree: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tree / name).write_text(name)

    apply(trees, "a.txt")
    assert trees.state(ID) is State.OPEN
    apply(trees, "b.txt")
    assert trees.state(ID) is State.APPLIED

    (tree / "a.txt").write_text("other")
    assert trees.state(ID) is State.OPEN
    apply(trees, "b.txt")
    assert trees.state(ID) is State.OPEN
    apply(trees, "a.txt")
    assert trees.state(ID) is State.APPLIED
    (tree / "a.txt").unlink()
    assert trees.state(ID) is State.OPEN


def test_what_is_applied_after_more_work_meets_what_a_human_made_of_the_rest(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    """What was applied before is in main already, where its human has worked on it since."""
    (tree / "new.txt").write_text("agent\n")
    (tree / "kept.txt").write_text(SIX.replace("one", "ONE"))
    apply(trees)
    main.write("new.txt", "agent and human\n")
    main.write("kept.txt", SIX.replace("one", "human's one"))
    (tree / "kept.txt").write_text(SIX.replace("one", "ONE").replace("six", "SIX"))
    (tree / "more.txt").write_text("more\n")

    assert apply(trees) == {"kept.txt", "more.txt"}

    assert main.read("new.txt") == b"agent and human\n"
    assert main.read("kept.txt").decode() == SIX.replace("one", "human's one").replace("six", "SIX")
    assert trees.state(ID) is State.APPLIED


def test_modes_links_and_kinds(main: Main, trees: IsolatedWorktrees, tree: Path) -> None:
    """A file that may be run, a link, a file where a folder was, a binary one, an odd name."""
    (tree / "kept.txt").chmod(0o755)
    (tree / "link").symlink_to("kept.txt")
    (tree / "bytes.bin").write_bytes(bytes(range(256)) * 100)
    (tree / 'ü "quoted"\n').write_text("odd\n")
    (main.folder / "kept.txt").chmod(0o640)

    apply(trees)

    assert stat.S_IMODE((main.folder / "kept.txt").stat().st_mode) == 0o750
    assert os.readlink(main.folder / "link") == "kept.txt"
    assert main.read("bytes.bin") == bytes(range(256)) * 100
    assert main.read('ü "quoted"\n') == b"odd\n"


def test_a_file_becomes_a_folder(main: Main, trees: IsolatedWorktrees, tree: Path) -> None:
    (tree / "kept.txt").unlink()
    (tree / "kept.txt").mkdir()
    (tree / "kept.txt" / "inside").write_text("x\n")

    apply(trees)

    assert main.read("kept.txt/inside") == b"x\n"


def test_an_ignored_file_is_not_overwritten(main: Main, trees: IsolatedWorktrees) -> None:
    """Git does not see it; it is somebody's all the same."""
    main.write(".gitignore", "local.cfg\n")
    main.write("local.cfg", "mine\n")
    tree = Path(trees.prepare(ID, str(main.folder)).directory)
    (tree / ".gitignore").write_text("# nothing\n")
    (tree / "local.cfg").write_text("theirs\n")

    assert conflicts(trees) == {"local.cfg": Reason.RECREATED}
    with pytest.raises(NotApplied, match=r"local\.cfg"):
        apply(trees)
    assert main.read("local.cfg") == b"mine\n"


def test_what_was_written_after_the_plan_is_not_overwritten(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    (tree / "kept.txt").write_text("agent\n")
    (tree / "other.txt").write_text("other\n")
    plan = trees.plan(ID)
    main.write("kept.txt", "human\n")

    with pytest.raises(NotApplied, match=r"kept\.txt"):
        trees.apply(plan, ID)

    assert main.read("kept.txt") == b"human\n"
    assert not (main.folder / "other.txt").exists()


def test_what_it_wrote_is_in_the_journal(main: Main, trees: IsolatedWorktrees, tree: Path) -> None:
    """From there it is undone like anything else that the delegation did to main."""
    (tree / "kept.txt").write_text("agent\n")
    (tree / "new.txt").write_text("new\n")
    apply(trees)

    journal = FileJournal(trees.folder.parent / FOLDER)
    segments = {one.path: one for one in journal.segments(ID)}

    assert {one.by for one in segments.values()} == {"apply"}
    assert journal.content(segments["kept.txt"].before.digest).decode() == SIX
    assert journal.content(segments["kept.txt"].after.digest) == b"agent\n"
    assert segments["new.txt"].before.kind is Kind.ABSENT


def test_twice_is_once_and_more_is_open_again(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    """An agent that goes on in its tree has something to apply again, and no more than that."""
    (tree / "kept.txt").write_text("agent\n")
    apply(trees)

    assert apply(trees) == set()
    assert trees.state(ID) is State.APPLIED
    (tree / "more.txt").write_text("more\n")
    assert trees.state(ID) is State.OPEN
    assert apply(trees) == {"more.txt"}
    assert trees.state(ID) is State.APPLIED


def test_git_that_merges_no_trees_is_named(
    monkeypatch: pytest.MonkeyPatch, trees: IsolatedWorktrees, tree: Path
) -> None:
    monkeypatch.setattr("background_agents.adapters.isolation.applying.MERGES_TREES", (9, 0))

    with pytest.raises(InvalidRequest, match=r"Applying needs Git 9\.0 or newer, and here is \d"):
        trees.plan(ID)


def test_what_a_result_cannot_hold_is_named_and_not_lost(
    main: Main, trees: IsolatedWorktrees, tree: Path
) -> None:
    """A repository that the agent made, and what is too large: the rest is applied by its name."""
    Main(tree / "nested").write("inside.txt", "x\n")
    with (tree / "huge.bin").open("wb") as file:
        file.truncate(65 * 2**20)
    (tree / "fine.txt").write_text("fine\n")

    changed = {one.path: one.after for one in trees.changes(ID)}
    assert changed["nested"].why == "it is a repository of its own"
    assert changed["huge.bin"].why == "it is too large"
    with pytest.raises(NotApplied, match=r"huge\.bin, nested"):
        apply(trees)
    assert not (main.folder / "fine.txt").exists()

    assert apply(trees, "fine.txt") == {"fine.txt"}
    assert trees.state(ID) is State.OPEN
