"""What cannot be done is said in one sentence: at once, or by one notice."""

from __future__ import annotations

import re

import pytest
from plays import Stage, Step, Supervisor, call, delegate, say

from lab.harness.client.events import Retrying
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="our service refuses before OpenCode is asked"),
]


async def refused(supervisor: Supervisor, step: Step) -> str:
    """Let the supervisor call a tool and return the answer; nothing may have been created."""
    await supervisor.turn(step, call("delegation_list"), say("So it is."))
    (answer,) = await supervisor.outputs(str(step["call"]))
    (listed,) = await supervisor.outputs("delegation_list")
    assert listed == "Nothing has been delegated in this session yet."
    assert await supervisor.children() == []
    return answer


@pytest.mark.only("1", "2", why="each line has errors of its own")
async def test_an_unknown_agent_is_refused_with_the_list(stage: Stage) -> None:
    """Unknown agent: refused with the list of agents, and nothing is created."""
    answer = await refused(
        await stage.supervisor(), delegate("Explore.", say("Never."), agent="explorer")
    )

    assert "explorer" in answer
    assert "general" in answer
    assert "explore" in answer.replace("explorer", "")
    assert "title" not in answer
    assert "\n" not in answer.strip()


@pytest.mark.parametrize("name", ["gpt", "scripted/", "a b/c"])
async def test_a_malformed_model_is_refused(stage: Stage, name: str) -> None:
    """Malformed model: refused at once."""
    answer = await refused(await stage.supervisor(), delegate("Try.", say("Never."), model=name))

    assert f"{name!r}".strip("'") in answer
    assert "provider/model-id" in answer


async def test_arguments_that_cannot_be_meant_are_refused(stage: Stage) -> None:
    """Bad input returns one clear sentence and changes nothing."""
    negative = delegate("Try.", say("Never."), timeout_minutes=-1)
    answer = await refused(await stage.supervisor(), negative)
    assert "timeout_minutes is -1" in answer

    empty = call("delegate", prompt=" \n", agent="general")
    assert "empty" in await refused(await stage.supervisor(), empty)


async def test_an_unknown_id_is_not_read(stage: Stage) -> None:
    """Bad input: what to do next is part of the answer."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        call("delegation_read", id="never-was-otter"),
        call("delegation_read", id="../../etc/passwd"),
        say("No."),
    )

    unknown, malformed = await supervisor.outputs("delegation_read", 2)

    assert "never-was-otter" in unknown
    assert "delegation_list()" in unknown
    assert "is not the id of a delegation" in malformed


async def test_delegations_of_other_sessions_are_not_shown(stage: Stage) -> None:
    """Delegations are visible within one root session."""
    owner, stranger = await stage.supervisor(), await stage.supervisor()
    await owner.turn(delegate("Keep it.", say("A secret.")), say("Off."))
    (name,) = await owner.delegated()
    await owner.settled()

    await stranger.turn(call("delegation_read", id=name), call("delegation_list"), say("Hm."))

    assert "secret" not in (await stranger.outputs("delegation_read"))[0]
    assert name not in (await stranger.outputs("delegation_list"))[0]


@pytest.mark.only("1", "2", why="each line has errors of its own")
async def test_a_model_that_does_not_exist_fails_with_one_notice(stage: Stage) -> None:
    """OpenCode accepts such a prompt and stores no answer: the error is only an event."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Use a model.", say("Never."), model="scripted/nowhere"), say("Off.")
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()

    assert (notice.id, notice.fields["status"]) == (name, "failed")
    assert "scripted/nowhere" in notice.fields["error"]
    # In the words of OpenCode, which are others on each line.
    told = {Line.ONE: "Model not found", Line.TWO: "Model unavailable"}[stage.line]
    assert notice.fields["error"].startswith(told)
    assert stage.result(name)[1].startswith(f"[FAILED] {told}")


@pytest.mark.only("1", "2", why="each line has errors of its own")
async def test_the_providers_words_are_the_error(stage: Stage) -> None:
    """A provider's 400 is not retried; what it says reaches the supervisor."""
    words = "The <scripted> context is too long: 300001 tokens"
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Ask.", call("bash", command="true", description="x"), fail(400, words)),
        say("Off."),
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()

    assert notice.fields["status"] == "failed"
    assert words in notice.fields["error"]
    assert "<scripted>" not in notice.text
    assert len(stage.asked("Ask.")) == 2
    front, body = stage.result(name)
    assert (front["state"], words in str(front["error"])) == ("failed", True)
    assert body.startswith("[FAILED] ")


async def test_a_rate_limit_passes(stage: Stage) -> None:
    """OpenCode repeats by itself after a 429, and that is no failure."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Wait.", fail(429, "slow down", times=2, retry_after_s=0.1), say("Through.")),
        say("Off."),
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()

    assert notice.fields["status"] == "completed"
    assert stage.result(name)[1] == "Through."
    assert len(stage.asked("Wait.")) == 3


def fail(status: int, message: str, **more: object) -> Step:
    return {"fail": status, "message": message, **more}


async def test_while_the_provider_refuses_the_status_says_so(stage: Stage) -> None:
    """A retry is OpenCode's business, and is to be seen: which attempt, when the next, and why."""
    supervisor = await stage.supervisor()
    refused = {"fail": 429, "message": "Too many", "times": 2, "retry_after_s": 4}
    task = delegate("Be refused.", refused, say("At last.", gate="accepted"))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    child = await stage.child(name)
    await stage.events.fact(Retrying, lambda one: (one.session, one.attempt) == (child, 2))
    await supervisor.turn(call("delegation_status"), say("It retries."))
    await stage.model.wait_held("accepted")
    await supervisor.turn(call("delegation_status"), say("It works."))
    retrying, working = await supervisor.outputs("delegation_status", 2)
    stage.model.open("accepted")
    (notice,) = await supervisor.settled()

    assert re.search(r"attempt 2, again in \d+(\.\d+)?s: .*Too man", retrying)
    assert f"- {name} [running]" in retrying
    assert f"- {name} [running]" in working
    assert "attempt" not in working
    assert notice.fields["status"] == "completed"
    assert len(stage.asked("Be refused.")) == 3
