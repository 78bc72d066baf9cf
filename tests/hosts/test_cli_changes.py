"""``bga diff``, ``undo`` and ``redo`` as people and scripts call them, without any OpenCode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from stored import database_of, store

from background_agents.client.place import Place
from background_agents.domain.change_sums import sum_of
from background_agents.domain.changes import Certainty
from background_agents.testing.contracts.samples import at, completed, launched, registered
from background_agents.views.json_changes import DiffSheet, UndoSheet
from tests.client.trees import OTTER, Tree, snapshot


class Desk:
    """A terminal in the folder of a project, without a terminal's looks."""

    def __init__(self, folder: Path) -> None:
        self.tree = Tree(folder)
        self.env = os.environ | {
            "XDG_DATA_HOME": str(folder / "data"), "NO_COLOR": "1", "COLUMNS": "100",
        }  # fmt: skip
        self.database = database_of(self.tree.top, self.env)
        project = self.database.parent
        project.mkdir(parents=True)
        self.tree.place = Place(self.tree.top, project.parent, project.name)
        self.tree.journal = type(self.tree.journal)(project / "changes")

    def end(self) -> None:
        """Let the delegation end, as a service stores it."""
        journal = self.tree.journal
        changes = sum_of(journal.segments(OTTER), journal.content)
        first = replace(registered(OTTER), directory=str(self.tree.top))
        store(self.database, first, launched(), replace(completed(), changes=changes, at=at(133)))

    def bga(self, *words: str, code: int = 0, given: str | None = None) -> str:
        """Run a command; return what it wrote."""
        done = self.run(*words, given=given)
        assert done.returncode == code, done
        return done.stdout.decode() + done.stderr.decode()

    def run(
        self, *words: str, given: str | None = None, **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "background_agents", *words]
        return subprocess.run(
            command, cwd=self.tree.top, env={**self.env, **more}, capture_output=True, check=False,
            input=(given or "").encode(),
        )  # fmt: skip

    def changes(self) -> dict[str, object]:
        shown: dict[str, dict[str, object]] = json.loads(self.bga("show", OTTER, "--json"))
        return shown["changes"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    tree = desk.tree
    tree.write("old name", b"moved\nas it is\n")
    tree.git("add", "-A")
    tree.git("commit", "-qm", "second")
    tree.agent("f", b"one\nTWO\nthree\nfour\nfive\n")
    tree.agent("src/new.py", b"print('<b>')\n")
    tree.agent("old name", Path.unlink)
    tree.agent("new näme", b"moved\nas it is\n")
    tree.agent("pic", bytes(range(256)), Certainty.LIKELY)
    desk.end()
    return desk


def test_diff_shows_files_then_lines(desk: Desk) -> None:
    told = desk.bga("diff", OTTER)
    assert told.startswith(
        f"{OTTER}  4 files +2 -1, 1 uncertain\n"
        "How PKCE works\n"
        "\n"
        " M  f                    +1 -1\n"
        " R  old name → new näme\n"
        " A  pic                         binary; likely: changed while a command of it ran\n"
        " A  src/new.py           +1 -0\n"
        "\n"
        "f\n"
        "@@ -1,5 +1,5 @@\n"
        " one\n"
        "-two\n"
        "+TWO\n"
    )
    assert "+print('<b>')" in told


def test_stat_shows_no_lines_and_a_path_shows_itself(desk: Desk) -> None:
    assert "@@" not in desk.bga("diff", OTTER, "--stat")
    told = desk.bga("diff", OTTER, "src")
    assert "src/new.py" in told
    assert " f " not in told
    assert "has not changed 'nowhere'" in desk.bga("diff", OTTER, "nowhere", code=2)
    assert "No delegation here" in desk.bga("diff", "no-such", code=2)


def test_a_path_is_from_where_its_user_is(desk: Desk) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "background_agents", "diff", OTTER, "new.py", "--json"],
        cwd=desk.tree.top / "src", env=desk.env, capture_output=True, check=True,
    )  # fmt: skip
    assert [one.path for one in msgspec.json.decode(done.stdout, type=DiffSheet).files] == [
        "src/new.py"
    ]


def test_the_patch_is_what_git_takes(desk: Desk) -> None:
    patch = desk.run("diff", OTTER, "--patch").stdout
    for words in (["-R", "--check"], ["-R"], []):
        subprocess.run(["git", "apply", *words], cwd=desk.tree.top, input=patch, check=True)


def test_undo_shows_asks_and_does(desk: Desk) -> None:
    after = snapshot(desk.tree.top)
    assert "Nobody can be asked" in desk.bga("undo", OTTER, code=2)
    told = desk.bga("undo", OTTER, "--dry-run")
    assert " restore  f\n create   old name\n" in told.replace("delete   new näme\n ", "")
    assert "pic  it is not sure that it was this delegation" in told
    assert snapshot(desk.tree.top) == after
    told = desk.bga("undo", OTTER, "--yes", code=1)
    assert f"Undid 4 files; 1 file left alone. `background-agents redo {OTTER}` takes" in told
    assert desk.changes()["files"] == 1
    assert "4 files undone" in desk.bga("diff", OTTER)
    assert "Undid 1 file." in desk.bga("undo", OTTER, "--yes", "--likely")
    assert desk.tree.git("status", "--porcelain") == ""
    assert desk.changes()["files"] == 0
    assert "has changed nothing that still stands" in desk.bga("undo", OTTER, "--yes")
    assert "Redid 5 files." in desk.bga("redo", OTTER, "--yes")
    assert snapshot(desk.tree.top) == after
    assert desk.changes()["files"] == 4
    assert "nothing of brave-amber-otter was undone" in desk.bga("redo", OTTER, "--yes")


def test_undo_of_a_path_it_never_touched_says_so(desk: Desk) -> None:
    assert "has not changed 'nowhere'" in desk.bga("undo", OTTER, "nowhere", "--yes", code=2)
    assert "Undid 1 file." in desk.bga("undo", OTTER, "src/new.py", "--yes")
    assert not (desk.tree.top / "src").exists()


def test_undo_of_an_empty_path_is_not_of_all(desk: Desk) -> None:
    """As a script gives it whose variable is empty."""
    after = snapshot(desk.tree.top)
    assert "A path is empty; " in desk.bga("undo", OTTER, "", "--yes", code=2)
    assert snapshot(desk.tree.top) == after


def test_what_was_changed_since_is_left_alone_and_named(desk: Desk) -> None:
    desk.tree.write("f", b"one\nTHEIRS\nthree\nfour\nfive\n")
    told = desk.bga("undo", OTTER, "f", "--yes", code=1)
    assert "Left alone:\n f  the same lines, or lines beside them, were changed since\n" in told
    assert "Nothing was changed." in told


def test_json_is_the_contract(desk: Desk) -> None:
    diff = msgspec.json.decode(desk.bga("diff", OTTER, "--json"), type=DiffSheet)
    assert (diff.changes.files, len(diff.files)) == (4, 4)
    shown = msgspec.json.decode(desk.bga("undo", OTTER, "--json", "--dry-run"), type=UndoSheet)
    assert shown.dry_run
    assert [one.reason for one in shown.left] == ["likely"]
    done = msgspec.json.decode(desk.bga("undo", OTTER, "--json", "--yes", code=1), type=UndoSheet)
    assert done.done == shown.done
    assert {one.deed for one in done.done} == {"restore", "delete", "create"}


def test_a_models_shell_may_look_and_not_act(desk: Desk) -> None:
    for mark in ("background", "supervisor"):
        assert desk.run("diff", OTTER, BACKGROUND_AGENTS_SHELL=mark).returncode == 0
        refused = desk.run("undo", OTTER, "--yes", BACKGROUND_AGENTS_SHELL=mark)
        assert refused.returncode == 2
        assert b"undo was refused" in refused.stderr
        assert desk.run("redo", OTTER, "--yes", BACKGROUND_AGENTS_SHELL=mark).returncode == 2


def test_what_is_wrong_with_the_place_is_said(desk: Desk, tmp_path: Path) -> None:
    desk.tree.journal.path(OTTER).unlink()
    assert "is kept no more" in desk.bga("diff", OTTER, code=2)
    assert "is kept no more" in desk.bga("undo", OTTER, code=2)
    moved = tmp_path / "moved"
    desk.tree.top.rename(moved)
    desk.tree.top = moved
    assert "worked is gone" in desk.bga("undo", OTTER, code=2)


def test_paths_are_completed(desk: Desk) -> None:
    asked = {
        "COMP_LINE": f"bga undo {OTTER} s", "COMP_POINT": str(len(OTTER) + 11), "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m background_agents 8>&1 >/dev/null"],
        cwd=desk.tree.top, env={**desk.env, **asked}, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == b"src/new.py"
