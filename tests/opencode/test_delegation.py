"""The main path: delegate, be notified, read; and what makes a notice trustworthy."""

from __future__ import annotations

import stat

import pytest
from plays import OUR_TOOLS, Stage, call, delegate, say, together

from lab.harness.client.events import Named

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="the main path is taken on both; the rest is our service's"),
]

STRANGE = "Grüße, \"quotes\" 'and' `ticks`, $HOME \\n, 日本語 🦦\nsecond line\ttab\r\nthird"


def notices_in(text: str) -> int:
    return text.count("<task-notification>")


@pytest.mark.main_path
async def test_a_delegation_is_notified_and_read(stage: Stage) -> None:
    """The whole main path, as a user of OpenCode has it."""
    supervisor = await stage.supervisor()

    await supervisor.turn(
        delegate("Find the answer.", say("The answer is forty-two.")),
        say("I delegated {id}."),
        on_notice=[call("delegation_read", id="{id}"), call("delegation_list"), say("Got it.")],
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()

    assert notice.is_hidden
    assert notice.id == name
    assert notice.fields["status"] == "completed"
    assert notice.fields["title"] == "Find the answer."
    assert notice.fields["summary"] == "The answer is forty-two."
    assert (notice.fields["remaining"], notice.fields["all-complete"]) == ("0", "true")
    assert notice.fields["retrieval"] == f'delegation_read("{name}")'
    (read,) = await supervisor.outputs("delegation_read")
    assert read == stage.text(name)
    assert read.endswith("\n\nThe answer is forty-two.")
    (listed,) = await supervisor.outputs("delegation_list")
    assert f"- {name} [completed] Find the answer. (general," in listed
    assert (await supervisor.messages())[-1].text == "Got it."


@pytest.mark.main_path
async def test_the_artifact_is_a_private_file_with_front_matter(stage: Stage) -> None:
    """Readable by people, greppable, complete without the database."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Write it down.", say("Written.")), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()

    path = stage.artifact(name)
    front, body = stage.result(name)

    assert path.parent.name == supervisor.id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert body == "Written."
    assert front["id"] == name
    assert front["state"] == "completed"
    assert front["agent"] == "general"
    assert front["session"] == await stage.child(name)
    assert front["root_session"] == supervisor.id
    assert str(front["prompt"]).startswith("Write it down.\n")


@pytest.mark.main_path
async def test_the_child_is_a_session_of_its_own_that_cannot_delegate(stage: Stage) -> None:
    """Titled ``agent · id``, below the supervisor's; delegations spawn no delegations."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Look around.", call("bash", command="echo seen", description="Look"), say("So.")),
        say("Off."),
    )
    (name,) = await supervisor.delegated()
    await supervisor.settled()

    child = await stage.child(name)

    named = [one.title for one in stage.events.facts(Named) if one.session == child]
    assert named[-1] == f"general · {name}"
    assert await supervisor.children() == [child]
    assert supervisor.requests[0].tool_names & OUR_TOOLS == OUR_TOOLS - {"notify_parent"}
    asked = stage.asked("Look around.")
    assert len(asked) == 2
    for request in asked:
        assert "bash" in request.tool_names
        assert request.tool_names & (OUR_TOOLS | {"task"}) == {"notify_parent"}
        assert not [tool for tool in request.tool_names if tool.startswith("delegat")]


async def test_ten_at_once_are_each_notified_once(stage: Stage) -> None:
    """More than run at once; ``remaining`` counts down, and the last says that all is done."""
    supervisor = await stage.supervisor()
    tasks = [delegate(f"Task {n}.", say(f"Result {n}.")) for n in range(10)]

    await supervisor.turn(together(*tasks), say("Ten are off."), on_notice=[say("Seen.")])
    names = await supervisor.delegated(10)
    notices = await supervisor.settled(10)

    assert len(set(names)) == 10
    assert sorted(notice.id for notice in notices) == sorted(names)
    assert {notice.fields["status"] for notice in notices} == {"completed"}
    remaining = [int(notice.fields["remaining"]) for notice in notices]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 0
    complete = {notice.message for notice in notices if "all-complete" in notice.fields}
    assert complete == {notices[-1].message}
    for n, name in enumerate(names):
        front, body = stage.result(name)
        assert str(front["prompt"]).startswith(f"Task {n}.")
        assert body == f"Result {n}."


async def test_no_more_run_at_once_than_allowed(stage: Stage) -> None:
    """Eight run, the ninth waits its turn."""
    supervisor = await stage.supervisor()
    tasks = [delegate(f"Slot {n}.", say("Held.", gate="slots")) for n in range(9)]

    await supervisor.turn(together(*tasks), call("delegation_list"), say("Off."))
    await stage.model.wait_held("slots", 8)
    await supervisor.turn(call("delegation_list"), say("Looked."))
    listed = (await supervisor.outputs("delegation_list", 2))[-1]
    assert len([1 for request in stage.model.requests if request.gate == "slots"]) == 8
    stage.model.open("slots")

    assert (listed.count("[running]"), listed.count("[registered]")) == (8, 1)
    assert len(await supervisor.settled(9)) == 9


async def test_two_that_end_together_wake_the_supervisor_once(stage: Stage) -> None:
    """Several notices due at the same moment travel as one message."""
    supervisor = await stage.supervisor()
    tasks = [delegate(f"Half {n}.", say(f"Half {n} done.", gate="both")) for n in range(2)]
    await supervisor.turn(together(*tasks), say("Two are off."), on_notice=[say("Both seen.")])
    await stage.model.wait_held("both", 2)

    stage.model.open("both")
    notices = await supervisor.settled(2)

    assert len(notices) == 2
    assert len({notice.message for notice in notices}) == 1
    assert {notice.fields["remaining"] for notice in notices} == {"0"}
    woken = [one for one in supervisor.requests if notices_in(one.text)]
    assert [notices_in(one.text) for one in woken] == [2]
    assert await supervisor.turns() == 2


@pytest.mark.only("1", "2", why="each line has a way of its own for what is said")
async def test_strange_characters_survive(stage: Stage) -> None:
    """Unicode, quotes and line breaks pass through prompt, result, notice and artifact."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate(STRANGE, say(STRANGE)), say("Off."))
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()

    assert stage.asked(STRANGE)
    front, body = stage.result(name)
    assert body == STRANGE
    assert str(front["prompt"]).startswith(STRANGE)
    assert notice.fields["title"] == STRANGE.splitlines()[0].replace("`", "")
    assert "日本語 🦦 second line tab third" in notice.fields["summary"]
