"""From a delegation that writes to an undo and back, on a real OpenCode of either line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from plays import Stage, call, delegate, say
from terminal_user import TerminalUser

from background_agents.views.json_changes import DiffSheet, UndoSheet
from tests.client.trees import snapshot

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

BEFORE = b"one\ntwo\nthree\nfour\nfive\n"


def applies(project: Path, patch: bytes, *words: str) -> None:
    command = ["git", "apply", *words, "-"]
    subprocess.run(command, cwd=project, input=patch, check=True, capture_output=True)


@pytest.mark.main_path
async def test_what_a_delegation_changed_is_told_shown_undone_and_redone(stage: Stage) -> None:
    project, user = stage.opencode.home.project, TerminalUser(stage.opencode.home)
    (project / "kept.txt").write_bytes(BEFORE)
    before, git = snapshot(project), snapshot(project, git=True)
    supervisor = await stage.supervisor()
    steps = (
        call("edit", filePath=str(project / "kept.txt"), oldString="two", newString="TWO <b>"),
        call("write", filePath=str(project / "new" / "ä b.txt"), content="hello\n"),
        call("bash", command="printf 'x\\000y' > made.bin", description="Make it."),
        say("Done."),
    )
    await supervisor.turn(delegate("Change it.", *steps), say("Off."))
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()
    assert '<changes files="3" added="2" removed="1" uncertain="1">' in notice.text
    assert notice.fields["changes"] == "kept.txt, made.bin, new/ä b.txt"

    await supervisor.turn(call("delegation_diff", id=name), say("I see."))
    (shown,) = await supervisor.outputs("delegation_diff")
    assert shown.startswith(f"{name} changed 3 files +2 -1, 1 uncertain:\nM kept.txt +1 -1\n")
    assert "\n-two\n+TWO <b>\n" in shown
    await supervisor.turn(call("delegation_list"), say("I see."))
    (listed,) = await supervisor.outputs("delegation_list")
    assert "{3 files +2 -1, 1 uncertain}" in listed

    after = snapshot(project)
    (project / "kept.txt").write_bytes((project / "kept.txt").read_bytes() + b"mine\n")
    with_mine = snapshot(project)
    patch = (await user.run("diff", name, "--patch")).out.encode()
    applies(project, patch, "-R", "--check")
    undone = await user.run("undo", name, "--yes", "--likely")
    assert (undone.code, undone.out.count("\n")) == (0, 3), undone
    assert " merge   kept.txt  " in undone.out
    assert snapshot(project) == {**before, "kept.txt": (before["kept.txt"][0], BEFORE + b"mine\n")}
    told = msgspec.json.decode((await user.run("diff", name, "--json")).out, type=DiffSheet)
    assert (told.changes.files, told.files, len(told.undone)) == (0, (), 3)
    redone = await user.run("redo", name, "--yes", "--json")
    assert len(msgspec.json.decode(redone.out, type=UndoSheet).done) == 3
    assert snapshot(project) == with_mine != after
    assert snapshot(project, git=True) == git


@pytest.mark.only("2", why="who still writes is found by our own journal")
async def test_what_still_writes_is_shown_and_not_undone(stage: Stage) -> None:
    project, user = stage.opencode.home.project, TerminalUser(stage.opencode.home)
    supervisor = await stage.supervisor()
    steps = (
        call("write", filePath=str(project / "early.txt"), content="early\n"),
        say("Later more.", gate="early"),
    )
    await supervisor.turn(delegate("Write.", *steps), say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("early")
    await supervisor.turn(call("delegation_diff", id=name, path="early.txt"), say("I see."))
    (shown,) = await supervisor.outputs("delegation_diff")
    assert "\n+early" in shown
    await supervisor.turn(call("delegation_status"), say("I see."))
    (report,) = await supervisor.outputs("delegation_status")
    assert "1 file +1 -0 changed" in report
    told = (await user.run("status")).out
    assert "1 file +1 -0 changed" in " ".join(told.split())
    refused = await user.run("undo", name, "--yes")
    assert refused.code == 2
    assert "can be undone once it has ended" in refused.err
    stage.model.open("early")
    await user.run("wait", name)
    assert (await user.run("undo", name, "--yes")).code == 0
    assert not (project / "early.txt").exists()
