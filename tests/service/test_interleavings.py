"""Whatever happens to a run, in whatever order: one ending, one artifact, one notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from world import QUIET, World

from background_agents.domain.delegation import Delegation, replay
from background_agents.domain.errors import DelegationError
from background_agents.domain.events import Ended, Registered
from background_agents.ports import Busy, Idle, RunFailed, StreamRestored

Happening = Callable[[World, str], None]


def write(world: World, session: str) -> None:
    child = world.runtime.sessions.get(session)
    if child is not None and world.heard.works(session) and child.busy:
        child.write("word ")


def finish(world: World, session: str) -> None:
    child = world.runtime.sessions.get(session)
    if child is not None and world.heard.works(session) and child.busy:
        child.finish()


def fail(world: World, session: str) -> None:
    child = world.runtime.sessions.get(session)
    if child is not None and world.heard.works(session) and child.busy:
        child.fail("The provider went away.")


def abort(world: World, session: str) -> None:
    if session in world.runtime.sessions:
        world.runtime.sessions[session].abort()


def delete(world: World, session: str) -> None:
    if session in world.runtime.sessions:
        world.runtime.delete_session(session)


def steer(world: World, _session: str) -> None:
    world.ask(lambda service, name: service.steer(world.supervisor, name, "Mind the gap."))


def stop(world: World, _session: str) -> None:
    world.ask(lambda service, name: service.stop(world.supervisor, name))


HAPPENINGS: Mapping[str, Happening] = {
    "steer": steer,
    "stop": stop,
    "write": write,
    "finish": finish,
    "fail": fail,
    "abort": abort,
    "delete": delete,
    "deadline": lambda world, _: world.advance(minutes=15),
    "time": lambda world, _: world.clock.advance(QUIET),
    "busy": lambda world, session: world.runtime.emit(Busy(session)),
    "idle": lambda world, session: world.runtime.emit(Idle(session)),
    "error": lambda world, session: world.runtime.emit(RunFailed(session, "Lost.", aborted=False)),
    "restored": lambda world, _: world.runtime.emit(StreamRestored("")),
}


@given(
    begun=st.booleans(),
    course=st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 4)), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_there_is_one_ending(begun: bool, course: list[tuple[str, int]]) -> None:
    asyncio.run(one_course(begun, course))


async def one_course(begun: bool, course: list[tuple[str, int]]) -> None:
    world = World()
    service = await world.service()
    delegation = await world.delegate(service, {"hang": True})
    await world.until(lambda: world.now(delegation).session is not None)
    session = world.now(delegation).session or ""
    if begun:
        await world.working(delegation)
    for happening, turns in course:
        HAPPENINGS[happening](world, session)
        for _ in range(turns):
            await asyncio.sleep(0)
    await let_it_end(world, delegation)
    await world.notified()
    await prove(world, delegation)
    for answer in await world.answers():
        assert isinstance(answer, Delegation | DelegationError)
    await world.close()


async def let_it_end(world: World, delegation: Delegation) -> None:
    """Let time pass until nothing can hold the ending up."""
    for _ in range(20):
        world.advance(minutes=15)
        try:
            async with asyncio.timeout(0.05):
                await world.ended(delegation)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"it never ended: {world.now(delegation)}")


async def prove(world: World, delegation: Delegation) -> None:
    ended = world.now(delegation)
    first, *later = await world.store.history(delegation.id)
    assert isinstance(first, Registered)
    assert replay(first, later) == ended
    assert sum(isinstance(event, Ended) for event in later) == 1
    assert world.journal.of("artifact") == [delegation.id]
    assert world.journal.of("end") == [delegation.id]
    ((notice,),) = world.channel.delivered(world.supervisor)
    assert f"<status>{ended.status}</status>" in notice
    assert await world.store.due() == []


async def test_a_stop_that_is_asked_for_thrice_ends_once() -> None:
    world = World()
    service = await world.service()
    delegation = await world.delegate(service, {"hang": True})
    await world.working(delegation)
    stops = [service.stop(world.supervisor, delegation.id) for _ in range(3)]
    assert len({ended.version for ended in await asyncio.gather(*stops)}) == 1
    await world.notified()
    await prove(world, delegation)
    await world.close()
