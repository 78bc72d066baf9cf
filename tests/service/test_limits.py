"""What a delegation may use: warned, refused its tools, stopped. What a project may in a day."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from world import HANG, LIVING, World, bash

from background_agents.config import Settings
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DayIsSpent, InvalidRequest
from background_agents.domain.events import LimitReached, Progressed
from background_agents.domain.limits import Limits, Reached
from background_agents.domain.status import Status
from background_agents.testing.scripted_session import ScriptedSession
from lab.harness.service import Service


def steps(count: int, then: dict[str, object] = HANG) -> list[dict[str, object]]:
    """Return so many answers that call a tool, another each time, and what comes after."""
    return [*(bash(f"look {number}", "Looked. ") for number in range(count)), then]


async def begun(world: World, delegation: Delegation, answers: int) -> ScriptedSession:
    """Return the child session once it writes its answer of that number."""
    child = await world.working(delegation)

    def writes() -> bool:
        return len([one for one in child.entries.values() if one.answers]) == answers

    await world.heard.until(writes)
    await world.settle()
    return child


async def stopped(world: World, delegation: Delegation) -> Delegation:
    """Return a delegation once it was stopped; what is between two answers tells no abort."""
    async with asyncio.timeout(5):
        while not world.now(delegation).is_terminal:
            await asyncio.sleep(0)
            await world.settle()
            world.clock.advance(timedelta(seconds=1))
    return world.now(delegation)


async def test_it_is_told_once_and_that_buys_no_time(world: World, service: Service) -> None:
    delegation = await world.delegate(service, *steps(4), max_turns=5, minutes=10)
    await begun(world, delegation, 5)
    now = world.now(delegation)
    (steer,) = now.steers
    assert (steer.by, now.window_from) == (Actor.LIMIT, now.launched_at)
    assert steer.text.startswith("You have used 80% of your limit of 5 turns: finish now")
    status = await world.status(service)
    assert "limit: 5 of 5 turns" in status
    assert "has reached its limit of 5 turns, so that its tools are refused" in status


async def test_below_four_fifths_nothing_is_told(world: World, service: Service) -> None:
    delegation = await world.delegate(service, *steps(3), max_turns=5)
    await begun(world, delegation, 4)
    assert world.now(delegation).steers == ()


async def test_who_is_about_to_finish_is_not_told(world: World, service: Service) -> None:
    """An instruction that nobody has taken up would begin a turn of its own."""
    delegation = await world.delegate(service, {"say": "All of it."}, max_tokens=3)
    ended = await world.ended(delegation)
    assert (ended.status, ended.steers, ended.usage.turns) == (Status.COMPLETED, (), 1)


async def test_tools_are_refused_at_the_limit_and_then_it_is_stopped(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, *steps(1), max_turns=2)
    child = await begun(world, delegation, 2)
    refusal = await service.guidance.refused_tool(child.name, "")
    assert refusal is not None
    assert refusal.startswith("Refused: this task has reached its limit of 2 turns. No tool runs")
    assert world.now(delegation).reached == Reached("limit of 2 turns", 2)

    # The answer after that wants a tool again; its message is heard of later.
    last = asyncio.create_task(service.guidance.refused_tool(child.name, "msg_later"))
    ended = await world.ended(delegation)
    assert await last is not None
    assert (ended.status, ended.error) == (Status.STOPPED, "Stopped at its limit of 2 turns.")
    assert ended.stop_requested_by == Actor.LIMIT
    assert (await world.artifact(delegation)).endswith("Looked. ")
    assert child.name not in world.runtime.guarded


async def test_who_answers_after_a_refusal_completes_and_is_cut(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, *steps(1), max_turns=2)
    child = await begun(world, delegation, 2)
    await service.guidance.refused_tool(child.name, "")
    child.write("What I have.")
    child.finish()
    ended = await world.ended(delegation)
    assert (ended.status, ended.cut) == (Status.COMPLETED, "limit of 2 turns")


async def test_without_a_host_that_asks_it_is_stopped_all_the_same(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, *steps(2, bash("once more", "More.")), max_turns=2)
    ended = await stopped(world, delegation)
    assert ended.error == "Stopped at its limit of 2 turns."


async def test_tools_of_others_are_nobodys_business(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await begun(world, delegation, 1)
    assert await service.guidance.refused_tool(child.name, "") is None
    assert await service.guidance.refused_tool(world.supervisor, "") is None
    assert world.runtime.guarded == set()


async def test_what_is_below_counts(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, max_turns=3)
    child = await begun(world, delegation, 1)
    below = world.below(child, HANG)
    await world.heard.until(lambda: world.heard.works(below.name))
    await world.settle()
    assert {child.name, below.name} <= world.runtime.guarded
    assert "limit: 2 of 3 turns" in await world.status(service)
    assert await service.guidance.refused_tool(below.name, "") is None
    assert await service.guidance.refused_tool(below.name, "msg_next") is not None
    last = asyncio.create_task(service.guidance.refused_tool(below.name, "msg_last"))
    ended = await stopped(world, delegation)
    await last
    assert ended.error == "Stopped at its limit of 3 turns."
    assert not below.busy
    assert ended.usage.turns == 4


async def test_a_restart_forgets_nothing(world: World) -> None:
    """Neither what was used, here and below, nor that it was told, nor that the end is near."""
    first = await world.service()
    delegation = await world.delegate(first, *steps(8), max_turns=10)
    child = await begun(world, delegation, 9)
    below = world.below(child, HANG)
    await world.heard.until(lambda: world.heard.works(below.name))
    await world.settle()
    assert world.now(delegation).reached == Reached("limit of 10 turns", 9)
    await first.close()

    second = await world.service(owner=LIVING)
    await world.settle()
    assert "limit: 10 of 10 turns" in await world.status(second)
    assert len(world.now(delegation).steers) == 1
    assert {child.name, below.name} <= world.runtime.guarded
    history = await world.store.history(delegation.id)
    assert len([one for one in history if isinstance(one, LimitReached)]) == 1
    assert await second.guidance.refused_tool(child.name, "") is not None
    last = asyncio.create_task(second.guidance.refused_tool(child.name, "msg_last"))
    ended = await stopped(world, delegation)
    await last
    assert ended.error == "Stopped at its limit of 10 turns."


async def test_who_has_begun_the_last_answer_is_not_told_to_go_on(world: World) -> None:
    first = await world.service()
    delegation = await world.delegate(first, *steps(2), max_turns=2)
    child = await begun(world, delegation, 3)
    await first.close()
    child.cut_off()
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.STOPPED, "Stopped at its limit of 2 turns.")
    assert ended.relaunches == 0


async def test_a_wish_to_stop_keeps_its_reason_over_a_restart(world: World) -> None:
    first = await world.service()
    delegation = await world.delegate(first, *steps(2), max_turns=1)
    await world.until(lambda: world.now(delegation).stop_requested_by is not None)
    await first.close()
    await world.service(owner=LIVING)
    ended = await stopped(world, delegation)
    assert ended.error == "Stopped at its limit of 1 turn."


# --- loops -----------------------------------------------------------------------------


async def test_a_loop_is_told_at_three_and_ended_at_six(world: World, service: Service) -> None:
    same = bash("ls", "Again. ")
    held = {**same, "gate": "on"}
    delegation = await world.delegate(service, *[same] * 3, held, *[same] * 16)
    await begun(world, delegation, 4)
    (steer,) = world.now(delegation).steers
    assert steer.by == Actor.LOOP
    assert steer.text.startswith("You have called bash 3 times in a row with the same arguments")
    (told,) = await world.told("child-notification")
    assert "It has made the same call 3 times in a row, with the same answer: bash" in told

    world.runtime.open("on")
    ended = await stopped(world, delegation)
    assert (ended.status, ended.error) == (
        Status.STOPPED,
        "It repeated the same call 6 times (bash).",
    )
    assert len(ended.steers) == 1
    assert len(await world.told("child-notification")) == 1


async def test_a_loop_that_it_leaves_is_forgotten_and_the_next_is_told_of(
    world: World, service: Service
) -> None:
    loops = [*[bash("ls")] * 4, bash("pwd"), *[bash("ls")] * 4, HANG]
    delegation = await world.delegate(service, *loops)
    await begun(world, delegation, 10)
    assert [one.by for one in world.now(delegation).steers] == [Actor.LOOP, Actor.LOOP]
    assert not world.now(delegation).is_terminal


# --- what may be asked for -------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_turns": -1}, "max_turns is -1; give a number above 0, or leave it out."),
        ({"max_cost_usd": float("nan")}, "max_cost_usd is nan; give a number above 0"),
        ({"max_tokens": 10**13}, "max_tokens is 10000000000000; give a number above 0"),
    ],
)
async def test_what_no_limit_can_be_is_refused(
    world: World, service: Service, given: dict[str, float], said: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await world.delegate(service, HANG, **given)  # type: ignore[arg-type]
    assert str(refused.value).startswith(said)
    assert world.journal.of("register") == []


async def test_a_model_goes_not_beyond_what_its_user_has_set(world: World) -> None:
    service = await world.service(Settings(max_turns=10, max_cost_usd=1.0))
    usual = await world.delegate(service, HANG, by="build")
    less = await world.delegate(service, HANG, by="build", max_turns=5)
    person = await world.delegate(service, HANG, max_turns=50, max_cost_usd=0)
    assert usual.limits == Limits(1.0, None, 10)
    assert less.limits == Limits(1.0, None, 5)
    assert person.limits == Limits(None, None, 50)
    for given in (11, 0):
        with pytest.raises(InvalidRequest, match="and 10 is the most that the user has set; give"):
            await world.delegate(service, HANG, by="build", max_turns=given)


# --- the day ---------------------------------------------------------------------------


async def test_what_was_spent_today_refuses_what_is_new(world: World) -> None:
    service = await world.service(Settings(day_cost_usd=1.0))
    world.runtime.price_usd = 0.6
    first = await world.delegate(service, {"say": "Done."})
    await world.ended(first)
    running = await world.delegate(service, HANG)
    await begun(world, running, 1)
    with pytest.raises(DayIsSpent) as refused:
        await world.delegate(service, HANG)
    assert "has spent $1.20 today, and $1.00 is its limit for a day" in str(refused.value)
    assert not world.now(running).is_terminal

    await service.stop(world.supervisor, running.id)
    world.clock.advance(timedelta(days=1))
    await world.delegate(service, HANG)


async def test_what_other_processes_spend_counts(world: World) -> None:
    """Of a run elsewhere the store tells: it is stored when it has grown by a hundredth."""
    other = await world.service(Settings(day_cost_usd=1.0), owner=LIVING)
    world.runtime.price_usd = 0.6
    running = await world.delegate(other, *steps(1))
    await begun(world, running, 2)
    history = await world.store.history(running.id)
    assert [one.usage.cost_usd for one in history if isinstance(one, Progressed)] == [0.6, 1.2]

    service = await world.service(Settings(day_cost_usd=1.0), owner=LIVING)
    with pytest.raises(DayIsSpent):
        await world.delegate(service, HANG)


async def test_without_a_days_limit_nothing_is_stored_on_the_way(
    world: World, service: Service
) -> None:
    world.runtime.price_usd = 0.6
    running = await world.delegate(service, *steps(3))
    await begun(world, running, 4)
    assert not [one for one in await world.store.history(running.id) if isinstance(one, Progressed)]


# --- what cannot be kept ---------------------------------------------------------------


async def test_a_price_that_is_unknown_is_said(world: World, service: Service) -> None:
    delegation = await world.delegate(service, *steps(1), max_cost_usd=1.0)
    child = await begun(world, delegation, 2)
    assert "limit: $0.0000 of $1.00 (price unknown)" in await world.status(service)
    child.write("Done.")
    child.finish()
    (notice,) = await world.told("task-notification")
    assert "<limit>Its limit of $1.00 could not be kept: price unknown.</limit>" in notice
