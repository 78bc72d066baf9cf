"""Processes that die while a delegation works in a tree of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from plays import Stage, Step, Supervisor, call, say, staged
from test_delegation_crashes import answer_of, restarted, service_pid, until_kept
from test_delegation_isolation import apart, run, tree

from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only("2", why="there the place of a session is told anew after a restart"),
]


def halfway(gate: str) -> Step:
    """Let the agent come to a gate, and write its second file behind it."""
    return {**run("echo 2 > two.txt"), "say": "Half of it.", "gate": gate}


async def held(stage: Stage, *steps: Step, gate: str) -> tuple[Supervisor, str]:
    """Delegate what stops at a gate when it has written one file; return once it stands there."""
    supervisor = await stage.supervisor()
    task = apart("Survive.", run("echo 1 > one.txt"), *steps)
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held(gate)
    return supervisor, name


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.txt")} & {"one.txt", "two.txt"}


async def test_a_service_killed_in_the_middle(tmp_path: Path, line: Line) -> None:
    """The next one knows from the record where it works, and hears what is told there."""
    async with staged(tmp_path, line) as stage:
        steps = (halfway("half"), say("Survived."))
        supervisor, name = await held(stage, *steps, gate="half")

        os.kill(await service_pid(stage.opencode), signal.SIGKILL)
        listed = await answer_of(supervisor, "delegation_list")
        stage.model.open("half")
        (notice,) = await supervisor.settled()

        assert f"- {name} [running]" in listed
        assert (notice.id, notice.fields["status"]) == (name, "completed")
        assert notice.fields["changes"] == "one.txt, two.txt"
        assert stage.result(name)[1] == "Survived."
        assert files(tree(stage, name)) == {"one.txt", "two.txt"}
        assert files(stage.opencode.home.project) == set()


async def test_opencode_killed_in_the_middle(tmp_path: Path, line: Line) -> None:
    """It is told to go on in its tree, which the new OpenCode has not opened yet."""
    async with staged(tmp_path, line) as stage:
        # Whether the answer that was cut off counts as one is told differently by each line.
        steps = (halfway("half"), run("echo 2 > two.txt"), say("Whole."))
        supervisor, name = await held(stage, *steps, gate="half")
        await until_kept(stage, "Half of it.")

        await stage.opencode.kill()
        async with restarted(stage) as again:
            stage.model.open("half")
            after = Supervisor(supervisor.id, again)
            await after.turn(call("delegation_list"), say("Back."), on_notice=[say("Noted.")])
            (notice,) = await after.settled()

            assert (notice.id, notice.fields["status"]) == (name, "completed")
            assert notice.fields["changes"] == "one.txt, two.txt"
            assert files(tree(again, name)) == {"one.txt", "two.txt"}
            assert files(again.opencode.home.project) == set()
            await after.turn(call("delegation_apply", id=name), say("Applied."))
            assert files(again.opencode.home.project) == {"one.txt", "two.txt"}
