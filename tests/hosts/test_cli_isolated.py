"""``bga apply`` and ``discard`` as processes, and what ``prune`` keeps of isolated tries."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archived import Reader
from msgspec.structs import replace

from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.control.shells import MARK
from background_agents.domain.changes import Changes
from background_agents.domain.events import Read
from background_agents.domain.isolation import State
from background_agents.testing.contracts.samples import completed, launched, registered

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

ID = "brave-amber-otter"


class Tried:
    """A project in which something was tried apart."""

    def __init__(self, root: Path) -> None:
        self.reader = Reader(root)
        self.project = self.reader.project
        self.reader.data.mkdir(parents=True)
        (self.project / "kept.txt").write_text("one\ntwo\nthree\nfour\n")
        subprocess.run(["git", "init", "-q"], cwd=self.project, check=True)
        self.trees = IsolatedWorktrees(self.reader.folder)
        self.try_apart(ID)

    def try_apart(self, name: str, *, ended: bool = True) -> Path:
        """Let a delegation have a tree of its own, in which it has changed a file."""
        self.reader.folder.mkdir(parents=True, exist_ok=True)
        made = self.trees.prepare(name, str(self.project))
        tree = Path(made.directory)
        (tree / "kept.txt").write_text("one\ntwo\nthree\nFOUR\n")
        (tree / "new.txt").write_text("new\n")
        first = replace(
            registered(name),
            at=LONG_AGO,
            directory=str(self.project),
            project=self.reader.folder.name,
            tree=name,
        )
        changes = Changes(files=2, added=2, removed=1, apart=str(State.OPEN))
        completion = replace(completed(), at=LONG_AGO, changes=changes)
        end = (completion, Read(at=LONG_AGO)) if ended else ()
        self.reader.add(first, replace(launched(), at=LONG_AGO), *end)
        return tree

    def go_on(self, name: str, *, ended: bool = True) -> None:
        """Let another delegation go on in the tree."""
        place = {"directory": str(self.project), "project": self.reader.folder.name}
        first = replace(registered(name), at=LONG_AGO, tree=ID, continued_from=ID, **place)
        changes = Changes(files=2, added=2, removed=1, apart=str(State.OPEN))
        completion = replace(completed(), at=LONG_AGO, changes=changes)
        end = (completion, Read(at=LONG_AGO)) if ended else ()
        self.reader.add(first, replace(launched(f"ses_{name}"), at=LONG_AGO), *end)

    def listed(self) -> str:
        return self.reader.out("list")


@pytest.fixture
def tried(tmp_path: Path) -> Tried:
    return Tried(tmp_path)


def test_apply_shows_what_it_would_write_and_writes_it(tried: Tried) -> None:
    reader, project = tried.reader, tried.project
    (project / "kept.txt").write_text("ONE\ntwo\nthree\nfour\n")

    assert "2 files +2 -1, isolated: not applied" in tried.listed()
    planned = reader.out("apply", ID, "--dry-run")
    assert planned == f"{ID} would write 2 files:\n  M kept.txt\n  A new.txt\n"
    assert not (project / "new.txt").exists()

    unasked = reader.run("apply", ID)
    assert unasked.returncode != 0
    assert unasked.stderr == (
        "Nothing was written. Nobody can be asked; --yes says that it is meant.\n"
    )
    assert reader.out("apply", ID, "--yes").endswith(f"Applied {ID}.\n")
    assert (project / "kept.txt").read_text() == "ONE\ntwo\nthree\nFOUR\n"
    assert (project / "new.txt").read_text() == "new\n"
    assert "isolated: applied" in tried.listed()
    assert reader.out("apply", ID, "--yes") == f"The project has all of {ID} already.\n"


def test_apply_of_a_path_leaves_the_rest(tried: Tried) -> None:
    told = tried.reader.out("apply", ID, "new.txt", "--yes")

    assert told.endswith(f"Applied {ID}; the rest of it is not applied.\n")
    assert (tried.project / "kept.txt").read_text() == "one\ntwo\nthree\nfour\n"
    assert "isolated: not applied" in tried.listed()


def test_a_path_is_from_where_its_user_is(tried: Tried) -> None:
    """As for ``diff`` and ``undo``: a whole one is meant as it stands."""
    told = tried.reader.out("apply", ID, str(tried.project / "new.txt"), "--dry-run")
    assert told == f"{ID} would write 1 file:\n  A new.txt\n"
    refused = tried.reader.run("apply", ID, str(tried.reader.data / "new.txt"), "--yes")
    assert refused.returncode != 0
    assert "has changed no '" in refused.stderr


def test_an_empty_path_is_not_all(tried: Tried) -> None:
    """As a script gives it whose variable is empty."""
    for words in (("apply", ID, "", "--yes"), ("diff", ID, "")):
        refused = tried.reader.run(*words)
        assert refused.returncode != 0
        assert refused.stderr.startswith("A path is empty; ")
    assert not (tried.project / "new.txt").exists()
    unnamed = tried.reader.run("diff")
    assert unnamed.stderr.startswith("The following arguments are required: ID; ")


def test_apply_refuses_what_does_not_fit_with_its_paths(tried: Tried) -> None:
    (tried.project / "kept.txt").write_text("one\ntwo\nthree\n4\n")

    refused = tried.reader.run("apply", ID, "--yes")

    assert refused.returncode != 0
    assert refused.stdout == (
        f"{ID} cannot be applied; nothing is written:\n  kept.txt: both have changed it\n"
    )
    assert refused.stderr == (
        f"{ID} was not applied, and nothing was changed: kept.txt cannot be put in place.\n"
    )
    assert not (tried.project / "new.txt").exists()


def test_discard_asks_and_deletes(tried: Tried) -> None:
    assert tried.reader.run("discard", ID).returncode != 0
    assert tried.trees.state(ID) is State.OPEN

    assert tried.reader.out("discard", ID, "--yes") == f"Discarded {ID}.\n"

    assert list(tried.trees.folder.iterdir()) == []
    assert "isolated: discarded" in tried.listed()
    again = tried.reader.run("discard", ID, "--yes")
    assert again.stderr == f"The tree of {ID} was discarded before.\n"
    late = tried.reader.run("apply", ID, "--yes")
    assert late.stderr == ("There is no working tree of its own for it: its tree was discarded.\n")


def test_nobody_applies_or_discards_what_is_worked_on(tried: Tried) -> None:
    tried.try_apart("calm-blue-heron", ended=False)

    for act in ("apply", "discard"):
        refused = tried.reader.run(act, "calm-blue-heron", "--yes")
        assert refused.returncode != 0
        assert "calm-blue-heron" in refused.stderr
    assert tried.trees.state("calm-blue-heron") is State.OPEN


def test_models_do_neither_by_a_shell(tried: Tried) -> None:
    """A supervisor's model has a tool, which obeys its user's rules; discarding is for people."""
    for starter, act, words in (
        ("supervisor", "apply", "calls the tool delegation_apply"),
        ("supervisor", "discard", "is for people"),
        ("background", "apply", "apply was refused"),
        ("background", "discard", "discard was refused"),
    ):
        refused = tried.reader.run(act, ID, "--yes", env={MARK: starter})
        assert refused.returncode != 0
        assert words in refused.stderr
    assert tried.trees.state(ID) is State.OPEN


def test_prune_keeps_what_is_not_applied_and_says_so(tried: Tried) -> None:
    """However old it is; what is applied goes with its tree."""
    words = ("prune", "--older-than", "1h", "--yes")
    kept = tried.reader.run(*words)
    assert "Kept, since what they have changed is not applied" in kept.stderr
    assert f": {ID}.\n" in kept.stderr
    shown = json.loads(tried.reader.out(*words, "--json"))
    assert (shown["deleted"], shown["kept_unapplied"]) == ([], [ID])
    assert tried.trees.state(ID) is State.OPEN

    tried.reader.out("apply", ID, "--yes")
    shown = json.loads(tried.reader.out(*words, "--json"))

    assert shown["deleted"] == [ID]
    assert list(tried.trees.folder.iterdir()) == []


def test_inside_of_a_tree_it_is_the_same_project(tried: Tried) -> None:
    tree = tried.trees.prepare(ID, str(tried.project)).directory

    assert ID in tried.reader.out("list", "--directory", tree)


def test_diff_shows_a_try_and_what_leads_from_one_to_another(tried: Tried) -> None:
    other = tried.try_apart("calm-blue-heron")
    (other / "kept.txt").write_text("one\ntwo\nthree\nvier\n")
    (other / "new.txt").unlink()
    (other / "more.txt").write_text("more\n")

    alone = tried.reader.out("diff", ID)
    between = tried.reader.out("diff", ID, "calm-blue-heron")
    one_file = tried.reader.out("diff", ID, "calm-blue-heron", "more.txt")

    assert "+FOUR" in alone
    assert "-four" in alone
    assert "-FOUR" in between
    assert "+vier" in between
    assert "+more" in between
    assert "-new" in between
    assert "+more" in one_file
    assert "vier" not in one_file


def test_an_applied_try_is_undone_and_redone(tried: Tried) -> None:
    """What it wrote into the project is like any other change of the delegation there."""
    reader, kept = tried.reader, tried.project / "kept.txt"
    reader.out("apply", ID, "--yes")
    kept.write_text(kept.read_text().replace("one", "ONE"))

    assert reader.run("undo", ID, "--yes").returncode == 0
    assert kept.read_text() == "ONE\ntwo\nthree\nfour\n"
    assert not (tried.project / "new.txt").exists()

    assert reader.run("redo", ID, "--yes").returncode == 0
    assert kept.read_text() == "ONE\ntwo\nthree\nFOUR\n"
    assert (tried.project / "new.txt").read_text() == "new\n"


def test_what_becomes_of_a_tree_is_told_of_all_who_worked_there(tried: Tried) -> None:
    tried.go_on("calm-blue-heron")
    tried.reader.out("apply", "calm-blue-heron", "--yes")
    assert tried.listed().count("isolated: applied") == 2
    other = tried.reader.run("undo", ID, "--yes")
    assert other.stderr == (f"What {ID} has changed was applied with calm-blue-heron; undo that.\n")
    tried.reader.out("discard", ID, "--yes")
    assert tried.listed().count("isolated: discarded") == 2


def test_prune_deletes_no_tree_in_which_somebody_works(tried: Tried) -> None:
    """The one that it was made for has ended long ago, and all of it was applied."""
    tried.reader.out("apply", ID, "--yes")
    tried.go_on("calm-blue-heron", ended=False)
    told = tried.reader.run("prune", "--older-than", "1h", "--yes")
    assert tried.trees.state(ID) is State.APPLIED
    assert ID in tried.listed()
    assert f"or somebody works in their trees: {ID}." in told.stderr


def test_prune_takes_a_try_that_has_changed_nothing(tried: Tried) -> None:
    tree = tried.trees.folder / ID / "tree"
    (tree / "new.txt").unlink()
    (tree / "kept.txt").write_text((tried.project / "kept.txt").read_text())
    shown = json.loads(tried.reader.out("prune", "--older-than", "1h", "--yes", "--json"))
    assert (shown["deleted"], shown["kept_unapplied"]) == ([ID], [])


def test_prune_keeps_a_tree_of_which_nothing_is_known(tried: Tried) -> None:
    (tried.trees.folder / ID / "about.json").write_text("{")
    shown = json.loads(tried.reader.out("prune", "--older-than", "1h", "--yes", "--json"))
    assert (shown["deleted"], shown["kept_unapplied"]) == ([], [ID])


def test_what_was_applied_and_is_kept_no_more_is_said_to_be_gone(tried: Tried) -> None:
    tried.reader.out("apply", ID, "--yes")
    (tried.reader.folder / "changes" / f"{ID}.jsonl").unlink()
    refused = tried.reader.run("undo", ID, "--yes")
    assert refused.returncode != 0
    assert "was applied, so" not in refused.stderr
    assert "kept" in refused.stderr


def test_what_was_applied_and_taken_back_is_not_applied(tried: Tried) -> None:
    """Or prune would delete what only its tree still has."""
    reader = tried.reader
    reader.out("apply", ID, "--yes")
    assert reader.run("undo", ID, "--yes").returncode == 0
    assert "isolated: not applied" in tried.listed()
    shown = json.loads(reader.out("prune", "--older-than", "1h", "--yes", "--json"))
    assert (shown["deleted"], shown["kept_unapplied"]) == ([], [ID])

    assert reader.run("redo", ID, "--yes").returncode == 0
    assert "isolated: applied" in tried.listed()
    assert reader.run("undo", ID, "--yes").returncode == 0
    reader.out("apply", ID, "--yes")
    assert "isolated: applied" in tried.listed()
    assert (tried.project / "new.txt").exists()


def test_what_was_not_applied_cannot_be_undone(tried: Tried) -> None:
    refused = tried.reader.run("undo", ID, "--yes")

    assert refused.returncode != 0
    assert refused.stderr == (
        f"Nothing of {ID} was applied, so that there is nothing to take back.\n"
    )
