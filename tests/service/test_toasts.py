"""A host shows one toast at a time: none takes the place of another that was not seen."""

from __future__ import annotations

from world import HANG, World

from background_agents.domain.delegation import Delegation
from background_agents.service.delivery.toasts import GIVE_WAY, SHOWN
from background_agents.testing.scripted_session import ScriptedSession
from lab.harness.service import Service

Toast = tuple[str, str, str]

DONE: dict[str, object] = {"say": "Done."}


async def after(world: World, seconds: float) -> list[Toast]:
    """Return what is shown in that time."""
    before = len(world.channel.toasts)
    await world.settle()
    world.advance(seconds=seconds)
    await world.settle()
    return world.channel.toasts[before:]


async def at_work(world: World, service: Service) -> tuple[Delegation, ScriptedSession]:
    one = await world.delegate(service, HANG)
    return one, await world.working(one)


async def test_what_comes_while_one_is_shown_is_told_together_afterwards(
    world: World, service: Service
) -> None:
    (first, a), (second, b), (third, c) = [await at_work(world, service) for _ in range(3)]
    a.ask("bash", "make")
    await world.waits(first)
    ((title, message, _),) = await after(world, GIVE_WAY.total_seconds())
    assert (title, first.id in message) == ("Delegation asks for a permission", True)
    c.finish()
    await world.ended(third)
    b.ask("bash", "rm -rf build")
    await world.waits(second)
    assert await after(world, SHOWN.total_seconds()) == []
    (toast,) = await after(world, GIVE_WAY.total_seconds())
    assert toast == (
        "Delegations: 1 asking, 1 ended",
        f"Delegation asks for a permission: build · {second.id} (0.1s): bash: rm -rf build\n"
        f"Delegation completed: build · {third.id} (0.1s): Look into it.",
        "warning",
    )
    assert await after(world, 60) == []
    await world.ended(await world.delegate(service, DONE))
    assert len(await after(world, GIVE_WAY.total_seconds())) == 1


async def test_two_that_ask_at_one_moment_are_told_in_one(world: World, service: Service) -> None:
    (first, a), (second, b) = [await at_work(world, service) for _ in range(2)]
    for child in (a, b):
        child.ask("bash", "make")
    await world.waits(first)
    await world.waits(second)
    ((title, message, variant),) = await after(world, GIVE_WAY.total_seconds())
    assert (title, variant) == ("Delegations: 2 asking", "warning")
    assert [first.id in message, second.id in message] == [True, True]


async def test_what_was_answered_meanwhile_is_asked_of_nobody(
    world: World, service: Service
) -> None:
    (first, a), (second, b) = [await at_work(world, service) for _ in range(2)]
    a.ask("bash", "make")
    await world.waits(first)
    await after(world, GIVE_WAY.total_seconds())
    b.ask("bash", "make")
    await world.waits(second)
    await service.user.stop(second.id)
    await after(world, SHOWN.total_seconds())
    (toast,) = await after(world, GIVE_WAY.total_seconds())
    assert toast[0] == "Delegation stopped"


async def test_of_very_many_the_first_are_named(world: World, service: Service) -> None:
    """Those that ask before those that have ended, in a toast that leaves room for the chat."""
    for _ in range(20):
        await world.ended(await world.delegate(service, DONE))
    one, child = await at_work(world, service)
    child.ask("bash", "x" * 1000)
    await world.waits(one)
    ((title, message, _),) = await after(world, GIVE_WAY.total_seconds())
    assert title == "Delegations: 1 asking, 20 ended"
    lines = message.splitlines()
    assert one.id in lines[0]
    assert (len(lines), lines[-1]) == (5, "… and 17 more")
    assert all(len(line) <= 120 for line in lines)
