"""Delegations of delegations on a real OpenCode: the tree, its notices, its stop and its crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from plays import OUR_TOOLS, Stage, Step, Supervisor, call, say, staged

from lab.harness.line import Line
from lab.model_server import script

pytestmark = pytest.mark.opencode

DEEP = {"BACKGROUND_AGENTS_MAX_DEPTH": "2"}

HALF = say("Half of it. ", gate="never opened")


def hand_on(task: str, *steps: Step, on_notice: Sequence[Step] = ()) -> Step:
    """Let a model delegate ``task`` to an agent that plays ``steps``, and others after notices."""
    prompt = f"{task}\n{script(*steps, on_notice=list(on_notice))}"
    return call("delegate", prompt=prompt, agent="general")


def chain(*lowest: Step) -> Step:
    """Let a model delegate to one that delegates to one that plays ``lowest``."""
    looks = [call("delegation_list"), say("Both parts are done.")]
    return hand_on("Middle.", hand_on("Below.", *lowest), say("Handed on."), on_notice=looks)


async def tree(stage: Stage, supervisor: Supervisor) -> tuple[str, Supervisor, str]:
    """Return the id and the session of the delegation in the middle, and the id of the lowest."""
    (middle,) = await supervisor.delegated()
    session = Supervisor(await stage.child(middle), stage)
    (below,) = await session.delegated()
    await stage.child(below)
    return middle, session, below


async def test_a_child_delegates_and_ends_after_its_own_child(tmp_path: Path, line: Line) -> None:
    """Each is told of its own, once; and as deep as it may be, no tool for more is offered."""
    async with staged(tmp_path, line, env=DEEP) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(chain(say("Found below.")), say("Off."), on_notice=[say("Noted.")])
        middle, session, below = await tree(stage, supervisor)
        notices = await supervisor.settled()

        assert [(one.id, one.fields["status"]) for one in notices] == [(middle, "completed")]
        assert [one.id for one in await session.stored_notices()] == [below]
        assert stage.result(middle)[1] == "Both parts are done."
        front, body = stage.result(below)
        assert body == "Found below."
        assert (front["above"], front["depth"]) == (middle, 2)
        assert front["root_session"] == supervisor.id
        assert stage.artifact(below).parent == stage.artifact(middle).parent
        (listed,) = await session.outputs("delegation_list")
        assert f"- {below} (below {middle}) [completed, unread]" in listed
        assert f"- {middle} " not in listed

        native = stage.dialect.tool("task")
        for asked in stage.asked("Middle."):
            assert asked.tool_names & (OUR_TOOLS | {native}) == OUR_TOOLS
        for asked in stage.asked("Below."):
            assert asked.tool_names & (OUR_TOOLS | {native}) == {"notify_parent"}


@pytest.mark.only("1", why="the way down is the same, and a stop is tried on both elsewhere")
async def test_a_stop_ends_the_tree_and_wakes_nobody_in_it(tmp_path: Path, line: Line) -> None:
    """The one in the middle rests while it waits: what it has said so far is no result."""
    async with staged(tmp_path, line, env=DEEP) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(chain(HALF), say("Off."), on_notice=[say("Noted.")])
        middle, session, below = await tree(stage, supervisor)
        await stage.model.wait_held("never opened")
        await stage.events.wait_idle(session.id)
        asked = len(stage.asked("Middle."))

        await supervisor.turn(call("delegation_stop", id=middle), say("Stopped."))
        await supervisor.settled()

        front, body = stage.result(middle)
        assert front["state"] == "stopped"
        assert body.startswith("[STOPPED BY SUPERVISOR]")
        front, body = stage.result(below)
        assert front["state"] == "stopped"
        assert "The delegation above it has ended" in body
        assert body.rstrip().endswith("Half of it.")
        assert [one.id for one in await supervisor.stored_notices()] == [middle]
        assert len(stage.asked("Middle.")) == asked


@pytest.mark.only("2", why="there no runtime knows after a restart whose child a session is")
async def test_a_tree_that_was_killed_goes_on_after_the_restart(tmp_path: Path, line: Line) -> None:
    """Cut off below one that rests: each goes on, and is told of its own once."""
    async with staged(tmp_path, line, env=DEEP) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(chain(HALF, say("Whole.")), say("Off."))
        middle, session, below = await tree(stage, supervisor)
        await stage.model.wait_held("never opened")
        await stage.events.wait_idle(session.id)

        await stage.opencode.kill()
        await stage.opencode.start()
        async with stage.opencode.client() as client, client.events() as events:
            again = Stage(stage.model, stage.opencode, client, events)
            after = Supervisor(supervisor.id, again)
            await after.turn(call("delegation_list"), say("Back."), on_notice=[say("Noted.")])
            notices = await after.settled()

            assert [(one.id, one.fields["status"]) for one in notices] == [(middle, "completed")]
            assert again.result(below)[1] == "Whole."
            assert again.result(middle)[1] == "Both parts are done."
            inner = await Supervisor(session.id, again).stored_notices()
            assert [one.id for one in inner] == [below]
