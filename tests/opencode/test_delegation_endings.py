"""Endings from outside: by the clock and by the user. What was written is kept."""

from __future__ import annotations

import pytest
from plays import Stage, Supervisor, call, delegate, say

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

WORD = "tick "

WINDOW_MINUTES = 0.1
"""Some times what the first answers of an OpenCode take that has just begun."""


async def held(stage: Stage, gate: str, supervisor: Supervisor) -> tuple[str, str]:
    """Delegate something that writes a line and stays at ``gate``; return id and session."""
    task = delegate(f"Task for {gate}.", say("Half of it.", gate=gate))
    await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held(gate)
    child = await stage.child(name)
    # What the model has sent OpenCode is still to read.
    await stage.events.wait_for(lambda seen: seen.session == child and "delta" in seen.type)
    return name, child


@pytest.mark.only("1", why="our service keeps what either line streams")
async def test_a_timeout_keeps_every_token(stage: Stage) -> None:
    """Partial output of a run that was cut off is complete, and the model is let go."""
    supervisor = await stage.supervisor()
    slow = say(WORD, repeat=10_000, every_ms=20)
    await supervisor.turn(delegate("Count.", slow, timeout_minutes=WINDOW_MINUTES), say("Off."))
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.settled()
    (request,) = stage.asked("Count.")
    await stage.model.wait_for(lambda one: one is request and one.ended_s is not None)

    assert notice.fields["status"] == "timed_out"
    assert "within 6.0s" in notice.fields["error"]
    assert request.cut_off
    front, body = stage.result(name)
    assert front["state"] == "timed_out"
    head, _, written = body.partition("\n\n")
    assert head == "[TIMEOUT REACHED] Not finished within 6.0s."
    # What was still on the wire when OpenCode hung up never reached anybody.
    assert request.streamed.startswith(written)
    assert 20 <= request.streamed.count(WORD) <= written.count(WORD) + 3


@pytest.mark.only("1", why="our service keeps what either line streams")
async def test_a_timeout_keeps_what_was_said_between_tools(stage: Stage) -> None:
    """Everything that had been streamed is kept, to the last word, over several answers."""
    supervisor = await stage.supervisor()
    steps = [
        {**call("bash", command="echo one", description="One"), "say": "First a look."},
        say(WORD, repeat=50, gate="never opened"),
    ]
    await supervisor.turn(delegate("Look.", *steps, timeout_minutes=WINDOW_MINUTES), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    first, second = stage.asked("Look.")

    assert second.cut_off
    written = stage.result(name)[1].partition("\n\n")[2]
    assert written == f"{first.streamed}\n\n{second.streamed}"
    assert stage.result(name)[0]["tool_calls"] == 1


@pytest.mark.only("1", why="our service keeps what either line streams")
async def test_a_timeout_of_zero_is_none(stage: Stage) -> None:
    """0 = no time limit."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Rest.", say("Rested."), timeout_minutes=0), say("Off."))

    (answer,) = await supervisor.outputs("delegate")
    (notice,) = await supervisor.settled()

    assert "no time limit" in answer
    assert notice.fields["status"] == "completed"


async def test_a_child_aborted_by_its_user_is_stopped(stage: Stage) -> None:
    """The user aborts the child in the TUI: stopped, with what was streamed."""
    supervisor = await stage.supervisor()
    name, child = await held(stage, "aborted", supervisor)

    await stage.client.abort(child)
    (notice,) = await supervisor.settled()

    assert (notice.id, notice.fields["status"]) == (name, "stopped")
    assert notice.fields["error"]
    assert stage.result(name)[1].startswith("[STOPPED] ")
    assert stage.result(name)[1].endswith("\n\nHalf of it.")


async def test_a_child_that_is_deleted_is_stopped(stage: Stage) -> None:
    """The user deletes the child: its messages are gone, and what was streamed is kept."""
    supervisor = await stage.supervisor()
    name, child = await held(stage, "deleted", supervisor)

    await stage.client.delete_session(child)
    (notice,) = await supervisor.settled()

    assert (notice.id, notice.fields["status"]) == (name, "stopped")
    assert "deleted" in notice.fields["error"]
    assert stage.result(name)[1].endswith("\n\nHalf of it.")


async def test_a_deleted_supervisor_stops_what_it_delegated(stage: Stage) -> None:
    """Its active delegations are stopped, and their artifacts stay."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Finish early.", say("Early.")), say("Off."))
    (early,) = await supervisor.delegated()
    await supervisor.settled()
    await supervisor.turn(delegate("Task for orphaned.", say("Half of it.", gate="orphaned")))
    late = (await supervisor.delegated(2))[-1]
    await stage.model.wait_held("orphaned")

    await stage.client.delete_session(supervisor.id)
    await stage.ended(late)

    request = stage.asked("Task for orphaned.")[0]
    await stage.model.wait_for(lambda one: one is request and one.cut_off)
    front, body = stage.result(late)
    assert front["state"] == "stopped"
    assert body.endswith("\n\nHalf of it.")
    assert stage.result(early)[1] == "Early."


async def test_an_aborted_supervisor_is_told_and_not_woken(stage: Stage) -> None:
    """ESC: delegations go on, and their notices wait for the user's next message."""
    supervisor = await stage.supervisor()
    task = delegate("Go on regardless.", say("Finished anyway.", gate="after the abort"))
    mark = await supervisor.start(task, say("I wait.", gate="the supervisor speaks"))
    await stage.model.wait_held("after the abort")
    await stage.model.wait_held("the supervisor speaks")

    await stage.client.abort(supervisor.id)
    await stage.events.wait_idle(supervisor.id, since=mark)
    asked = len(supervisor.requests)
    stage.model.open("after the abort")
    (notice,) = await supervisor.notices()
    await stage.shown(notice.id)
    await supervisor.turn(say("I see it."), text="What is new?")

    assert notice.fields["status"] == "completed"
    newer = supervisor.requests[asked:]
    assert len(newer) == 1
    assert notice.id in newer[0].text
    assert "What is new?" in newer[0].messages[-1].text
    assert len(await supervisor.stored_notices()) == 1
