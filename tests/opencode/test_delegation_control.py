"""The supervisor sees and stops what runs, on the real OpenCode."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from plays import Stage, call, delegate, say

from background_agents.control import places
from background_agents.rpc.messages import Request

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.main_path
async def test_a_running_one_is_seen_and_stopped(stage: Stage) -> None:
    """Status and peek show it; after the stop the model is let go and nothing is asked any more."""
    supervisor = await stage.supervisor()
    slow = say("tick ", repeat=10_000, every_ms=20)
    await supervisor.turn(delegate("Count on.", slow), say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    (request,) = [await stage.model.wait_for(lambda one: one in stage.asked("Count on."))]

    await supervisor.turn(
        call("delegation_status"), call("delegation_peek", id=name), say("I see it.")
    )
    (status,) = await supervisor.outputs("delegation_status")
    (peek,) = await supervisor.outputs("delegation_peek")
    assert status.startswith(f"- {name} [running] Count on.")
    assert "tick tick" in peek

    await supervisor.turn(call("delegation_stop", id=name), say("Stopped."))
    (stop,) = await supervisor.outputs("delegation_stop")
    await stage.model.wait_for(lambda one: one is request and one.ended_s is not None)
    (notice,) = await supervisor.settled()

    assert stop.startswith(f"{name} is stopped; ")
    assert request.cut_off
    assert notice.fields["status"] == "stopped"
    front, body = stage.result(name)
    head, _, written = body.partition("\n\n")
    assert head == "[STOPPED BY SUPERVISOR] Stopped by the supervisor."
    assert request.streamed.startswith(written)
    assert request.streamed.count("tick") <= written.count("tick") + 10
    assert front["state"] == "stopped"
    assert len(stage.asked("Count on.")) == 1


@pytest.mark.only("1", why="our service knows what has ended")
async def test_stopping_twice_is_stopping_once(stage: Stage) -> None:
    """A second stop changes nothing and says the same."""
    supervisor = await stage.supervisor()
    task = delegate("Wait here.", say("Half.", gate="stop twice"))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("stop twice")
    await supervisor.turn(
        call("delegation_stop", id=name), call("delegation_stop", id=name), say("Twice.")
    )
    first, second = await supervisor.outputs("delegation_stop", 2)
    assert first == second
    assert first.startswith(f"{name} is stopped; 5 characters")
    assert len(await supervisor.settled()) == 1


@pytest.mark.main_path
async def test_a_steer_reaches_the_model_in_the_same_run(stage: Stage) -> None:
    """The instruction is in the model's next request of the same run, and has its receipt."""
    supervisor = await stage.supervisor()
    task = delegate(
        "Steer me.", say("Half.", gate="steer", **_look()), say("Whole."), timeout_minutes=1
    )
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("steer")
    await supervisor.turn(
        call("delegation_steer", id=name, message="Mind the gap."),
        call("delegation_status"),
        say("Steered."),
    )
    (sent,) = await supervisor.outputs("delegation_steer")
    (status,) = await supervisor.outputs("delegation_status")
    stage.model.open("steer")
    (notice,) = await supervisor.settled()
    first, second = stage.asked("Steer me.")

    assert sent.startswith(f"Sent to {name}")
    assert "instructions: 0 taken up, 1 pending" in status
    assert "Mind the gap." not in first.text
    assert "Mind the gap." in second.text
    assert notice.fields["status"] == "completed"
    assert "never taken up" not in notice.fields["summary"]
    front, body = stage.result(name)
    assert (front["steers"], body) == (1, "Whole.")


@pytest.mark.only("1", why="our service knows what has ended")
async def test_a_steer_to_what_has_ended_is_refused(stage: Stage) -> None:
    """Nothing is called sent that nobody will read."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Be quick.", say("Done.")), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    await supervisor.turn(call("delegation_steer", id=name, message="More."), say("Oh."))
    (refused,) = await supervisor.outputs("delegation_steer")
    assert refused.startswith(f"{name} is completed and takes no instruction: ")


async def test_a_panel_is_shown_the_conversation_above_a_child(stage: Stage) -> None:
    """By its own session, which on OpenCode 2 has no parent but in our records."""
    supervisor = await stage.supervisor()
    task = delegate("Be shown.", say("Half.", gate="shown"))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("shown")
    home = stage.opencode.home
    (socket,) = places.living(home.data / "delegations")
    about = {"directory": str(home.project), "session": await stage.child(name)}
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(msgspec.json.encode(Request("watch", about, 1)) + b"\n")
        async with asyncio.timeout(20):
            shown = msgspec.json.decode(await reader.readline())["params"]
            assert (shown["ids"], shown["counter"]) == ([name], "1 running")
            stage.model.open("shown")
            while not shown["news"]:
                shown = msgspec.json.decode(await reader.readline())["params"]
        assert [one["message"] for one in shown["news"]] == [f"{name} has ended: completed"]
    finally:
        writer.close()
    await supervisor.settled()


def _look() -> dict[str, object]:
    return call("bash", command="echo looked", description="Look")
