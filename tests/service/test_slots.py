"""Only so many run at once; the others wait in their order."""

from __future__ import annotations

from world import World

from background_agents.domain.status import Status
from background_agents.service.slots import Slots

HANG: dict[str, object] = {"hang": True}


def test_places_are_given_in_the_order_of_asking() -> None:
    slots, granted = Slots(2), list[str]()
    for key in "abcde":
        slots.ask(key, lambda key=key: granted.append(key))
    assert granted == ["a", "b"]
    assert [slots.position(key) for key in "abcde"] == [None, None, 1, 2, 3]
    slots.release("b")
    slots.release("a")
    assert granted == ["a", "b", "c", "d"]


def test_one_that_leaves_the_queue_is_never_granted() -> None:
    slots, granted = Slots(1), list[str]()
    for key in "abc":
        slots.ask(key, lambda key=key: granted.append(key))
    slots.release("b")
    slots.release("b")
    slots.release("a")
    assert granted == ["a", "c"]


def test_a_place_given_back_twice_is_one_place() -> None:
    slots, granted = Slots(1), list[str]()
    for key in "abc":
        slots.ask(key, lambda key=key: granted.append(key))
    slots.release("a")
    slots.release("a")
    assert granted == ["a", "b"]


async def test_the_limit_holds_and_the_order_is_kept(world: World) -> None:
    service = await world.service(max_concurrent=2)
    all_five = [await world.delegate(service, HANG) for _ in range(5)]
    for position, delegation in enumerate(all_five):
        child = await world.working(delegation)
        running = [one for one in all_five if world.now(one).status is Status.RUNNING]
        assert running == all_five[position : position + 2][: len(running)]
        assert (
            sum(session.busy for session in world.runtime.sessions.values() if session.parent) <= 2
        )
        child.write("Done.")
        child.finish()
        await world.ended(delegation)


async def test_one_that_is_stopped_while_it_waits_leaves_the_queue(world: World) -> None:
    service = await world.service(max_concurrent=1)
    other = world.runtime.add_session()
    first = await world.delegate(service, HANG)
    child = await world.working(first)
    stopped = await world.delegate(service, HANG, supervisor=other)
    third = await world.delegate(service, HANG)
    world.runtime.delete_session(other)
    assert (await world.ended(stopped)).status is Status.STOPPED
    child.finish()
    await world.working(third)
    assert world.now(stopped).session is None


async def test_the_time_of_one_that_waits_does_not_run(world: World) -> None:
    service = await world.service(max_concurrent=1)
    child = await world.working(await world.delegate(service, HANG, minutes=0))
    waiting = await world.delegate(service, HANG, minutes=1)
    world.advance(minutes=5)
    child.finish()
    await world.working(waiting)
    world.advance(seconds=59)
    assert world.now(waiting).status is Status.RUNNING
    world.advance(seconds=1)
    assert (await world.ended(waiting)).status is Status.TIMED_OUT
