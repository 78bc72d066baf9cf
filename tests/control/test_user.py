"""What the user does from outside of a conversation: whose it was, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from world import DIRECTORY, HANG, World

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    HasEnded,
    InvalidRequest,
    NothingAsked,
    NotSteerable,
    RunElsewhere,
    RuntimeUnreachable,
    StillActive,
    UnknownDelegation,
)
from background_agents.domain.events import InputAnswered, SteerSent, StopRequested
from background_agents.domain.order import Order
from background_agents.service.user import UserDelegations
from background_agents.testing.scripts import script
from background_agents.views.errors import for_people
from background_agents.views.live import Tail
from lab.harness.service import Service

SHORT, LONG = timedelta(seconds=5), timedelta(hours=1)

Found = tuple[UserDelegations, Delegation]


@pytest.fixture
async def service(world: World) -> Service:
    return await world.service()


def unasked(_delegation: Delegation) -> None:
    raise AssertionError("nothing is asked")


async def events(world: World, delegation: Delegation, kind: type) -> list[str]:
    history = await world.store.history(delegation.id)
    return [one.by for one in history if isinstance(one, kind)]


async def test_whose_deeds_they_are(world: World, service: Service) -> None:
    """Steer, answer and stop are marked as the user's in the record and its events."""
    asking, running = [await world.delegate(service, HANG) for _ in range(2)]
    asked = (await world.working(asking)).ask("bash", "make")
    await world.working(running)
    await world.waits(asking)
    answered = await service.user.answer(asking.id, "once", asked.id)
    assert answered.ask is not None
    assert answered.ask.id == asked.id
    assert await events(world, asking, InputAnswered) == ["command line"]
    steered = await service.user.steer(running.id, "Go south.")
    assert [one.by for one in steered.steers] == ["command line"]
    stopped = await service.user.stop(running.id)
    assert stopped.stop_requested_by == "command line"
    for kind in (SteerSent, StopRequested):
        assert await events(world, running, kind) == ["command line"], kind
    artifact = await world.artifact(stopped)
    assert "[STOPPED BY USER] Stopped by the user, from the command line." in artifact


async def test_an_answer_reaches_only_the_request_that_it_names(
    world: World, service: Service
) -> None:
    """What was asked may have changed since the user looked; then nothing is answered."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    first = child.ask("bash", "ls")
    second = child.ask("bash", "rm -rf /")
    await world.waits(delegation, 2)
    with pytest.raises(InvalidRequest, match="what was asked has changed meanwhile"):
        await service.user.answer(delegation.id, "always", second.id)
    assert await world.replies(delegation) == []
    await service.user.answer(delegation.id, "once", first.id)
    with pytest.raises(InvalidRequest, match="what was asked has changed meanwhile"):
        await service.user.answer(delegation.id, "once", first.id)
    await service.user.answer(delegation.id, "reject: no")
    assert await world.replies(delegation) == [("once", "command line"), ("reject", "command line")]


@pytest.mark.parametrize(("for_any", "ended"), [(True, ["one"]), (False, [])])
async def test_a_wait_ends_with_its_time(
    world: World, service: Service, for_any: bool, ended: list[str]
) -> None:
    one = await world.delegate(service, HANG)
    other = await world.delegate(service, HANG)
    child = await world.working(one)
    await world.working(other)
    waiting = asyncio.create_task(
        service.user.wait([one.id, other.id], SHORT, unasked, for_any=for_any)
    )
    await world.settle()
    child.finish()
    await world.ended(one)
    await world.settle()
    assert waiting.done() == for_any
    world.advance(seconds=5)
    found = await waiting
    assert [now.is_terminal for now in found] == [True, False]
    # What has ended already is not waited for.
    assert await service.user.wait([one.id], LONG, unasked, for_any=False) == [world.now(one)]


async def test_a_wait_for_what_ends_while_it_begins(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends while another one is looked up is no error."""
    one = await world.delegate(service, HANG)
    other = await world.delegate(service, HANG)
    child = await world.working(one)
    rest = await world.working(other)
    get = world.store.get

    async def slow_get(name: str) -> Delegation | None:
        if name == other.id:
            child.finish()
            await world.ended(one)
            await world.settle()
        return await get(name)

    monkeypatch.setattr(world.store, "get", slow_get)
    waiting = asyncio.create_task(
        service.user.wait([one.id, other.id], LONG, unasked, for_any=True)
    )
    found = await waiting
    assert [now.is_terminal for now in found] == [True, False]
    rest.finish()


async def test_a_wait_tells_of_each_request_once(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    told: list[int] = []
    waiting = asyncio.create_task(
        service.user.wait(
            [delegation.id], SHORT, lambda one: told.append(len(one.requests)), for_any=False
        )
    )
    child.ask("bash", "ls")
    await world.waits(delegation)
    child.write("More. ")
    child.ask("bash", "pwd")
    await world.waits(delegation, 2)
    world.advance(seconds=5)
    await waiting
    assert told == [1, 2]


async def test_delegating_makes_a_root_session_and_wakes_nobody(
    world: World, service: Service
) -> None:
    request = Order(f"Say hello.\n{script({'say': 'Hello.'})}", "build")
    delegation = await service.user.delegate(DIRECTORY, request)
    parent = delegation.parent_session
    assert parent != world.supervisor
    assert await world.runtime.lineage(parent) == (parent,)
    ended = await world.ended(delegation)
    assert (ended.root_session, ended.parent_session) == (parent, parent)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Order(" ", "build"), "The prompt is empty"),
        (Order("x", "nobody"), "No agent is called 'nobody'"),
        (Order("x", "title"), "No agent is called 'title'"),
        (Order("x", "build", model="one"), "'one' does not name a model"),
        (Order("x", "build", timeout_minutes=-1), "timeout"),
        (Order("x", "build", continue_id="no-such-one"), "No delegation"),
    ],
)
async def test_what_is_refused_leaves_no_session(
    world: World, service: Service, request_: Order, sentence: str
) -> None:
    before = set(world.runtime.sessions)
    with pytest.raises(InvalidRequest) as refused:
        await service.user.delegate(DIRECTORY, request_)
    assert sentence in for_people(refused.value)
    assert set(world.runtime.sessions) == before
    assert world.journal.of("register") == []


async def test_in_strict_mode_who_may_change_things_is_refused(world: World) -> None:
    service = await world.service(Settings(strict_readonly=True))
    before = set(world.runtime.sessions)
    with pytest.raises(InvalidRequest, match="may edit files or run commands"):
        await service.user.delegate(DIRECTORY, Order("x", "build"))
    assert set(world.runtime.sessions) == before


async def test_going_on_with_one_that_runs_is_refused_in_words_for_people(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    with pytest.raises(StillActive) as refused:
        await service.user.delegate(DIRECTORY, Order("x", "build", continue_id=delegation.id))
    assert f"`background-agents steer {delegation.id}`" in for_people(refused.value)


async def test_what_has_ended_is_neither_looked_at_nor_followed(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    await world.ended(delegation)
    await world.settle()
    for operation in (service.user.look(delegation.id), service.user.follow(delegation.id, print)):
        with pytest.raises(HasEnded, match=r"has ended \(completed\)") as refused:
            await operation
        assert f"`background-agents read {delegation.id}`" in for_people(refused.value)
    assert await service.user.stop(delegation.id) == world.now(delegation)
    with pytest.raises(NotSteerable):
        await service.user.steer(delegation.id, "More.")


async def test_a_change_is_waited_for_until_it_is_stored(world: World, service: Service) -> None:
    """Of each event once; no longer than was said, and not at all once it has ended."""
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    known = world.now(delegation).version
    assert (await service.user.change(delegation.id, known - 1, LONG)).version == known
    over = asyncio.create_task(service.user.change(delegation.id, known, SHORT))
    changing = asyncio.create_task(service.user.change(delegation.id, known, LONG))
    await world.settle()
    world.advance(seconds=5)
    assert (await over).version == known
    assert not changing.done()
    await service.user.steer(delegation.id, "Go south.")
    assert (await changing).version == known + 1
    ending = asyncio.create_task(service.user.change(delegation.id, known + 9, LONG))
    await world.settle()
    child.finish()
    assert (await ending).is_terminal
    assert (await service.user.change(delegation.id, known + 99, LONG)).is_terminal
    with pytest.raises(UnknownDelegation):
        await service.user.change("no-such-one", 0, LONG)


async def test_whoever_has_read_to_a_place_follows_from_there(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    heard: list[Tail] = []
    first = asyncio.create_task(service.user.follow(delegation.id, heard.append))
    await world.settle()
    child.write("One. ")
    await world.settle()
    seen = heard[-1].position
    again = asyncio.create_task(service.user.follow(delegation.id, heard.append, seen))
    first.cancel()
    await world.settle()
    child.write("Two.")
    await world.settle()
    child.finish()
    assert (await again).is_terminal
    assert "".join(one.text for one in heard) == "One. Two."


async def test_following_begins_with_the_first_word_and_ends_with_the_last(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    heard: list[Tail] = []
    early = asyncio.create_task(service.user.follow(delegation.id, heard.append))
    await world.settle()
    for word in ("One. ", "Two. ", "Three."):
        child.write(word)
        await world.settle()
    late: list[Tail] = []
    following = asyncio.create_task(service.user.follow(delegation.id, late.append))
    await world.settle()
    child.finish()
    assert (await early).is_terminal
    assert (await following).is_terminal
    assert "".join(one.text for one in heard) == "One. Two. Three."
    assert "".join(one.text for one in late) == "One. Two. Three."


def test_people_are_told_of_commands_and_not_of_a_models_tools() -> None:
    errors = [
        UnknownDelegation("a-b-c"),
        NothingAsked("a-b-c", "running"),
        *(NotSteerable("a-b-c", state) for state in ("registered", "ending", "completed")),
        RunElsewhere("a-b-c"),
    ]
    for error in errors:
        said = for_people(error)
        assert "a-b-c" in said
        assert "delegation_" not in said
        assert "continue_id" not in said
    assert for_people(RuntimeUnreachable("No answer.")) == "No answer."
