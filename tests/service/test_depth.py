"""Delegations of delegations: who may, who is told, when a run is over, and what ends with it."""

from __future__ import annotations

import asyncio

import pytest
from world import HANG, LIVING, World, bash

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    MayNotGrant,
    NotDelegable,
    NotPermitted,
    OnlyPlanning,
    UnknownDelegation,
)
from background_agents.domain.order import Order
from background_agents.domain.status import Status
from background_agents.hosts.opencode.tools import NAMES
from background_agents.ports.runtime import Leave
from background_agents.testing.scripts import script
from background_agents.views import model as for_model
from lab.harness.service import Service

DEEP = Settings(max_depth=3)

Step = dict[str, object]

WAITS: Step = {"say": "Handed on.", "gate": "handed on"}
"""Goes idle once the gate is open."""

WAITS_TOO: Step = {"say": "Handed on.", "gate": "handed on deeper"}

SAYS_ALL: Step = {"say": "All of it."}


def order(*steps: Step, on_notice: tuple[Step, ...] = (), minutes: float | None = None) -> Order:
    return Order(f"Look into it.\n{script(*steps, on_notice=on_notice)}", "build", minutes)


async def handed_on(
    world: World, service: Service, *below: Step, on_notice: tuple[Step, ...] = (SAYS_ALL,)
) -> tuple[Delegation, Delegation]:
    """Return a delegation that rests, and the one that it waits for."""
    above = await service.delegate(world.supervisor, order(WAITS, on_notice=on_notice))
    child = await world.working(above)
    one = await service.delegate(child.name, order(*below, on_notice=(SAYS_ALL,)))
    world.runtime.open("handed on")
    await world.until(lambda: world.now(one).session is not None)
    await world.settle()
    assert not child.busy
    return world.now(above), world.now(one)


def text_of(parts: tuple[str, ...]) -> str:
    return "\n".join(parts)


# --- the end of a run that has delegated -------------------------------------------


async def test_one_that_has_delegated_is_woken_and_ends_when_nothing_is_left(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    assert (below.depth, below.above, below.root_session) == (2, above.id, world.supervisor)
    assert not above.is_terminal

    world.runtime.sessions[below.session or ""].write("Found.")
    world.runtime.sessions[below.session or ""].finish()

    assert (await world.ended(above)).status is Status.COMPLETED
    assert (await world.artifact(above)).endswith("All of it.")
    (notice,) = await world.notified()
    assert f"<task-id>{above.id}</task-id>" in text_of(notice)
    (told,) = world.channel.delivered(above.session or "")
    assert f"<task-id>{below.id}</task-id>" in text_of(told)
    await world.close()


async def test_it_goes_on_waiting_for_the_others(world: World) -> None:
    service = await world.service(DEEP)
    above, first = await handed_on(world, service, HANG)
    second = await service.delegate(above.session or "", order(HANG))
    for one in (first, second):
        session = await world.working(one)
        assert not world.now(above).is_terminal
        session.write("Found.")
        session.finish()
        await world.ended(one)
        await world.settle()
    assert (await world.ended(above)).status is Status.COMPLETED
    assert len(await world.notified()) == 1
    await world.close()


async def test_a_child_of_a_child_that_delegates_ends_last_but_one(world: World) -> None:
    service = await world.service(DEEP)
    above, middle = await handed_on(world, service, WAITS_TOO)
    lowest = await service.delegate(middle.session or "", order({"say": "Found."}))
    world.runtime.open("handed on deeper")
    assert (await world.ended(above)).status is Status.COMPLETED
    assert world.now(lowest).depth == 3
    assert world.journal.of("end") == [lowest.id, middle.id, above.id]
    await world.close()


async def test_its_time_window_bounds_the_waiting(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    world.advance(minutes=15)
    while not world.now(above).is_terminal:
        await world.settle()
        world.advance(seconds=2)
    assert world.now(above).status is Status.TIMED_OUT
    assert (world.now(below).status, world.now(below).stop_requested_by) in {
        (Status.STOPPED, "end above"),
        (Status.TIMED_OUT, "deadline"),  # its own is over at the same moment
    }
    await world.close()


# --- what ends with it -------------------------------------------------------------


@pytest.mark.parametrize("rests", [True, False], ids=["rests", "works"])
async def test_a_stop_ends_what_is_below_and_wakes_nobody_there(world: World, rests: bool) -> None:
    service = await world.service(DEEP)
    if rests:
        above, below = await handed_on(world, service, HANG)
    else:
        above = await service.delegate(world.supervisor, order(HANG))
        child = await world.working(above)
        below = await service.delegate(child.name, order(HANG))
    lowest = await service.delegate((await world.working(below)).name, order(HANG))
    await world.working(lowest)

    stopping = asyncio.create_task(service.stop(world.supervisor, above.id))
    while not stopping.done():
        await world.settle()
        world.advance(seconds=1)

    assert (await stopping).status is Status.STOPPED
    assert world.journal.of("end") == [lowest.id, below.id, above.id]
    for one in (below, lowest):
        assert (world.now(one).status, world.now(one).stop_requested_by) == (
            Status.STOPPED,
            "end above",
        )
        assert "The delegation above it has ended" in await world.artifact(one)
    assert len(await world.notified()) == 1
    await world.settle()
    assert not any(one.busy for one in world.runtime.sessions.values())
    await world.close()


async def test_a_failure_ends_what_is_below(world: World) -> None:
    service = await world.service(DEEP)
    above = await service.delegate(
        world.supervisor, order({"say": "I try.", "gate": "try"}, on_notice=({"fail": 500},))
    )
    child = await world.working(above)
    first = await service.delegate(child.name, order({"say": "Found."}))
    second = await service.delegate(child.name, order(HANG))
    await world.ended(first)
    world.runtime.open("try")
    while not world.now(above).is_terminal:
        await world.settle()
        world.advance(seconds=1)
    assert world.now(above).status is Status.FAILED
    assert world.now(second).status is Status.STOPPED
    await world.close()


async def test_a_deleted_session_ends_what_is_below(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    world.runtime.delete_session(above.session or "")
    assert (await world.ended(above)).status is Status.STOPPED
    assert (await world.ended(below)).status is Status.STOPPED
    await world.close()


async def test_a_deleted_conversation_ends_all(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    world.runtime.delete_session(world.supervisor)
    for one in (above, below):
        while not world.now(one).is_terminal:
            await world.settle()
            world.advance(seconds=1)
        assert world.now(one).status is Status.STOPPED
    await world.close()


async def test_what_is_delegated_while_it_is_stopped_does_not_begin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call may be on its way that nobody can take back."""
    service = await world.service(DEEP)
    above = await service.delegate(world.supervisor, order(HANG))
    child = await world.working(above)
    late: list[Delegation] = []
    abort = world.runtime.abort

    async def delegate_first(session: str) -> None:
        if not late:
            late.append(await service.delegate(child.name, order(HANG)))
        await abort(session)

    monkeypatch.setattr(world.runtime, "abort", delegate_first)
    stopping = asyncio.create_task(service.stop(world.supervisor, above.id))
    while not stopping.done():
        await world.settle()
        world.advance(seconds=1)
    (one,) = late
    assert (await world.ended(one)).status is Status.STOPPED
    assert world.now(one).stop_requested_by == "end above"
    await world.close()


# --- who may -----------------------------------------------------------------------


async def test_by_default_a_background_agent_does_not_delegate(
    world: World, service: Service
) -> None:
    above = await world.delegate(service, HANG)
    child = await world.working(above)
    assert child.denied >= {*NAMES.supervisors, "task"}
    with pytest.raises(NotDelegable, match=r"^A background agent cannot delegate\.$"):
        await service.delegate(child.name, order(HANG))
    assert await service.guidance.hidden_tools(child.name) == (*NAMES.supervisors, "task")


async def test_as_deep_as_it_may_a_background_agent_gets_the_tools(world: World) -> None:
    service = await world.service(Settings(max_depth=2))
    above, below = await handed_on(world, service, HANG)
    child, lowest = (world.runtime.sessions[one.session or ""] for one in (above, below))
    assert child.denied == {"task"}
    assert lowest.denied >= {*NAMES.supervisors, "task"}
    assert await service.guidance.hidden_tools(child.name) == ("task",)
    assert await service.guidance.hidden_tools(lowest.name) == (*NAMES.supervisors, "task")
    assert "delegate(prompt, agent)" in (await service.guidance.rules(child.name) or "")
    assert "delegate(" not in (await service.guidance.rules(lowest.name) or "")
    with pytest.raises(NotDelegable, match=r"as deep as this cannot delegate \(max_depth = 2\)"):
        await service.delegate(lowest.name, order(HANG))
    under = world.runtime.add_session(child.name)
    with pytest.raises(NotDelegable):
        await service.delegate(under, order(HANG))
    await world.close()


async def test_one_that_has_ended_delegates_no_more(world: World) -> None:
    service = await world.service(DEEP)
    above = await world.ended(await service.delegate(world.supervisor, order({"say": "Done."})))
    with pytest.raises(NotDelegable, match=f"{above.id} has ended"):
        await service.delegate(above.session or "", order(HANG))
    await world.close()


async def test_what_the_conversation_may_not_do_no_agent_does_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(DEEP)
    asked: list[tuple[str, str]] = []
    says = {"plan": Leave(planning=True), "explore": Leave()}

    async def leave(session: str, by: str, agent: str, *, native: bool = True) -> Leave:
        assert native == (by == "plan")  # what keeps a background agent from it is ours
        asked.append((session, by))
        return says[by]

    monkeypatch.setattr(world.runtime, "leave", leave)
    reads = Order(f"Look.\n{script(HANG)}", "explore")
    above = await service.delegate(world.supervisor, reads, by="plan")
    child = await world.working(above)
    with pytest.raises(OnlyPlanning):
        await service.delegate(child.name, order(HANG), by="explore")
    await service.delegate(child.name, reads, by="explore")
    says["plan"] = Leave(ask="task")
    with pytest.raises(NotPermitted):
        await service.delegate(child.name, reads, by="explore")
    assert {session for session, _ in asked} == {world.supervisor}
    await world.close()


# --- who sees what -----------------------------------------------------------------


async def test_a_conversation_has_the_whole_tree_and_an_agent_what_is_below_it(
    world: World,
) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    other = await service.delegate(world.supervisor, order(HANG))
    child = above.session or ""

    seen = for_model.listing(await service.list(world.supervisor))
    assert f"- {below.id} (below {above.id}) [running]" in seen
    assert f"- {above.id} [running]" in seen
    assert f"- {below.id} (below {above.id}) [running]" in await world.status(service)
    own = for_model.listing(await service.list(child))
    assert below.id in own
    assert other.id not in own
    assert [one.delegation.id for one in (await service.status(child)).live] == [below.id]

    for name in (other.id, above.id):
        with pytest.raises(UnknownDelegation):
            await service.stop(child, name)
        with pytest.raises(UnknownDelegation):
            await service.steer(child, name, "Do as I say.")
    await service.steer(world.supervisor, below.id, "Shorter.")
    carried = await service.guidance.carried_over(child) or ""
    assert below.id in carried
    assert other.id not in carried
    await world.close()


async def test_a_wait_is_for_ones_own(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    for session, own in ((world.supervisor, above), (above.session or "", below)):
        waiting = asyncio.create_task(service.wait(session, timeout_seconds=1))
        await world.settle()
        world.advance(seconds=1)
        assert [one.id for one in (await waiting).delegations] == [own.id]
    await world.close()


async def test_what_one_below_asks_and_says_goes_to_its_own_supervisor(world: World) -> None:
    service = await world.service(Settings(max_depth=3, model_grants="once"))
    world.runtime.asking.add("bash")
    above, below = await handed_on(world, service, bash("make"), HANG)
    (ask,) = await world.waits(below)
    assert not ask.in_chat
    with pytest.raises(MayNotGrant):
        await service.answer(above.session or "", below.id, "once")
    assert not world.now(above).requests
    (told,) = await world.channel.until_delivered(above.session or "", 1)
    assert "<delegation-request>" in text_of(told)
    await service.answer(above.session or "", below.id, "reject: not now")
    await world.goes_on(below)
    assert await service.project.context.store.remaining(world.supervisor) == 1
    await world.close()


async def test_a_look_takes_no_request_of_one_below_for_its_own(world: World) -> None:
    service = await world.service(DEEP)
    world.runtime.asking.add("bash")
    above, below = await handed_on(world, service, bash("make"), HANG)
    await world.waits(below)
    with world.runtime.losing_events():
        pass
    await world.settle()
    assert not world.now(above).requests
    assert len(world.now(below).requests) == 1
    await world.close()


# --- places, and the next process --------------------------------------------------


async def test_one_place_is_enough_for_a_whole_chain(world: World) -> None:
    """Whoever waits for one below lends its place; else nobody would ever begin."""
    service = await world.service(Settings(max_depth=3, max_concurrent=1))
    above, middle = await handed_on(world, service, WAITS_TOO)
    lowest = await service.delegate(middle.session or "", order({"say": "Found."}))
    second = await service.delegate(world.supervisor, order({"say": "Me too."}))
    await world.settle()
    assert world.now(second).session is None
    world.runtime.open("handed on deeper")
    assert (await world.ended(second)).status is Status.COMPLETED
    assert world.journal.of("end") == [lowest.id, middle.id, above.id, second.id]
    await world.close()


async def test_the_next_process_keeps_the_tree(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    await service.close()

    after = await world.service(DEEP, owner=LIVING)
    await world.until(lambda: world.now(above).resumes == world.now(below).resumes == 1)
    await world.settle()
    assert not world.now(above).is_terminal
    child = world.runtime.sessions[below.session or ""]
    child.write("Found.")
    child.finish()
    assert (await world.ended(above)).status is Status.COMPLETED
    assert world.journal.of("end") == [below.id, above.id]
    assert len(await world.notified()) == 1
    assert after.project.runs.all() == []


async def test_one_whose_supervisor_has_ended_unseen_is_stopped_by_the_next(world: World) -> None:
    """Its process died between the two endings."""
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    await service.close()
    now = world.now(above)
    world.store._delegations[above.id] = type(now)(  # as another process has stored it
        **{name: getattr(now, name) for name in now.__struct_fields__}
        | {"status": Status.STOPPED, "ended_at": world.clock.now()}
    )
    await world.service(DEEP, owner=LIVING)
    while not world.now(below).is_terminal:
        await world.settle()
        world.advance(seconds=1)
    assert world.now(below).stop_requested_by == "end above"


# --- limits ------------------------------------------------------------------------


async def test_what_is_below_counts_for_the_limits_above_and_is_told_by_itself(
    world: World,
) -> None:
    """Its record has its own use alone, so that nothing is counted twice in a sum."""
    service = await world.service(DEEP)
    wants = Order(f"Look.\n{script(WAITS, on_notice=[SAYS_ALL])}", "build", max_turns=4)
    above = await service.delegate(world.supervisor, wants)
    child = await world.working(above)
    below = await service.delegate(child.name, order(bash("one"), bash("two"), HANG))
    world.runtime.open("handed on")
    lowest = await world.working(below)
    await world.settle()

    assert lowest.name in world.runtime.guarded
    refused = await service.guidance.refused_tool(lowest.name, "")
    assert not world.now(above).is_terminal
    assert refused is not None
    assert "4 turns" in refused
    mine = next(
        one for one in (await service.status(world.supervisor)).live
        if one.delegation.id == above.id
    )  # fmt: skip
    assert mine.delegation.usage.turns == 1
    await service.stop(world.supervisor, above.id)
    await world.close()


# --- what a person does ------------------------------------------------------------


async def test_one_above_goes_on_when_a_person_has_stopped_what_is_below(world: World) -> None:
    """Nobody would ever speak to it later, as to a conversation."""
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    stopping = asyncio.create_task(service.user.stop(below.id))
    while not stopping.done():
        await world.settle()
        world.advance(seconds=1)
    assert (await world.ended(above)).status is Status.COMPLETED
    assert (await world.artifact(above)).endswith("All of it.")
    await world.close()


async def test_a_person_stops_a_whole_tree_at_once(world: World) -> None:
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    stopping = asyncio.create_task(service.user.stop_all([above.id, below.id]))
    while not stopping.done():
        await world.settle()
        world.advance(seconds=1)
    assert [world.now(one).status for one in (above, below)] == [Status.STOPPED] * 2
    assert world.journal.of("end") == [below.id, above.id]
    await world.settle()
    assert not any(one.busy for one in world.runtime.sessions.values())
    await world.close()


async def test_what_was_not_told_before_a_crash_is_told_by_the_next_process(world: World) -> None:
    """The run above is not over for as long, though nothing below it is active."""
    service = await world.service(DEEP)
    above, below = await handed_on(world, service, HANG)
    world.channel.hold()
    session = world.runtime.sessions[below.session or ""]
    session.write("Found.")
    session.finish()
    await world.ended(below)
    await world.settle()
    assert not world.now(above).is_terminal
    await service.close()
    world.channel.let_go()

    await world.service(DEEP, owner=LIVING)
    assert (await world.ended(above)).status is Status.COMPLETED
    assert (await world.artifact(above)).endswith("All of it.")
    assert len(world.channel.delivered(above.session or "")) == 1
