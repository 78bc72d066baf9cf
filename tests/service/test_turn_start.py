"""A prompt that the runtime has accepted and not taken up is sent again, and answered once.

OpenCode does so with what reaches a session while a failed run of it is wound up.
"""

from __future__ import annotations

import asyncio

import pytest
from world import LIVING, World

from background_agents.domain.delegation import Delegation
from background_agents.domain.status import Status
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports.runtime import Idle, RunFailed, StreamRestored
from background_agents.service.running.launch import GO_ON
from background_agents.service.running.timers import TURN_LIMIT
from background_agents.testing.scripted_session import ScriptedSession
from lab.harness.service import Service

FAIL: dict[str, object] = {"fail": 400, "message": "Refused."}
HANG: dict[str, object] = {"hang": True}

LIMIT_S = 2
"""What would wait for ever without this takes milliseconds."""


def prompts(child: ScriptedSession) -> list[str]:
    return [entry.text for entry in child.entries.values() if entry.role == "user"]


async def failed(world: World, service: Service) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that has just failed; its session is still winding up its run."""
    delegation = await world.delegate(service, FAIL)
    await world.until(lambda: world.now(delegation).is_terminal)
    child = world.runtime.sessions[world.now(delegation).session or ""]
    return delegation, child


async def test_going_on_right_after_a_failure_begins_once_that_is_wound_up(
    world: World, service: Service
) -> None:
    """By the session's own word, without waiting for any time to pass."""
    before, child = await failed(world, service)
    assert child.being_written() is not None, "the run before is wound up already"
    after = await world.delegate(service, {"say": "New."}, continue_id=before.id)
    assert (await world.ended(after)).status is Status.COMPLETED
    assert (await world.artifact(after)).endswith("New.")
    assert len(prompts(child)) == 2


async def test_a_prompt_that_begins_nothing_is_sent_again_after_a_while(
    world: World, service: Service
) -> None:
    """Also when no event tells that the session rests; and again, until it begins."""
    before = await world.delegate(service, {"say": "Old."})
    child = world.runtime.sessions[(await world.ended(before)).session or ""]
    child.wound_up.clear()
    after = await world.delegate(service, {"say": "New."}, continue_id=before.id)
    await world.until(lambda: world.now(after).session is not None)
    for _ in range(2):
        await world.settle()
        world.clock.advance(TURN_LIMIT)
    await world.settle()
    assert not child.busy
    child.wound_up.set()
    world.clock.advance(TURN_LIMIT)
    assert (await world.ended(after)).status is Status.COMPLETED
    assert len(prompts(child)) == 2


async def test_a_run_that_failed_while_its_service_was_dead_ends_with_its_error(
    world: World,
) -> None:
    """Looked at before the error is stored it seems cut off; told to go on, it does not hang."""
    service = await world.service()
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    await world.close()
    world.runtime.release(child.name)
    child.fail("Refused.")
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "Refused.")
    assert [text.startswith(GO_ON) for text in prompts(child)] == [False, True]


async def test_what_was_told_to_go_on_and_did_not_hear_it_is_told_again_and_counted_once(
    world: World,
) -> None:
    """The second time under the same ids."""
    service = await world.service()
    delegation = await world.delegate(service, HANG, {"say": "Whole."})
    child = await world.working(delegation)
    await world.close()
    world.runtime.release(child.name)
    child.cut_off()
    child.wound_up.clear()
    await world.service(owner=LIVING)
    await world.until(lambda: len(prompts(child)) == 2)
    await world.settle()
    assert not child.busy
    child.wound_up.set()
    world.clock.advance(TURN_LIMIT)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)
    assert len(prompts(child)) == 2


async def test_a_turn_that_begins_as_it_is_overdue_is_not_overdue(
    world: World, service: Service
) -> None:
    """What it fails of at once ends it, and it is not told to go on."""
    delegation = await world.delegate(service, HANG)
    await world.until(lambda: world.now(delegation).session is not None)
    child = world.runtime.sessions[world.now(delegation).session or ""]
    await asyncio.sleep(0)
    assert child.is_writing
    world.clock.advance(TURN_LIMIT)
    child.fail("Refused.")
    ended = await world.ended(delegation)
    assert (ended.status, ended.error, ended.relaunches) == (Status.FAILED, "Refused.", 0)
    assert len(prompts(child)) == 1


async def test_what_a_runtime_aborted_as_it_ended_before_it_began_is_sent_again(
    world: World, service: Service
) -> None:
    """As soon as the runtime is back, under the same ids, and it counts as no relaunch."""
    before = await world.delegate(service, {"say": "Old."})
    child = world.runtime.sessions[(await world.ended(before)).session or ""]
    child.wound_up.clear()
    after = await world.delegate(service, {"say": "New."}, continue_id=before.id)
    await world.until(lambda: world.now(after).session is not None)
    await world.settle()
    world.runtime.emit(RunFailed(child.name, "Aborted", aborted=True))
    world.runtime.emit(Idle(child.name))
    await world.settle()
    child.wound_up.set()
    world.runtime.emit(StreamRestored(""))
    async with asyncio.timeout(LIMIT_S):
        ended = await world.ended(after)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 0)
    assert len(prompts(child)) == 2


async def test_a_turn_that_begins_leaves_no_timer(world: World, service: Service) -> None:
    """Nor does an end."""
    at_rest = world.clock.pending
    delegation = await world.delegate(service, {"say": "New.", "gate": "go"}, minutes=0)
    await world.working(delegation)
    await world.settle()
    assert world.clock.pending == at_rest
    world.runtime.open("go")
    await world.ended(delegation)


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (["p"], False),
        (["p", "a", "q"], False),
        (["p", "a", "q", "b"], True),
        (["q", "b"], True),
        (["q", "r", "b"], True),
        (["p", "a"], False),
        ([], False),
    ],
)
def test_a_message_is_answered_by_what_comes_after_it(said: list[str], answered: bool) -> None:
    """What was said before it is no answer to it."""
    roles = {"a": "assistant", "b": "assistant"}
    messages = tuple(Message(id=one, role=roles.get(one, "user")) for one in said)
    assert Transcript(messages).has_answered("q") is answered
