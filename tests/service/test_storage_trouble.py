"""A disk that refuses loses nothing: the ending is insisted on."""

from __future__ import annotations

import pytest
from tripwire import Tripwire
from world import World

from background_agents.domain.errors import (
    DelegationError,
    RunLetGo,
    StaleVersion,
    StoreUnavailable,
)
from background_agents.domain.status import Status
from background_agents.service.project import ORPHAN_SEARCH
from background_agents.service.running.ending import INSIST_FIRST
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}

FULL = StoreUnavailable("The disk is full.")


async def tried(world: World, what: str, count: int) -> None:
    """Return once something was tried so often, and its pause has begun."""
    await world.until(lambda: len(world.journal.of(what)) >= count)
    await world.settle()


async def test_an_artifact_that_cannot_be_written_is_written_later(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    world.artifacts.failure = FULL
    child.write("Not lost.")
    child.finish()
    for attempt in range(1, 4):
        await tried(world, "try to write", attempt)
        assert not world.now(delegation).is_terminal
        world.clock.advance(INSIST_FIRST * 2 ** (attempt - 1))
    await tried(world, "try to write", 4)
    world.artifacts.failure = None
    world.advance(seconds=30)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert (await world.artifact(delegation)).endswith("Not lost.")
    assert len(await world.notified()) == 1


async def test_an_ending_that_cannot_be_committed_is_committed_later(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    before = len(world.journal.of("try to commit"))
    world.store.failure = FULL
    child.write("Not lost.")
    child.finish()
    await tried(world, "try to commit", before + 1)
    assert world.channel.attempts == []
    world.store.failure = None
    world.clock.advance(INSIST_FIRST)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert len(await world.notified()) == 1
    assert world.journal.of("end") == [delegation.id]


async def test_a_launch_that_cannot_be_committed_is_committed_later(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    world.store.failure = FULL
    await tried(world, "try to commit", 1)
    world.store.failure = None
    world.clock.advance(INSIST_FIRST)
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_store_that_refuses_registers_nothing(world: World, service: Service) -> None:
    world.store.failure = FULL
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await world.delegate(service, HANG)
    assert set(world.runtime.sessions) == {world.supervisor}


async def test_a_notice_survives_a_store_that_refuses_for_a_while(
    world: World, service: Service
) -> None:
    world.channel.hold()
    await world.delegate(service, {"say": "Done."})
    await world.channel.changes.until(lambda: len(world.channel.attempts) == 1)
    world.store.failure = FULL
    world.channel.let_go()
    await world.channel.until_delivered(world.supervisor, 1)
    await world.settle()
    world.store.failure = None
    world.advance(seconds=30)
    assert len(await world.notified()) == 1


async def test_an_ending_that_meets_an_unforeseen_error_is_taken_up_again(
    world: World, service: Service
) -> None:
    """Whoever waits is told so, nothing is left running, and the search brings the result."""
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    world.artifacts.tripwire = Tripwire(1, RuntimeError("Nobody thought of this."))
    with pytest.raises(RunLetGo, match="taken up again"):
        await service.stop(world.supervisor, delegation.id)
    assert (await service.status(world.supervisor)).live == []
    with pytest.raises(RunLetGo):
        await service.steer(world.supervisor, delegation.id, "Are you there?")

    world.clock.advance(ORPHAN_SEARCH)
    assert (await world.ended(delegation)).status is Status.STOPPED
    assert len(await world.notified()) == 1


@pytest.mark.parametrize("error", [StaleVersion("it", 1), RuntimeError("Nobody thought of this.")])
async def test_an_instruction_in_hand_is_answered_when_the_run_lets_go(
    world: World, service: Service, error: Exception
) -> None:
    """It was sent, and its record is refused: the caller hears of it, and waits no longer."""
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    world.store.tripwire = Tripwire(1, error)
    with pytest.raises(DelegationError):
        await service.steer(world.supervisor, delegation.id, "Mind the gap.")
