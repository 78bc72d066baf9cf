"""What was delegated before is done once more, alike but for what is said anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from world import DIRECTORY, HANG, World

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StillActive, UnknownDelegation
from background_agents.domain.limits import Limits
from background_agents.domain.order import Order, again
from background_agents.domain.status import Status
from background_agents.testing.scripts import script
from lab.harness.service import Service

DONE = {"say": "Done."}


async def ended(world: World, service: Service, **more: object) -> Delegation:
    order = Order(f"Look.\n{script(DONE)}", "explore", **more)  # type: ignore[arg-type]
    return await world.ended(await service.delegate(world.supervisor, order, by="build"))


async def test_a_retry_is_as_the_first_was(world: World, service: Service) -> None:
    first = await ended(
        world, service, timeout_minutes=2.5, model="scripted/two", max_turns=7, max_cost_usd=0.5
    )
    second = await service.delegate(world.supervisor, Order(retry_id=first.id), by="build")
    assert second.id != first.id
    assert second.retry_of == first.id
    same = ("prompt", "agent", "model", "timeout", "limits", "title", "parent_session")
    for name in same:
        assert getattr(second, name) == getattr(first, name), name
    assert (second.limits.max_turns, second.timeout) == (7, timedelta(minutes=2.5))
    assert (await world.ended(second)).status is Status.COMPLETED
    assert "\nretry_of: " in await world.artifact(second)


async def test_a_model_retries_within_the_limits_of_its_user(world: World) -> None:
    """A person has let the first one use more, or anything."""
    service = await world.service(Settings(max_turns=5, max_tokens=900))
    order = Order(f"Look.\n{script(DONE)}", "explore", max_turns=50, max_tokens=0, max_cost_usd=2)
    first = await world.ended(await service.delegate(world.supervisor, order))
    assert first.limits == Limits(max_cost_usd=2, max_turns=50)

    second = await service.delegate(world.supervisor, Order(retry_id=first.id), by="build")

    assert second.limits == Limits(max_cost_usd=2, max_tokens=900, max_turns=5)


async def test_what_is_said_anew_counts(world: World, service: Service) -> None:
    first = await ended(world, service, timeout_minutes=0)
    second = await service.delegate(
        world.supervisor, Order(agent="build", model="scripted/two", retry_id=f"`{first.id}`")
    )
    assert (second.agent, second.model, second.timeout) == ("build", "scripted/two", None)
    assert second.prompt == first.prompt
    await world.ended(second)
    third = await service.delegate(
        world.supervisor, Order(prompt=f"Else.\n{script(DONE)}", retry_id=second.id)
    )
    assert third.prompt.startswith("Else.")
    assert (third.agent, third.retry_of) == ("build", second.id)


async def test_what_runs_is_not_done_once_more(world: World, service: Service) -> None:
    first = await world.delegate(service, HANG)
    with pytest.raises(StillActive, match="cannot be done once more: it is "):
        await service.delegate(world.supervisor, Order(retry_id=first.id))
    with pytest.raises(UnknownDelegation):
        await service.delegate(world.supervisor, Order(retry_id="brave-amber-otter"))
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        await service.delegate(world.supervisor, Order())
    other = world.runtime.add_session()
    done = await ended(world, service)
    with pytest.raises(UnknownDelegation):
        await service.delegate(other, Order(retry_id=done.id), by="build")


async def test_one_that_went_on_goes_on_there_again(world: World, service: Service) -> None:
    """Its prompt says nothing without what was said before it."""
    first = await ended(world, service)
    second = await world.ended(await world.delegate(service, DONE, continue_id=first.id))
    third = await world.ended(await service.delegate(world.supervisor, Order(retry_id=second.id)))
    assert third.continued_from == first.id
    assert third.session == first.session


async def test_a_person_does_it_for_the_same_supervisor_and_wakes_nobody(
    world: World, service: Service
) -> None:
    first = await ended(world, service)
    await world.received(first)
    before = len(world.channel.delivered(world.supervisor))
    second = await service.user.delegate(DIRECTORY, Order(retry_id=first.id))
    assert second.parent_session == world.supervisor
    assert (second.retry_of, second.supervisor_agent) == (first.id, "")
    await world.ended(second)
    await world.channel.until_delivered(world.supervisor, before + 1)
    assert not world.channel.attempts[-1].wakes


async def test_a_person_does_it_without_the_conversation_that_is_gone(
    world: World, service: Service
) -> None:
    first = await ended(world, service)
    await world.received(first)
    world.runtime.delete_session(world.supervisor)
    second = await world.ended(await service.user.delegate(DIRECTORY, Order(retry_id=first.id)))
    assert second.parent_session != world.supervisor
    assert second.status is Status.COMPLETED


def test_only_what_is_left_out_is_as_it_was() -> None:
    """Also what was unlimited stays so, whatever is usual by then."""
    before = Delegation(
        id="brave-amber-otter", project="p", directory="/", root_session="r", parent_session="r",
        prompt="Look.", agent="explore", title="Look.", owner="1:1", model="a/b",
        registered_at=datetime(2031, 1, 1, tzinfo=UTC),
        limits=Limits(max_turns=3),
    )  # fmt: skip
    order = again(Order(max_turns=5, timeout_minutes=1), before)
    assert (order.max_turns, order.timeout_minutes, order.model) == (5, 1, "a/b")
    assert again(Order(), before).timeout_minutes == 0
