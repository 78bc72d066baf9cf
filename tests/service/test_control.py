"""Seeing and stopping what runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from world import LIVING, World

from background_agents.domain.errors import InvalidRequest, RunElsewhere, UnknownDelegation
from background_agents.domain.status import Status
from background_agents.domain.text import span
from background_agents.ports.runtime import Retrying
from background_agents.views import live
from background_agents.views import model as for_model
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}


# --- stop ------------------------------------------------------------------------


async def test_a_stop_keeps_what_was_written_and_says_who_stopped(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Half of it.")
    stopped = await service.stop(world.supervisor, delegation.id)
    assert (stopped.status, stopped.stop_requested_by) == (Status.STOPPED, "supervisor")
    assert not child.busy
    assert "11 characters of partial output are kept" in for_model.stopped(stopped)
    artifact = await world.artifact(delegation)
    assert "\n[STOPPED BY SUPERVISOR] Stopped by the supervisor.\n\nHalf of it." in artifact
    assert len(await world.notified()) == 1


async def test_stopping_what_has_ended_changes_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    await world.notified()
    await world.received(delegation)
    before = world.now(delegation)
    assert await service.stop(world.supervisor, delegation.id) == before
    assert "has ended (completed)" in for_model.stopped(before)


async def test_one_that_waits_for_a_slot_is_stopped_without_a_session(world: World) -> None:
    service = await world.service(max_concurrent=1)
    first = await world.delegate(service, HANG)
    await world.working(first)
    second = await world.delegate(service, HANG)
    await world.settle()
    report = live.status(await service.status(world.supervisor))
    assert "waits for a slot, number 1 in the queue" in report
    stopped = await service.stop(world.supervisor, second.id)
    assert (stopped.status, stopped.session) == (Status.STOPPED, None)
    assert not world.now(first).is_terminal
    await world.close()


async def test_a_stop_during_the_launch_is_a_stop(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    stopping = asyncio.create_task(service.stop(world.supervisor, delegation.id))
    while not stopping.done():
        await world.settle()
        world.advance(seconds=2)
    assert (await stopping).status is Status.STOPPED
    assert len(await world.notified()) == 1


async def test_what_finishes_while_it_is_stopped_is_completed(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("There.")
    stopping = asyncio.create_task(service.stop(world.supervisor, delegation.id))
    child.finish()
    assert (await stopping).status is Status.COMPLETED


async def test_a_delegation_of_another_session_is_unknown(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    stranger = world.runtime.add_session()
    for operation in (service.stop, service.peek):
        with pytest.raises(UnknownDelegation):
            await operation(stranger, delegation.id)
    assert (await service.status(stranger)).live == []
    with pytest.raises(InvalidRequest):
        await service.stop(world.supervisor, "../../etc/passwd")


async def test_one_that_another_process_runs_is_refused(world: World) -> None:
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    other = await world.service()
    with pytest.raises(RunElsewhere):
        await other.stop(world.supervisor, delegation.id)


# --- status ----------------------------------------------------------------------


async def test_a_status_tells_time_work_and_the_last_activity(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG, minutes=2)
    child = await world.working(delegation)
    child.write("So far so good.")
    world.advance(seconds=30)
    text = live.status(await service.status(world.supervisor))
    assert text.startswith(f"- {delegation.id} [running] Look into it.")
    assert "30s elapsed, 1m 30s left" in text
    assert "last heard of 30s ago" in text
    assert text.endswith("Last: …So far so good.")


async def test_a_steer_of_ours_is_no_sign_of_life(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Here.")
    world.advance(seconds=30)
    await service.steer(world.supervisor, delegation.id, "Still there?")
    text = live.status(await service.status(world.supervisor))
    assert "last heard of 30s ago" in text


async def test_a_retry_shows_until_the_run_goes_on(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    world.runtime.emit(Retrying(child.name, 3, "Overloaded </x>\nsorry", None))
    await world.settle()
    text = live.status(await service.status(world.supervisor))
    assert "the provider refuses, attempt 3: Overloaded </x> sorry" in text


async def test_with_nothing_active_the_unread_are_shown(world: World, service: Service) -> None:
    assert live.status(await service.status(world.supervisor)).startswith("Nothing is running")
    delegation = await world.delegate(service, {"say": "It is PKCE."})
    await world.ended(delegation)
    assert delegation.id in live.status(await service.status(world.supervisor))
    await service.read(world.supervisor, delegation.id)
    text = live.status(await service.status(world.supervisor))
    assert text == "Nothing is running, and nothing is unread."


# --- peek ------------------------------------------------------------------------


async def test_a_peek_shows_the_newest_part_within_bounds(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    for number in range(3000):
        child.write(f"line {number}\n")
    found = await service.peek(world.supervisor, delegation.id)
    assert isinstance(found, live.Live)
    text = live.peek(found)
    assert "line 2999" in text
    assert "line 2\n" not in text
    assert len(text) <= live.PEEK_CHARS + 10
    assert world.now(delegation).read_at is None


async def test_a_peek_at_what_has_ended_points_to_its_result(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    ended = await world.ended(delegation)
    assert not isinstance(await service.peek(world.supervisor, ended.id), live.Live)


# --- a wall clock that is stepped --------------------------------------------------


@pytest.mark.parametrize("days", [365, -365])
async def test_a_stepped_clock_changes_no_elapsed_time(
    world: World, service: Service, days: int
) -> None:
    """Neither of what runs, nor what is stored with the ending; and no time that is left."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Half of it.")
    world.advance(seconds=30)
    world.clock.step_wall(timedelta(days=days))
    told = await world.status(service)
    assert "30s elapsed, 14m 30s left" in told
    stopped = await service.stop(world.supervisor, delegation.id)
    assert span(stopped.elapsed(world.clock.now())) == "30s"
    assert "\nelapsed_s: 30.0\n" in await world.artifact(delegation)
    assert "<elapsed>30s</elapsed>" in (await world.told("task-notification"))[0]
