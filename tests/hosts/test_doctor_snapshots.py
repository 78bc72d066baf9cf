"""What the doctor finds of OpenCode's snapshots, in real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from patients import Patient, findings, write

from background_agents.hosts.cli.diagnosis import snapshots
from background_agents.hosts.cli.diagnosis.findings import Mark

pytestmark = pytest.mark.opencode

NESTED = "snapshots.nested"


def git(folder: Path, *words: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_nested_repository_without_a_commit(used: Patient) -> None:
    """It is named, and what the doctor says of it mends it."""
    nested = used.project / "vendor" / "new thing"
    git(nested, "init")
    one = used.finding(NESTED)
    assert (one.mark, str(nested) in one.says) == (Mark.WARNING, True)
    assert one.mend is not None
    who = {
        f"GIT_{one}_{what}": "a" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(one.mend, shell=True, check=True, env={**used.env, **who}, capture_output=True)
    assert NESTED not in {one.check for one in findings(used.examined())}


def test_nested_repositories_with_commits_are_none(used: Patient) -> None:
    """Plain, packed, detached, a worktree on a branch, and with a separate folder of git's."""
    for name in ("plain", "packed", "detached"):
        git(used.project / name, "init")
        git(used.project / name, "commit", "--allow-empty", "-m", "one")
    git(used.project / "packed", "pack-refs", "--all")
    git(used.project / "detached", "checkout", "--detach")
    git(used.project / "plain", "worktree", "add", str(used.project / "tree"))
    git(used.project, "init", "--separate-git-dir", str(used.home.root / "apart"), "far")
    assert str(used.project / "far") in used.finding(NESTED).says
    git(used.project / "far", "commit", "--allow-empty", "-m", "one")
    assert NESTED not in {one.check for one in findings(used.examined())}


def test_a_nested_repository_that_is_ignored_is_none(used: Patient) -> None:
    git(used.project / "scratch", "init")
    used.finding(NESTED)
    write(used.project / ".gitignore", "scratch/\n")
    assert NESTED not in {one.check for one in findings(used.examined())}


def test_a_large_tree_is_looked_at_in_part(used: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_FOLDERS", 3)
    for number in range(5):
        (used.project / f"folder{number}").mkdir()
    walk = snapshots._Walk(used.project)
    assert list(walk.unborn()) == []
    assert (walk.is_cut_off, walk.folders) == (True, 3)


@pytest.mark.parametrize("where", ["global", "project", "named"])
def test_snapshots_are_turned_off(used: Patient, where: str) -> None:
    places = {
        "global": used.home.config / "opencode.jsonc",
        "project": used.project / "opencode.json",
        "named": used.home.root / "named.json",
    }
    file = write(places[where], '{ // none\n"snapshot": false, }')
    used.env["OPENCODE_CONFIG"] = str(places["named"])
    one = used.finding("snapshots.off")
    assert (one.mark, one.mend) == (Mark.WARNING, f"${{EDITOR:-vi}} {file}")
    assert str(file) in one.says
    file.write_text('{"snapshot": true}')
    assert "snapshots.off" not in {one.check for one in findings(used.examined())}
