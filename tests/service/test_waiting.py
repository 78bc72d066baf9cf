"""Waiting is bounded, and ends as soon as the supervisor can do something."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from world import HANG, LIVING, World, bash

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, RunElsewhere, UnknownDelegation
from background_agents.domain.status import Status
from background_agents.views import model as for_model
from background_agents.views.model import Waited
from lab.harness.service import Service

DONE: dict[str, object] = {"say": "Done."}


class Waiting:
    """A wait that was begun, and what has come of it."""

    def __init__(self, world: World, task: asyncio.Task[Waited]) -> None:
        self._world = world
        self._task = task

    async def is_over(self) -> bool:
        """Whether it has returned, now that nothing happens any more."""
        await self._world.settle()
        return self._task.done()

    async def found(self) -> Waited:
        """Return what it found, which is to be soon."""
        assert await self.is_over()
        return await self._task


async def begin(
    world: World,
    service: Service,
    ids: Sequence[str] | None = None,
    seconds: float | None = None,
    mode: str | None = None,
) -> Waiting:
    """Begin to wait, and let that take effect."""
    task = asyncio.create_task(service.wait(world.supervisor, ids, seconds, mode))
    await world.settle()
    return Waiting(world, task)


async def running(world: World, service: Service, count: int) -> list[Delegation]:
    """Return delegations that run until they are made to end."""
    several = [await world.delegate(service, HANG) for _ in range(count)]
    for delegation in several:
        await world.working(delegation)
    return several


async def finish(world: World, delegation: Delegation) -> None:
    (await world.working(delegation)).finish()
    await world.ended(delegation)


async def test_all_have_ended(world: World, service: Service) -> None:
    """Without a mode and without ids it is for all that run, and says how to read each."""
    first, second = await running(world, service, 2)
    waiting = await begin(world, service)
    await finish(world, first)
    assert not await waiting.is_over()
    await finish(world, second)
    found = await waiting.found()
    assert [one.id for one in found.ended] == [first.id, second.id]
    assert for_model.waited(found).splitlines() == [
        f'- {one.id} has ended (completed); delegation_read("{one.id}") returns what it left.'
        for one in (first, second)
    ]


@pytest.mark.parametrize("mode", ["any", " ANY "])
async def test_one_has_ended(world: World, service: Service, mode: str) -> None:
    """With ``any`` the first one is enough, and the others are told to run on."""
    first, second = await running(world, service, 2)
    waiting = await begin(world, service, mode=mode)
    await finish(world, second)
    found = await waiting.found()
    assert [one.id for one in found.ended] == [second.id]
    running_on, ended, hint = for_model.waited(found).splitlines()
    assert running_on.startswith(f"- {first.id} is running (")
    assert f"{second.id} has ended" in ended
    assert hint == "Some still run. You are notified when the rest ends: end your turn."


async def test_only_those_that_were_named_count(world: World, service: Service) -> None:
    """What others do does not end it."""
    first, second = await running(world, service, 2)
    waiting = await begin(world, service, ids=[first.id])
    await finish(world, second)
    assert not await waiting.is_over()
    await finish(world, first)
    assert [one.id for one in (await waiting.found()).delegations] == [first.id]


@pytest.mark.parametrize(("given", "limit_s"), [(None, 60), (5, 5), (0.5, 0.5), (600, 600)])
async def test_it_is_bounded(
    world: World, service: Service, given: float | None, limit_s: float
) -> None:
    """When its time is over it says what still runs; the delegations run on."""
    (only,) = await running(world, service, 1)
    waiting = await begin(world, service, seconds=given)
    world.advance(seconds=limit_s - 0.1)
    assert not await waiting.is_over()
    world.advance(seconds=0.1)
    found = await waiting.found()
    assert found.ended == []
    assert found.limit.total_seconds() == limit_s
    line, hint = for_model.waited(found).splitlines()
    assert line.startswith(f"- {only.id} is running (")
    assert hint.startswith("Waited ")
    assert world.now(only).status is Status.RUNNING


async def test_no_time_is_a_look(world: World, service: Service) -> None:
    """With 0 seconds it returns at once, and says how things are."""
    await running(world, service, 1)
    waiting = await begin(world, service, seconds=0)
    world.advance(seconds=0)
    assert (await waiting.found()).ended == []


@pytest.mark.parametrize("asks_first", [False, True])
async def test_one_that_asks_ends_it(world: World, service: Service, asks_first: bool) -> None:
    """Whether it asked before or asks only now: nobody else can answer."""
    first, second = await running(world, service, 2)
    child = await world.working(second)
    if asks_first:
        child.ask("bash", "make")
        await world.waits(second)
    waiting = await begin(world, service)
    assert await waiting.is_over() is asks_first
    if not asks_first:
        child.ask("bash", "make")
    found = await waiting.found()
    assert [one.id for one in found.delegations if one.requests] == [second.id]
    text = for_model.waited(found)
    assert f"- {first.id} is running" in text
    assert f"- {second.id} waits for a permission, bash: make; only your human may" in text
    assert "end your turn" not in text


async def test_one_that_speaks_ends_it(world: World, service: Service) -> None:
    """A message wants an answer, which nobody gives who waits."""
    first, second = await running(world, service, 2)
    child = await world.working(second)
    waiting = await begin(world, service)
    await service.notify(child.name, "Which one?")
    found = await waiting.found()
    assert found.spoke == [second.id]
    text = for_model.waited(found)
    assert f"- {second.id} is running (0.0s) and has a message for you" in text
    assert f"- {first.id} is running (0.0s)\n" in text


async def test_what_was_said_and_heard_before_does_not(world: World, service: Service) -> None:
    """A message that the supervisor has is no news to it."""
    (only,) = await running(world, service, 1)
    await service.notify((await world.working(only)).name, "Which one?")
    await world.notified()
    world.advance(seconds=1)
    waiting = await begin(world, service)
    assert not await waiting.is_over()
    await finish(world, only)
    assert (await waiting.found()).spoke == []


async def test_a_message_of_one_that_is_not_waited_for_does_not(
    world: World, service: Service
) -> None:
    """It comes with its notice, later."""
    first, second = await running(world, service, 2)
    waiting = await begin(world, service, ids=[first.id])
    await service.notify((await world.working(second)).name, "Which one?")
    assert not await waiting.is_over()


@pytest.mark.parametrize("mode", ["any", "all"])
async def test_what_has_ended_already_is_not_waited_for(
    world: World, service: Service, mode: str
) -> None:
    """With ``any`` it is enough; with ``all`` the others are still waited for."""
    first, second = await running(world, service, 2)
    await finish(world, first)
    waiting = await begin(world, service, ids=[first.id, second.id], mode=mode)
    assert await waiting.is_over() is (mode == "any")
    await finish(world, second)
    assert (await waiting.found()).ended[0].id == first.id


async def test_one_that_has_not_begun_is_waited_for(world: World) -> None:
    """From the slot to the end."""
    service = await world.service(Settings(max_concurrent=1))
    (first,) = await running(world, service, 1)
    second = await world.delegate(service, DONE)
    waiting = await begin(world, service, ids=[second.id])
    assert not await waiting.is_over()
    await finish(world, first)
    assert [one.status for one in (await waiting.found()).delegations] == [Status.COMPLETED]


async def test_one_that_is_answered_meanwhile_can_be_waited_for_again(
    world: World, service: Service
) -> None:
    """An answer ends what ends a wait."""
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, bash("make"), HANG)
    await world.waits(delegation)
    await service.user.answer(delegation.id, "once")
    waiting = await begin(world, service)
    assert not await waiting.is_over()


async def test_with_nothing_active_there_is_nothing_to_wait_for(
    world: World, service: Service
) -> None:
    """It says so at once, also when only other root sessions have some."""
    await world.delegate(service, HANG, supervisor=world.runtime.add_session())
    found = await (await begin(world, service)).found()
    assert for_model.waited(found) == "Nothing is running; delegation_list() shows what there is."


async def test_what_cannot_be_waited_for_is_refused(world: World) -> None:
    """An unknown id, one of another root session, and one that another process runs."""
    service = await world.service(owner=LIVING)
    (only,) = await running(world, service, 1)
    for session, name in (
        (world.supervisor, "brave-amber-otter"),
        (world.runtime.add_session(), only.id),
    ):
        with pytest.raises(UnknownDelegation):
            await service.wait(session, [name])
    with pytest.raises(InvalidRequest, match="is not the id"):
        await service.wait(world.supervisor, [only.id, "x"])
    other = await world.service()
    with pytest.raises(RunElsewhere):
        await other.wait(world.supervisor, [only.id])


@pytest.mark.parametrize("seconds", [-1, 600.1, math.nan, math.inf])
async def test_a_time_that_cannot_be_meant_is_refused(
    world: World, service: Service, seconds: float
) -> None:
    """With what is allowed."""
    with pytest.raises(InvalidRequest, match="give a number from 0 to 600"):
        await service.wait(world.supervisor, None, seconds)


@pytest.mark.parametrize("mode", ["both", "al"])
async def test_a_mode_that_does_not_exist_is_refused(
    world: World, service: Service, mode: str
) -> None:
    """With those that do."""
    with pytest.raises(InvalidRequest, match="give any or all"):
        await service.wait(world.supervisor, None, 1, mode)


async def test_a_wait_that_is_over_leaves_no_timer(world: World, service: Service) -> None:
    """Nothing rings later for what was found before."""
    (only,) = await running(world, service, 1)
    await world.settle()
    before = world.clock.pending
    waiting = await begin(world, service)
    assert world.clock.pending == before + 1
    await service.notify((await world.working(only)).name, "Hello.")
    await waiting.found()
    for seconds in (0.05, 5):  # until the toast, and its time
        world.advance(seconds=seconds)
        await world.settle()
    assert world.clock.pending == before
