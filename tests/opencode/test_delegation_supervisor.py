"""What the supervisor and its user keep: their turn, agent, model and sessions."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from plays import Stage, Supervisor, call, delegate, say, staged

from lab.harness.client.events import Idle
from lab.harness.line import Line

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


async def test_a_notice_keeps_agent_and_model(stage: Stage) -> None:
    """The supervisor's agent and model stay what the user had chosen."""
    supervisor = await stage.supervisor()
    await supervisor.turn(say("Hello."))
    await supervisor.turn(
        # Not ``general``, which may write: OpenCode's own rules keep it from plan mode.
        delegate("Think.", say("Thought."), agent="explore"),
        say("Off."),
        on_notice=[say("Fine.")],
        agent="plan",
        model="scripted/two",
    )
    await supervisor.settled()

    spoken = [one.info for one in await supervisor.messages() if one.info.role == "assistant"]
    answers = {one.parent: one for one in spoken}
    assert len(answers) == 3
    *_, asked, notified = answers.values()
    assert (asked.agent, notified.agent) == ("plan", "plan")
    assert (asked.model, notified.model) == ("scripted/two", "scripted/two")
    assert {request.model for request in supervisor.requests[1:]} == {"two"}
    assert {request.model for request in stage.asked("Think.")} == {"one"}


async def test_a_chosen_model_is_for_the_delegation_alone(stage: Stage) -> None:
    """``model`` = provider/model-id, for this delegation alone."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("With another.", say("Two."), model="scripted/two"), say("Off."))
    await supervisor.settled()

    assert {request.model for request in stage.asked("With another.")} == {"two"}
    assert {request.model for request in supervisor.requests} == {"one"}


async def test_a_notice_in_the_middle_of_a_tool_is_taken_up_once(stage: Stage) -> None:
    """A busy supervisor sees it at the next step of the same run."""
    supervisor = await stage.supervisor()
    flag = stage.opencode.home.project / "go-on"
    wait = f"while [ ! -e {flag.name} ]; do sleep 0.05; done"
    mark = await supervisor.start(
        delegate("Be quick.", say("Quick.")),
        call("bash", command=wait, description="Work"),
        say("I saw {id}."),
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.notices()
    flag.touch()
    await stage.events.wait_idle(supervisor.id, since=mark)

    assert notice.id == name
    assert len(supervisor.requests) == 3
    assert [notice.text in one.text for one in supervisor.requests] == [False, False, True]
    await supervisor.turn(say("And on."))
    assert supervisor.requests[-1].text.count("<task-notification>") == 1


async def test_a_notice_while_the_model_speaks_is_taken_up_once(stage: Stage) -> None:
    """It waits for the end of the answer, and is part of the same run."""
    supervisor = await stage.supervisor()
    mark = await supervisor.start(
        delegate("Be quick too.", say("Quick.")),
        say("A long speech.", gate="speech"),
        on_notice=[say("Now I know.")],
    )
    await stage.model.wait_held("speech")
    (notice,) = await supervisor.notices()
    stage.model.open("speech")
    await supervisor.answered(notice.message)

    spoken = [one for one in await supervisor.messages() if one.info.role == "assistant"]
    assert [one.text for one in spoken[-2:]] == ["A long speech.", "Now I know."]
    idle = [one.session for one in stage.events.facts(Idle, since=mark)]
    assert idle.count(supervisor.id) == 1
    assert len(await supervisor.stored_notices()) == 1


@pytest.mark.only("2", why="our service asks for a title when the notice is out")
async def test_a_slow_small_model_improves_title_and_summary_afterwards(
    tmp_path: Path, line: Line
) -> None:
    """No notice ever waits for a model."""
    async with staged(tmp_path, line) as stage:
        stage.model.title = "Better title\nA better summary."
        stage.model.title_gate = "small model"
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Plain words.", say("Plain result.")), say("Off."))
        (name,) = await supervisor.delegated()
        (notice,) = await supervisor.settled()
        await stage.model.wait_held("small model")
        assert notice.fields["title"] == "Plain words."
        assert notice.fields["summary"] == "Plain result."
        stage.model.open("small model")
        await stage.model.wait_for(
            lambda one: one.gate == "small model" and one.ended_s is not None
        )

        await _until_listed(supervisor, f"- {name} [completed, unread] Better title (general,")

        assert stage.result(name)[0]["title"] == "Better title"
        assert stage.result(name)[0]["summary"] == "A better summary."
        assert stage.result(name)[1] == "Plain result."
        assert len(await supervisor.stored_notices()) == 1


async def _until_listed(supervisor: Supervisor, line: str) -> None:
    """List until ``line`` is there; what writes it comes a moment after the last event."""
    for tries in range(1, 20):
        await supervisor.turn(call("delegation_list"), say("Listed."))
        if line in (await supervisor.outputs("delegation_list", tries))[-1]:
            return
    raise AssertionError(f"never listed: {line}")


@pytest.mark.only("1", why="on OpenCode 2 two terminals in two projects show it")
async def test_two_projects_of_one_opencode_stay_apart(stage: Stage, tmp_path: Path) -> None:
    """Notices go to the session that delegated, in its own project."""
    folder = tmp_path / 'pröject "x"'
    folder.mkdir()
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q"], cwd=folder, check=True)
    async with (
        stage.opencode.client(folder) as client,
        client.events() as events,
    ):
        other = Stage(stage.model, stage.opencode, client, events)
        here, there = await stage.supervisor(), await other.supervisor()
        for one, task in ((here, "Here."), (there, "There.")):
            await one.turn(
                delegate(task, call("bash", command="pwd", description="Where"), say(f"{task} ok")),
                say("Off."),
            )
        (mine,), (theirs,) = await here.delegated(), await there.delegated()
        (near,), (far,) = await here.settled(), await there.settled()

        assert (near.id, far.id) == (mine, theirs)
        assert stage.result(mine)[1] == "Here. ok"
        assert stage.result(theirs)[1] == "There. ok"
        assert stage.artifact(mine).parents[1] != stage.artifact(theirs).parents[1]
        assert str(folder) in other.asked("There.")[-1].text
