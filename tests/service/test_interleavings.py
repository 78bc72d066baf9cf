"""Whatever happens to a run, in whatever order: one ending, one artifact, one ending notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from tripwire import Tripwire
from world import HANG, LIVING, QUIET, World

from background_agents.domain.asking import Reply
from background_agents.domain.delegation import Delegation, replay
from background_agents.domain.errors import (
    DelegationError,
    LeaseLost,
    RuntimeUnreachable,
    StaleVersion,
    StoreUnavailable,
)
from background_agents.domain.events import (
    Ended,
    InputRequested,
    KeptTold,
    ParentNotified,
    Registered,
)
from background_agents.ports.runtime import Busy, Idle, RunFailed, StreamRestored
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.views.model import Answered

Happening = Callable[[World, str], None]


def at_work(world: World, session: str) -> ScriptedSession | None:
    """Return the child session while it writes an answer."""
    child = world.runtime.sessions.get(session)
    if child is None or not child.is_writing or not world.heard.works(session):
        return None
    calls = child.transcript().answers[-1].tools
    # Once its calls have come back an answer is over, and the next one not yet begun.
    return child if not calls or any(call.state == "running" for call in calls) else None


def free(world: World, session: str) -> ScriptedSession | None:
    """Return the child session while it writes an answer and no tool waits for a reply."""
    child = at_work(world, session)
    return child if child is not None and not child.open else None


def write(world: World, session: str) -> None:
    if child := free(world, session):
        child.write("word ")


def finish(world: World, session: str) -> None:
    if child := free(world, session):
        child.finish()


def fail(world: World, session: str) -> None:
    if child := free(world, session):
        child.fail("The provider went away.")


def ask(world: World, session: str) -> None:
    if child := at_work(world, session):
        child.ask("bash", "make")


def settle(world: World, session: str, reply: Reply) -> None:
    """Answer the oldest open request as the user does."""
    child = world.runtime.sessions.get(session)
    if child is not None and child.open:
        child.settle(next(iter(child.open)), reply)


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


def answer(world: World, text: str) -> None:
    world.ask(lambda service, name: service.user.answer(name, text))


def notify(world: World, session: str) -> None:
    world.ask(lambda service, _name: service.notify(session, "Something is odd."))


HAPPENINGS: Mapping[str, Happening] = {
    "steer": steer,
    "stop": stop,
    "write": write,
    "finish": finish,
    "fail": fail,
    "abort": abort,
    "delete": delete,
    "ask": ask,
    "answer": lambda world, _: answer(world, "once"),
    "reject": lambda world, _: answer(world, "reject: not that"),
    "user answers": lambda world, session: settle(world, session, Reply(word="once")),
    "user rejects": lambda world, session: settle(world, session, Reply(word="reject")),
    "notify": notify,
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


ERRORS: Mapping[str, Callable[[], Exception]] = {
    "unforeseen": lambda: RuntimeError("Nobody thought of this."),
    "stale": lambda: StaleVersion("it", 1),
    "lost lease": lambda: LeaseLost("it"),
    "no storage": lambda: StoreUnavailable("The disk is full."),
    "no runtime": lambda: RuntimeUnreachable("OpenCode did not answer."),
}


@given(
    course=st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 4)), max_size=8),
    error=st.sampled_from(sorted(ERRORS)),
    at=st.integers(1, 30),
    last=st.sampled_from(["finish", "stop", "abort", "delete", "fail", "deadline"]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_raises_wherever_nobody_waits_for_ever(
    course: list[tuple[str, int]], error: str, at: int, last: str
) -> None:
    """Each caller is answered, nothing stays registered, and it is brought to its one end."""
    asyncio.run(one_stumble([*course, (last, 4)], Tripwire(at, ERRORS[error]())))


async def one_stumble(course: list[tuple[str, int]], wire: Tripwire) -> None:
    world = World()
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG, HANG, HANG)
    world.store.tripwire = world.artifacts.tripwire = world.runtime.tripwire = wire
    await world.settle()
    session = world.now(delegation).session or ""
    for happening, turns in course:
        HAPPENINGS[happening](world, session)
        for _ in range(turns):
            await asyncio.sleep(0)
    await let_it_end(world, delegation)
    # A storage that failed after it had stored the ending is insisted on a little later.
    world.advance(minutes=1)
    for came in await world.answers():
        assert isinstance(came, Delegation | Answered | DelegationError | RuntimeError)
    world.advance(minutes=1)
    assert len(await world.told("task-notification")) == 1
    world.runtime.tripwire = None  # what has happened is looked at, and nothing more happens
    assert (await service.status(world.supervisor)).live == []
    assert not service.user.active
    history = await world.store.history(delegation.id)
    assert sum(isinstance(event, Ended) for event in history) == 1
    await world.close()


async def one_course(begun: bool, course: list[tuple[str, int]]) -> None:
    world = World()
    service = await world.service()
    delegation = await world.delegate(service, HANG, HANG, HANG)
    await world.until(lambda: world.now(delegation).session is not None)
    session = world.now(delegation).session or ""
    if begun:
        await world.working(delegation)
    for happening, turns in course:
        HAPPENINGS[happening](world, session)
        for _ in range(turns):
            await asyncio.sleep(0)
    await let_it_end(world, delegation)
    await prove(world, delegation)
    for came in await world.answers():
        assert isinstance(came, Delegation | Answered | DelegationError)
    await world.close()


async def let_it_end(world: World, delegation: Delegation) -> None:
    """Answer what is asked, and let time pass, until nothing can hold the ending up."""
    for _ in range(20):
        # Time stands still for a run that waits.
        for _ in world.now(delegation).requests:
            answer(world, "once")
        await world.settle()
        world.advance(minutes=15)
        try:
            async with asyncio.timeout(0.05):
                await world.ended(delegation)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"it never ended: {world.now(delegation)}")


async def prove(world: World, delegation: Delegation) -> None:
    (notice,) = await world.told("task-notification")
    await world.settle()
    ended = world.now(delegation)
    first, *later = await world.store.history(delegation.id)
    assert isinstance(first, Registered)
    assert replay(first, later) == ended
    assert sum(isinstance(event, Ended) for event in later) == 1
    assert world.journal.of("artifact") == [delegation.id]
    assert world.journal.of("end") == [delegation.id]
    assert f"<status>{ended.status}</status>" in notice
    assert "Internal error" not in (ended.error or "")
    at_once = [one for one in later if isinstance(one, ParentNotified) and not one.kept]
    said = len(at_once) + sum(isinstance(event, KeptTold) for event in later)
    assert len(await world.told("child-notification", said)) == said
    asked = [event.ask for event in later if isinstance(event, InputRequested)]
    assert len(await world.told("delegation-request", 0)) <= len(asked)
    assert not [ask for ask in await world.runtime.requests() if ask in asked]
    assert len(await world.told("task-notification")) == 1
    assert await world.store.due() == []


async def test_a_stop_that_is_asked_for_thrice_ends_once() -> None:
    world = World()
    service = await world.service()
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    stops = [service.stop(world.supervisor, delegation.id) for _ in range(3)]
    assert len({ended.version for ended in await asyncio.gather(*stops)}) == 1
    await prove(world, delegation)
    await world.close()
