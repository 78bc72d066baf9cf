"""What the directories of a project share in one process: its limit, its outbox, its orphans."""

from __future__ import annotations

import asyncio

from world import DEAD, DIRECTORY, HANG, LIVING, World

from background_agents.config import Settings
from background_agents.domain.events import NoticeConfirmed, Resumed
from background_agents.domain.status import Status
from background_agents.service.delegations import Delegations
from background_agents.service.project import ORPHAN_SEARCH
from background_agents.service.workspace import Workspace
from background_agents.testing.runtime import ScriptedChannel
from lab.harness.service import Service

ELSEWHERE = "/src/worktree"


async def worktree(world: World, service: Service) -> tuple[Delegations, ScriptedChannel]:
    """Open a second directory of a service's project; return it and its own channel."""
    channel = ScriptedChannel(world.runtime)
    workspace = Workspace(service.project, ELSEWHERE, world.runtime, channel)
    await service.project.open(workspace)
    return Delegations(workspace), channel


async def looked(world: World) -> None:
    """Let the search for orphans come, with what it looks at on threads."""
    world.clock.advance(ORPHAN_SEARCH)
    for _ in range(3):
        await world.settle()
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(8)))
    await world.settle()


async def test_the_limit_counts_every_directory(world: World) -> None:
    """The next one runs when the one before has ended, in the order of asking."""
    here = await world.service(max_concurrent=1)
    there, _ = await worktree(world, here)
    ours = [await world.delegate(service, HANG) for service in (here, there, here)]
    await world.settle()
    for one in ours:
        assert [world.now(other).status for other in ours].count(Status.RUNNING) == 1
        assert world.now(one).status is Status.RUNNING
        await (here if one.directory == DIRECTORY else there).stop(world.supervisor, one.id)
        await world.settle()


async def test_a_notice_is_served_once(world: World) -> None:
    """Also while it cannot be delivered and the search for orphans looks for what is due."""
    here = await world.service(owner=LIVING)
    await worktree(world, here)
    world.channel.hold()
    delegation = await world.delegate(here, {"say": "Done."})
    await world.ended(delegation)
    await looked(world)
    world.channel.let_go()
    await world.notified()
    await world.settle()
    assert len(world.channel.attempts) == 1
    history = await world.store.history(delegation.id)
    assert sum(isinstance(event, NoticeConfirmed) for event in history) == 1


async def test_a_notice_goes_through_the_channel_of_its_directory(world: World) -> None:
    here = await world.service(owner=LIVING)
    there, channel = await worktree(world, here)
    await world.delegate(there, {"say": "Done."})
    await channel.until_delivered(world.supervisor, 1)
    assert len(channel.attempts) == 1
    assert world.channel.attempts == []


async def test_what_is_due_waits_for_its_directory(world: World) -> None:
    """A process that has another worktree open leaves it alone, and serves it when it opens it."""
    dead = await world.service()
    there, channel = await worktree(world, dead)
    channel.hold()
    delegation = await world.delegate(there, {"say": "Done."})
    await world.ended(delegation)
    await dead.close()

    heir = await world.service(owner=LIVING)
    await looked(world)
    assert await world.store.due() != []
    await worktree(world, heir)
    await looked(world)
    assert await world.store.due() == []


async def test_orphans_are_adopted_for_directories_that_are_open(world: World) -> None:
    dead = await world.service()
    there, _ = await worktree(world, dead)
    delegation = await world.delegate(there, HANG)
    await world.working(delegation)
    await dead.close()

    heir = await world.service(owner=LIVING)
    await looked(world)
    assert world.now(delegation).owner == DEAD
    assert heir.user.active == 0
    await worktree(world, heir)
    assert world.now(delegation).owner == LIVING
    assert heir.user.active == 1


async def test_searches_that_overlap_adopt_an_orphan_once(world: World) -> None:
    """Each opening of a directory looks; what another has adopted is about to get its run."""
    dead = await world.service()
    delegation = await world.delegate(dead, HANG)
    await world.working(delegation)
    await dead.close()

    heir = Service(world.context(LIVING), Settings())
    await heir.project.start()
    looking = [asyncio.create_task(heir.project.open(heir.workspace))]
    for _ in range(20):  # one begins at each moment of the first one's adoption
        await asyncio.sleep(0)
        another = Workspace(heir.project, ELSEWHERE, world.runtime, world.channel)
        looking.append(asyncio.create_task(heir.project.open(another)))
    await asyncio.gather(*looking)
    history = await world.store.history(delegation.id)
    assert sum(isinstance(event, Resumed) for event in history) == 1
    await heir.close()
