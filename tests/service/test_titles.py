"""Better titles give way to delegations that run, and come one after the other."""

from __future__ import annotations

import pytest
from world import HANG, World

from background_agents.service.delivery import titles
from lab.harness.service import Service

DONE: dict[str, object] = {"say": "Done."}


@pytest.fixture
def describing(world: World) -> World:
    world.runtime.description = ("A better title", "What came of it.")
    return world


async def after_the_toast(world: World) -> None:
    await world.settle()
    world.advance(milliseconds=50)
    await world.settle()


async def test_one_that_was_alone_is_described_at_once(describing: World, service: Service) -> None:
    ended = await describing.ended(await describing.delegate(service, DONE))
    await after_the_toast(describing)
    assert describing.now(ended).title == "A better title"


async def test_while_another_one_runs_a_title_waits(describing: World, service: Service) -> None:
    running = await describing.delegate(service, HANG)
    child = await describing.working(running)
    ended = await describing.ended(await describing.delegate(service, DONE))
    await after_the_toast(describing)
    assert describing.now(ended).title != "A better title"
    child.write("Done.")
    child.finish()
    await describing.ended(running)
    await after_the_toast(describing)
    assert describing.now(ended).title == "A better title"
    assert describing.now(running).title == "A better title"


async def test_it_does_not_wait_for_ever(describing: World, service: Service) -> None:
    await describing.working(await describing.delegate(service, HANG))
    ended = await describing.ended(await describing.delegate(service, DONE))
    await after_the_toast(describing)
    describing.advance(seconds=titles.PATIENCE.total_seconds())
    await describing.settle()
    assert describing.now(ended).title == "A better title"


async def test_what_waits_for_a_title_takes_bounded_memory(
    describing: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titles, "MOST_HELD_CHARS", 12)
    running = await describing.delegate(service, HANG)
    child = await describing.working(running)
    first = await describing.ended(await describing.delegate(service, {"say": "Ten chars."}))
    await after_the_toast(describing)
    second = await describing.ended(await describing.delegate(service, {"say": "Ten more.."}))
    await after_the_toast(describing)
    child.fail("The provider went away.")
    await describing.ended(running)
    await after_the_toast(describing)
    assert describing.now(first).title == "A better title"
    assert describing.now(second).title != "A better title"


async def test_no_more_titles_wait_than_can_be_written(
    describing: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titles, "MOST_WAITING", 2)
    running = await describing.delegate(service, HANG)
    child = await describing.working(running)
    ended = []
    for _ in range(4):
        ended.append(await describing.ended(await describing.delegate(service, DONE)))
        await after_the_toast(describing)
    child.fail("The provider went away.")
    await describing.ended(running)
    await after_the_toast(describing)
    described = [describing.now(one).title == "A better title" for one in ended]
    assert described == [True, True, False, False]
    later = await describing.ended(await describing.delegate(service, DONE))
    await after_the_toast(describing)
    assert describing.now(later).title == "A better title", "what waited holds its place no more"
