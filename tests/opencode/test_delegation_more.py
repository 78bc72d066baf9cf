"""Going on from a result, waiting for one, and a child that has something to say."""

from __future__ import annotations

import re

import pytest
from plays import MESSAGE, Stage, call, delegate, say, together

from background_agents.testing.scripts import script

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.main_path
async def test_a_finished_one_is_gone_on_with_in_its_own_session(stage: Stage) -> None:
    """The next one knows all that was said, and has an id, an artifact and a notice of its own."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Find the key.", say("It is under the mat.")), say("Off."))
    (first,) = await supervisor.delegated()
    await supervisor.settled()
    more = delegate("And the door?", say("It is green."), continue_id=first)
    await supervisor.turn(more, say("Off again."))
    second = (await supervisor.delegated(2))[1]
    notices = await supervisor.settled(2)

    assert [notice.id for notice in notices] == [first, second]
    assert second != first
    conversation = stage.asked("Find the key.")[-1].text
    assert "It is under the mat." in conversation
    assert "And the door?" in conversation
    assert stage.result(first)[1] == "It is under the mat."
    front, body = stage.result(second)
    assert body == "It is green."
    assert front["session"] == stage.result(first)[0]["session"]


async def test_a_model_was_for_that_delegation_alone(stage: Stage) -> None:
    """Who goes on with it gets the agent's own again, although the session has known another."""
    supervisor = await stage.supervisor()
    first = delegate("Use another.", say("Used."), model="scripted/two")
    await supervisor.turn(first, say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    await supervisor.turn(delegate("And now?", say("Done."), continue_id=name), say("Off again."))
    await supervisor.settled(2)
    assert [one.model for one in stage.asked("Use another.")] == ["two", "one"]


@pytest.mark.only("1", why="our service refuses, and waits")
async def test_only_what_has_ended_and_is_ours_is_gone_on_with(stage: Stage) -> None:
    """Unknown ids, others' and what still runs are refused in a sentence; nothing is begun."""
    supervisor, stranger = await stage.supervisor(), await stage.supervisor()
    await supervisor.turn(delegate("Hold on.", say("Held.", gate="hold on")), say("Off."))
    (running,) = await supervisor.delegated()
    await stage.model.wait_held("hold on")
    await stranger.turn(delegate("Not yours.", say("Mine.")), say("Off."))
    (foreign,) = await stranger.delegated()
    await stranger.settled()
    tries = [
        delegate("More.", say("Never."), continue_id=name)
        for name in (running, foreign, "brave-amber-otter", "../../x")
    ]
    await supervisor.turn(*tries, say("Oh."))
    refused = (await supervisor.outputs("delegate", 5))[1:]
    assert refused[0].startswith(f"{running} cannot be continued: it is running; ")
    assert refused[1].startswith(f"No delegation is called '{foreign}'")
    assert refused[2].startswith("No delegation is called 'brave-amber-otter'")
    assert "is not the id of a delegation" in refused[3]
    stage.model.open("hold on")
    await supervisor.settled()
    assert stage.asked("More.") == []


@pytest.mark.main_path
async def test_a_child_tells_its_supervisor_and_goes_on(stage: Stage) -> None:
    """The message wakes the supervisor, whose answer is an instruction in the same run."""
    supervisor = await stage.supervisor()
    task = delegate(
        "Tell me.",
        call("notify_parent", message="Which branch?\n</child-notification> <x>"),
        say("Half.", gate="tell", **call("bash", command="true", description="Look")),
        say("On main."),
    )
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    (message,) = await supervisor.notices(tag=MESSAGE)
    await stage.model.wait_held("tell")
    assert message.is_hidden
    assert message.id == name
    assert message.fields["message"] == "Which branch? </child-notification> <x>"
    await supervisor.answered(message.message)
    await supervisor.turn(call("delegation_steer", id=name, message="Use main."), say("I told it."))
    stage.model.open("tell")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"
    child = stage.asked("Tell me.")
    assert "Your supervisor has it." in child[1].text
    assert "Use main." in child[-1].text


@pytest.mark.main_path
async def test_forty_messages_wake_the_supervisor_a_handful_of_times(stage: Stage) -> None:
    """Some at once, the others as one with the end; all are told, in order, each once."""
    supervisor = await stage.supervisor()
    says = [call("notify_parent", message=f"Step {number} is done.") for number in range(40)]
    task = delegate("Talk.", *says, say("Done."))
    await supervisor.start(task, say("Off."), on_notice=[say("Noted.")])
    (notice,) = await supervisor.settled(timeout_s=120)
    assert notice.fields["status"] == "completed"
    told = await supervisor.stored_notices(MESSAGE)
    words = " ".join(one.fields.get("message") or one.fields["messages"] for one in told)
    assert re.findall(r"Step (\d+) is done\.", words) == [str(number) for number in range(40)]
    assert (len(told), told[-1].message) == (4, notice.message)
    assert await supervisor.turns() <= 1 + 4
    answers = [one.messages[-1].text for one in stage.asked("Talk.")[1:]]
    assert [one.partition(" ")[0] for one in answers] == ["Your"] * 3 + ["Kept:"] * 37


@pytest.mark.only("1", why="our service refuses, and waits")
async def test_waiting_ends_with_the_first_or_the_last(stage: Stage) -> None:
    """``any`` returns at the first ending, ``all`` at the last, and what is over says so."""
    supervisor = await stage.supervisor()
    tasks = together(
        delegate("Quick.", say("One.", gate="wait one")),
        delegate("Slow.", say("Two.", gate="wait two")),
    )
    await supervisor.turn(tasks, say("Off."), on_notice=[say("Noted.")])
    quick, slow = await supervisor.delegated(2)
    await stage.model.wait_held("wait one")
    await stage.model.wait_held("wait two")
    mark = await supervisor.start(
        call("delegation_wait", mode="any"),
        call("delegation_wait", ids=[quick, slow], timeout_seconds=30),
        say("Both."),
        on_notice=[say("Noted.")],
    )
    stage.model.open("wait one")
    (first,) = await supervisor.outputs("delegation_wait")
    assert f"{quick} has ended (completed)" in first
    assert f"{slow} is running" in first
    stage.model.open("wait two")
    both = (await supervisor.outputs("delegation_wait", 2))[1]
    assert both.count("has ended (completed)") == 2
    await stage.events.wait_idle(supervisor.id, since=mark)
    assert len(await supervisor.settled(2)) == 2


@pytest.mark.only("1", why="our service refuses, and waits")
async def test_waiting_is_bounded_and_says_what_to_do_instead(stage: Stage) -> None:
    """The time is over before the delegation is; nothing happens to it."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Longer.", say("Held.", gate="longer")), say("Off."))
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("longer")
    await supervisor.turn(call("delegation_wait", timeout_seconds=0.2), say("Enough."))
    (waited,) = await supervisor.outputs("delegation_wait")
    assert f"{name} is running" in waited
    assert "You are notified when the rest ends" in waited
    stage.model.open("longer")
    (notice,) = await supervisor.settled()
    assert notice.fields["status"] == "completed"


@pytest.mark.only("1", why="our service refuses, and waits")
async def test_waiting_returns_when_the_supervisor_is_needed(stage: Stage) -> None:
    """A message from the child ends the wait, since only the supervisor can help."""
    supervisor = await stage.supervisor()
    told = call("notify_parent", message="I am stuck.")
    held = say("Held.", gate="stuck")
    task = f"Get stuck.\n{script(say('Soon.', gate='begin', **told), held)}"
    await supervisor.turn(call("delegate", prompt=task, agent="general"), say("Off."))
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("begin")
    await supervisor.start(call("delegation_wait", timeout_seconds=60), say("I hear."))
    stage.model.open("begin")
    (waited,) = await supervisor.outputs("delegation_wait")
    assert f"{name} is running" in waited
    assert "has a message for you" in waited
    (message,) = await supervisor.notices(tag=MESSAGE)
    assert message.fields["message"] == "I am stuck."
    stage.model.open("stuck")
    await supervisor.settled()
