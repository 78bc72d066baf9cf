"""A service dies while programs wait for it: they go on with the next one, or are told in time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from projects import HANG, Project, life

import background_agents
from background_agents import AsyncClient, AsyncHandle
from background_agents.client import connection, patience, synchronous
from background_agents.control import places
from background_agents.domain.errors import NotServed
from background_agents.testing.scripted_session import ScriptedSession

LIMIT_S = 10.0

PATIENCE_S = 0.1


@pytest.fixture
async def agents(project: Project) -> AsyncIterator[AsyncClient]:
    async with background_agents.connect(project.folder) as agents:
        yield agents


async def left_behind(project: Project, agents: AsyncClient) -> tuple[AsyncHandle, ScriptedSession]:
    """Return a delegation whose service has died while it ran, and its session."""
    async with project.service():
        delegation = await agents.delegate(project.prompt(HANG), "build")
        child = await project.working(delegation)
        child.write("One. ")
    return delegation, child


async def test_what_was_begun_before_goes_on_after(project: Project, agents: AsyncClient) -> None:
    """A wait, an iteration and whoever reads along notice nothing, and get nothing twice."""
    read: list[str] = []
    begun = asyncio.Event()

    async def follow() -> None:
        async for text in delegation.follow():
            read.append(text)
            begun.set()

    async with project.service():
        delegation = await agents.delegate(project.prompt(HANG), "build")
        child = await project.working(delegation)
        child.write("One. ")
        waiting = asyncio.create_task(delegation.wait())
        hearing = asyncio.create_task(life(delegation))
        following = asyncio.create_task(follow())
        await project.serves(3)
        await begun.wait()
    async with asyncio.timeout(LIMIT_S), project.service():
        await project.serves(3)
        child.write("Two. ")
        child.finish()
        assert (await waiting).state == "completed"
        expected = ["Registered", "Launched", "Resumed", "Completed", "NoticeQueued"]
        assert await hearing == expected
        await following
    assert "".join(read) == "One. Two. "


async def test_each_call_finds_the_present_owner(project: Project, agents: AsyncClient) -> None:
    delegation, child = await left_behind(project, agents)
    async with project.service():
        assert (await delegation.peek()).text == "One. "
        await delegation.steer("Go on.")
    # One that is begun in between waits for whoever comes.
    steering = asyncio.create_task(delegation.steer("And on."))
    async with asyncio.timeout(LIMIT_S), project.service():
        assert (await steering).steers_pending >= 1
    stopping = asyncio.ensure_future(anext(agents.stop_all([delegation.id])))
    async with asyncio.timeout(LIMIT_S), project.service():
        stopped = await stopping
    assert isinstance(stopped, background_agents.Sheet)
    assert (stopped.state, stopped.session) == ("stopped", child.name)


async def test_patience_has_an_end(
    project: Project, agents: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once nobody takes over, each call says so after ``takeover_s`` seconds, and not before."""
    monkeypatch.setattr(patience, "LOOK_AGAIN_S", PATIENCE_S / 10)
    delegation, _ = await left_behind(project, agents)
    async with background_agents.connect(project.folder, takeover_s=PATIENCE_S) as hasty:
        same = await hasty.get(delegation.id)
        began_s = time.monotonic()
        for call in (same.wait(), same.peek(), same.steer("x"), same.stop(), life(same)):
            with pytest.raises(NotServed):
                await call
        for one in (same.follow(), same.events()):
            with pytest.raises(NotServed):
                async for _ in one:
                    pass
        assert PATIENCE_S * 7 <= time.monotonic() - began_s < LIMIT_S
        (refused,) = [one async for one in hasty.stop_all([same.id])]
        assert isinstance(refused, NotServed)
        assert (await same.wait(timeout_s=PATIENCE_S / 3)).state == "running"
        assert (await same.status()).state == "running"
    async with background_agents.connect(project.folder, takeover_s=0) as at_once:
        with pytest.raises(NotServed):
            await (await at_once.get(delegation.id)).wait()


async def test_what_has_ended_needs_no_service(project: Project, agents: AsyncClient) -> None:
    async with project.service():
        delegation = await agents.delegate(project.prompt({"say": "Done."}), "build")
        await delegation.wait()
    async with asyncio.timeout(LIMIT_S):
        assert (await delegation.wait()).state == (await delegation.stop()).state == "completed"
        assert (await life(delegation))[0] == "Registered"
        assert [one async for one in delegation.follow()] == []
        assert await delegation.result() == "Done."


async def test_a_service_that_hangs_is_not_waited_for_for_ever(
    project: Project, agents: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs up on nobody; so a wait looks anew every now and then who runs what it is about."""
    monkeypatch.setattr(synchronous, "RECHECK_S", 0.1)
    monkeypatch.setattr(connection, "LOOK_LIMIT_S", 0.1)
    delegation, child = await left_behind(project, agents)
    path = places.path_of(project.place.data_root, project.process)
    with socket.socket(socket.AF_UNIX) as frozen:
        with places.short(path) as name:
            frozen.bind(name)
        frozen.listen()
        frozen.setblocking(False)
        waiting = asyncio.create_task(delegation.wait())
        hearing = asyncio.create_task(life(delegation))
        loop = asyncio.get_running_loop()
        taken = [await loop.sock_accept(frozen) for _ in range(2)]
        path.unlink()
        async with asyncio.timeout(LIMIT_S), project.service():
            await project.serves(2)
            monkeypatch.undo()
            child.finish()
            assert (await waiting).state == "completed"
            assert (await hearing)[-2:] == ["Completed", "NoticeQueued"]
        for connected, _ in taken:
            connected.close()
