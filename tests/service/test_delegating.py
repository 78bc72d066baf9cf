"""Delegating: what is taken at once, and what is refused without a trace."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from world import World

from background_agents.domain.errors import (
    InvalidRequest,
    LeaveNeeded,
    NotDelegable,
    NotPermitted,
    OnlyPlanning,
    RuntimeRefused,
    RuntimeUnreachable,
    UnknownAgent,
)
from background_agents.domain.order import Order
from background_agents.domain.status import Status
from background_agents.hosts.opencode.tools import NAMES
from background_agents.ports.runtime import Agent, Leave, SessionOrder
from background_agents.views import errors
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}


async def test_it_is_registered_before_any_session_exists(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    assert set(world.runtime.sessions) == {world.supervisor}
    assert delegation.status is Status.REGISTERED
    assert world.journal.entries == [("register", delegation.id)]


async def test_it_runs_in_a_child_without_our_tools(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    assert child.parent == world.supervisor
    assert child.denied == {*NAMES.supervisors, "task"}
    assert world.now(delegation).status is Status.RUNNING


async def test_what_was_asked_is_what_the_child_gets(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, agent="plan", model="scripted/two")
    child = await world.working(delegation)
    asked = child.newest_of_user()
    assert asked is not None
    assert (asked.text, asked.agent, asked.model) == (delegation.prompt, "plan", "scripted/two")


@pytest.mark.parametrize(
    ("minutes", "window"),
    [
        (None, timedelta(minutes=15)),
        (0, None),
        (0.5, timedelta(seconds=30)),
        (90, timedelta(minutes=90)),
        (7 * 24 * 60, timedelta(days=7)),
    ],
)
async def test_time_windows(
    world: World, service: Service, minutes: float | None, window: timedelta | None
) -> None:
    assert (await world.delegate(service, HANG, minutes=minutes)).timeout == window


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Order("", "build"), "prompt is empty"),
        (Order(" \n\t ", "build"), "prompt is empty"),
        (Order("x" * 1_000_001, "build"), "1,000,001 characters"),
        (Order("Do it.", "nobody"), "build, explore, plan"),
        (Order("Do it.", ""), "build, explore, plan"),
        (Order("Do it.", "title"), "'title'"),
        (Order("Do it.", "build", -1), "timeout_minutes is -1"),
        (Order("Do it.", "build", math.nan), "timeout_minutes is nan"),
        (Order("Do it.", "build", math.inf), "timeout_minutes is inf"),
        (Order("Do it.", "build", 10_080.1), "10,080"),
        *(
            (Order("Do it.", "build", model=model), "provider/model-id")
            for model in ("gpt", "a/", "/b", "a b/c", "a/b c", "a/b\n")
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_a_sentence(
    world: World, service: Service, request_: Order, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        await service.delegate(world.supervisor, request_)
    assert "\n" not in errors.for_model(refused.value)
    assert len(errors.for_model(refused.value)) < 400
    assert world.journal.entries == []
    assert set(world.runtime.sessions) == {world.supervisor}


async def test_an_unknown_agent_is_looked_for_once_more(world: World, service: Service) -> None:
    await world.delegate(service, HANG)
    world.runtime.offered.append(Agent("writer"))
    assert (await world.delegate(service, HANG, agent="writer")).agent == "writer"


async def test_a_refused_agent_comes_with_those_that_there_are(
    world: World, service: Service
) -> None:
    with pytest.raises(UnknownAgent) as refused:
        await world.delegate(service, HANG, agent="nobody")
    assert refused.value.agents == ("build", "explore", "plan")


async def test_a_child_and_what_is_below_it_cannot_delegate(world: World, service: Service) -> None:
    child = await world.working(await world.delegate(service, HANG))
    below = await world.runtime.open_session(SessionOrder(parent=child.name, title="Below"))
    before = list(world.journal.entries)
    for session in (child.name, below):
        with pytest.raises(NotDelegable):
            await world.delegate(service, HANG, supervisor=session)
    assert world.journal.entries == before


async def test_a_child_cannot_delegate_after_its_end_either(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Done."})
    session = (await world.ended(delegation)).session
    assert session is not None
    with pytest.raises(NotDelegable):
        await world.delegate(service, HANG, supervisor=session)


async def test_a_session_below_the_root_delegates_under_its_root(
    world: World, service: Service
) -> None:
    order = SessionOrder(parent=world.supervisor, title="A native sub-agent")
    below = await world.runtime.open_session(order)
    delegation = await world.delegate(service, HANG, supervisor=below)
    assert (delegation.parent_session, delegation.root_session) == (below, world.supervisor)


async def test_a_session_that_does_not_exist_registers_nothing(
    world: World, service: Service
) -> None:
    with pytest.raises(RuntimeRefused):
        await world.delegate(service, HANG, supervisor="ses_nobody")
    assert world.journal.entries == []


async def test_without_a_runtime_nothing_is_registered(world: World, service: Service) -> None:
    world.runtime.failure = RuntimeUnreachable("OpenCode does not answer.")
    with pytest.raises(RuntimeUnreachable):
        await world.delegate(service, HANG)
    assert world.journal.entries == []


async def test_a_hundred_at_once_have_a_hundred_names(world: World, service: Service) -> None:
    names = {(await world.delegate(service, HANG)).id for _ in range(100)}
    assert len(names) == 100


async def test_the_hosts_rules_bind_models_and_not_people(world: World, service: Service) -> None:
    """What they deny is refused to an agent's model, without a trace; a person may."""
    world.runtime.leaves["build"] = Leave(denied_by="task")
    with pytest.raises(NotPermitted, match=r"permission\.task"):
        await service.delegate(world.supervisor, Order("Look.", "build"), by="boss")
    assert world.journal.of("register") == []
    await service.delegate(world.supervisor, Order("Look.", "build"))
    assert len(world.journal.of("register")) == 1


async def test_in_plan_mode_only_who_cannot_edit_is_delegated_to(
    world: World, service: Service
) -> None:
    world.runtime.leaves = dict.fromkeys(("build", "explore"), Leave(planning=True))
    with pytest.raises(OnlyPlanning) as refused:
        await service.delegate(world.supervisor, Order("Look.", "build"), by="plan")
    assert "choose one of: explore, plan" in errors.for_model(refused.value)
    await service.delegate(world.supervisor, Order("Look.", "explore"), by="plan")


async def test_what_is_to_be_asked_is_registered_once_it_is_granted(
    world: World, service: Service
) -> None:
    """Only what was granted counts: by then the rules may ask for something else."""
    world.runtime.leaves["build"] = Leave(ask="task")
    asked = Order("Look.", "build")
    for granted in ("", "delegate"):
        with pytest.raises(LeaveNeeded) as needed:
            await service.delegate(world.supervisor, asked, by="boss", granted=granted)
        assert (needed.value.agent, needed.value.permission) == ("build", "task")
    assert world.journal.of("register") == []
    await service.delegate(world.supervisor, asked, by="boss", granted="task")
    assert len(world.journal.of("register")) == 1
