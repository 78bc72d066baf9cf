"""What a delegation may use, on the real OpenCode: told at 80 %, refused at 100 %, then stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from plays import MESSAGE, Stage, Step, call, delegate, say, staged
from test_delegation_crashes import service_pid

from background_agents.testing.scripts import script
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="the service weighs what is used, whichever line tells of it"),
]

FINISH_NOW = "finish now with what you have"

REFUSED = "No tool runs any more"

MANY_STEPS_S = 90
"""A dozen steps with a shell each; OpenCode 2 takes two seconds for one on a busy machine."""


def look(number: object) -> Step:
    """Let the agent run a command that is another one each time."""
    return {**call("bash", command=f"echo look {number}", description="Look"), "say": f"L{number}."}


def on_and_on(count: int = 30) -> list[Step]:
    return [look(number) for number in range(1, count + 1)]


def ran(stage: Stage, task: str) -> int:
    """Return how many commands of a task have run, by what its model was told of them."""
    newest = stage.asked(task)[-1].messages
    told = "\n".join(one.text for one in newest if one.role == "tool")
    return sum(f"look {number}\n" in f"{told}\n" for number in range(1, 31))


@pytest.mark.main_path
async def test_turns_are_limited(stage: Stage) -> None:
    """Told at eight of ten, refused at ten, and one more call of the model at the most."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Count turns.", *on_and_on(), max_turns=10), say("Off."), on_notice=[say("Noted.")]
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)

    requests = stage.asked("Count turns.")
    assert len(requests) == 11
    assert requests[-1].text.count(FINISH_NOW) == 1
    assert not any(FINISH_NOW in one.text for one in requests[:8])
    assert REFUSED in requests[-1].text
    assert ran(stage, "Count turns.") == 9
    assert notice.fields["status"] == "stopped"
    assert notice.fields["error"] == "Stopped at its limit of 10 turns."
    front, body = stage.result(name)
    assert front["state"] == "stopped"
    assert body.startswith("[STOPPED] Stopped at its limit of 10 turns.\n\nL1.")
    assert "L10." in body


async def test_who_answers_at_its_limit_completes_and_is_called_cut(stage: Stage) -> None:
    """The refusal is read, and what the agent makes of it is its result."""
    supervisor = await stage.supervisor()
    steps = [*on_and_on(3), say("All that I have.")]
    await supervisor.turn(
        delegate("Obey the limit.", *steps, max_turns=3), say("Off."), on_notice=[say("Noted.")]
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)

    assert notice.fields["status"] == "completed"
    assert notice.fields["cut"] == "It had to end at its limit of 3 turns: it may not be whole."
    assert stage.result(name)[1].endswith("All that I have.")
    assert len(stage.asked("Obey the limit.")) == 4


async def test_who_ends_by_itself_within_its_limits_is_left_alone(stage: Stage) -> None:
    supervisor = await stage.supervisor()
    steps = [*on_and_on(2), say("Whole.")]
    await supervisor.turn(
        delegate("Be modest.", *steps, max_turns=3), say("Off."), on_notice=[say("Noted.")]
    )
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
    assert (notice.fields["status"], notice.fields.get("cut")) == ("completed", None)
    assert stage.result(name)[1] == "Whole."
    assert len(stage.asked("Be modest.")) == 3


async def test_tokens_are_limited(stage: Stage) -> None:
    """They are known when a call has ended; one more call is all there is beyond the limit."""
    supervisor = await stage.supervisor()
    task = delegate("Count tokens.", *on_and_on(), max_tokens=40_000)
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)

    assert notice.fields["error"] == "Stopped at its limit of 40,000 tokens."
    used, beyond = 0, 0
    for request in stage.asked("Count tokens."):
        beyond += used >= 40_000
        used += request.size_bytes // 4 + 10
    assert used >= 40_000
    assert beyond == 1


async def test_a_loop_of_equal_calls_is_stopped_at_six(stage: Stage) -> None:
    """Told at three, the supervisor too; ended at six."""
    supervisor = await stage.supervisor()
    again = [{**call("bash", command="echo same", description="Again"), "say": "Again."}] * 20
    await supervisor.turn(
        delegate("Go in circles.", *again), say("Off."), on_notice=[say("Noted.")] * 2
    )
    (name,) = await supervisor.delegated()
    (told,) = await supervisor.notices(tag=MESSAGE, timeout_s=MANY_STEPS_S)
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)

    requests = stage.asked("Go in circles.")
    outputs = [one for one in requests[-1].messages if one.role == "tool" and "same" in one.text]
    assert len(outputs) in (5, 6)  # the seventh answer may not have been asked for
    assert len(requests) <= 7
    assert any("Do something else" in one.text for one in requests)
    assert "the same call 3 times in a row" in told.fields["message"]
    assert notice.fields["status"] == "stopped"
    assert notice.fields["error"] == f"It repeated the same call 6 times ({stage.shell})."
    assert stage.result(name)[0]["tool_calls"] in (6, 7)


async def test_what_changes_is_no_loop(stage: Stage) -> None:
    """The same command with another answer each time is a look at something that goes on."""
    supervisor = await stage.supervisor()
    poll = call("bash", command="echo x >> polled.txt; wc -l < polled.txt", description="Poll")
    task = delegate("Poll.", *[poll] * 8, say("Seen."))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
    assert notice.fields["status"] == "completed"
    assert len(stage.asked("Poll.")) == 9


@pytest.mark.only("1", why="on OpenCode 2 no session can be made below a child's")
async def test_what_is_below_counts(stage: Stage) -> None:
    """Calls in a session below are its delegation's, and its tools are refused as well."""
    supervisor = await stage.supervisor()
    held = say("Held.", gate="below the limit")
    await supervisor.turn(
        delegate("Above it.", held, max_turns=6), say("Off."), on_notice=[say("Noted.")]
    )
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("below the limit")
    below = await stage.client.create_session("Below", parent=await stage.child(name))
    await stage.client.prompt(below, f"Below it.\n{script(*on_and_on())}")
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)

    under = stage.asked("Below it.")
    assert notice.fields["error"] == "Stopped at its limit of 6 turns."
    assert len(under) == 6
    assert REFUSED in under[-1].text
    assert ran(stage, "Below it.") == 4
    assert len(stage.asked("Above it.")) == 1
    front, body = stage.result(name)
    assert body.endswith("Held.")
    assert int(str(front["tokens"])) > sum(one.size_bytes // 4 for one in under[:5])


async def test_bad_limits_are_refused(stage: Stage) -> None:
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Never.", say("No."), max_turns=-1), say("Oh."))
    (refused,) = await supervisor.outputs("delegate")
    assert refused == "max_turns is -1; give a number above 0, or leave it out."


def priced(**dollars: float) -> Mapping[str, object]:
    """Return a configuration in which the first model has a price for a million tokens."""
    return {"provider": {"scripted": {"models": {"one": {"cost": dollars}}}}}


async def test_cost_is_limited_where_the_price_is_known(tmp_path: Path, line: Line) -> None:
    """And the day's limit of the project refuses what comes after it."""
    config, env = priced(input=1.0, output=1.0), {"BACKGROUND_AGENTS_DAY_COST_USD": "0.03"}
    async with staged(tmp_path, line, config=config, env=env) as stage:
        supervisor = await stage.supervisor()
        task = delegate("Spend.", *on_and_on(), max_cost_usd=0.03)
        await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
        (name,) = await supervisor.delegated()
        (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
        assert notice.fields["error"] == "Stopped at its limit of $0.0300."
        assert "limit" not in notice.fields
        used, beyond = 0, 0
        for request in stage.asked("Spend."):
            beyond += used >= 30_000
            used += request.size_bytes // 4 + 10
        assert beyond == 1
        assert float(str(stage.result(name)[0]["cost_usd"])) >= 0.03

        await supervisor.turn(delegate("Spend more.", say("No.")), say("Oh."))
        refused = (await supervisor.outputs("delegate", 2))[-1]
        assert refused.startswith("Nothing was delegated: this project has spent $0.0")
        assert "it may again at 00:00 UTC, in " in refused


async def test_an_unknown_price_is_said(stage: Stage) -> None:
    supervisor = await stage.supervisor()
    task = delegate("Cost nothing?", look(1), say("Half.", gate="price"), max_cost_usd=1)
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    await stage.model.wait_held("price")
    await supervisor.turn(call("delegation_status"), say("I see."))
    (status,) = await supervisor.outputs("delegation_status")
    stage.model.open("price")
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
    assert "limit: $0.0000 of $1.00 (price unknown)" in status
    assert notice.fields["status"] == "completed"
    assert notice.fields["limit"] == "Its limit of $1.00 could not be kept: price unknown."


async def test_a_restart_forgets_neither_the_warning_nor_the_limit(stage: Stage) -> None:
    """The service is killed after the warning: told once, counted on, and ended at the limit."""
    supervisor = await stage.supervisor()
    steps = [*on_and_on(8), {**look(9), "gate": "killed"}, *on_and_on()[9:]]
    task = delegate("Live on.", *steps, max_turns=10)
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("killed", timeout_s=MANY_STEPS_S)
    os.kill(await service_pid(stage.opencode), signal.SIGKILL)
    await supervisor.turn(call("delegation_list"), say("Looked."))
    stage.model.open("killed")
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
    requests = stage.asked("Live on.")
    assert notice.fields["error"] == "Stopped at its limit of 10 turns."
    assert len(requests) == 11
    assert requests[-1].text.count(FINISH_NOW) == 1
    assert stage.result(name)[0]["steers"] == 1


async def test_a_loop_goes_on_over_a_restart(stage: Stage) -> None:
    """What OpenCode has stored and what its events tell is compared as one, and told once."""
    supervisor = await stage.supervisor()
    again = {**call("bash", command="echo same ☂", description="Again"), "say": "Again."}
    steps = [*[again] * 4, {**again, "gate": "loop"}, *[again] * 15]
    task = delegate("Circle on.", *steps)
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")] * 2)
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("loop", timeout_s=MANY_STEPS_S)
    os.kill(await service_pid(stage.opencode), signal.SIGKILL)
    await supervisor.turn(call("delegation_list"), say("Looked."))
    stage.model.open("loop")
    (notice,) = await supervisor.settled(timeout_s=MANY_STEPS_S)
    assert notice.fields["error"] == f"It repeated the same call 6 times ({stage.shell})."
    assert len(stage.asked("Circle on.")) <= 7
    assert stage.result(name)[0]["steers"] == 1
    assert len(await supervisor.stored_notices(MESSAGE)) == 1
