"""A new delegation goes on in the session of one that has ended."""

from __future__ import annotations

import asyncio
import re

import pytest
from world import DEAD, HANG, LIVING, World

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import (
    InvalidRequest,
    NotContinuable,
    RuntimeUnreachable,
    UnknownDelegation,
)
from background_agents.domain.order import Order
from background_agents.domain.status import Status
from background_agents.ports.runtime import Agent, Prompt, RunState
from background_agents.ports.storage import Change
from background_agents.views import errors
from lab.harness.service import Service

OLD, NEW = "The old result.", "The new one."


async def ended(world: World, service: Service, *steps: dict[str, object]) -> Delegation:
    """Return a delegation that has ended, and whose supervisor knows that."""
    delegation = await world.delegate(service, *(steps or ({"say": OLD},)))
    await world.until(lambda: world.now(delegation).is_terminal)
    await world.settle()
    return world.now(delegation)


async def go_on(
    world: World, service: Service, before: Delegation, *steps: dict[str, object]
) -> Delegation:
    """Delegate anew in the session of another one."""
    return await world.delegate(service, *(steps or ({"say": NEW},)), continue_id=before.id)


async def refused(world: World, service: Service, given: str, why: str) -> None:
    """Prove that it cannot be gone on with, and that the attempt left nothing behind."""
    known = len(world.journal.of("register"))
    with pytest.raises(InvalidRequest) as refusal:
        await world.delegate(service, HANG, continue_id=given)
    assert re.search(why, errors.for_model(refusal.value))
    assert len(world.journal.of("register")) == known


async def test_it_goes_on_in_the_same_session_under_its_own_name(
    world: World, service: Service
) -> None:
    """It has an id, an artifact and a notice of its own; the old ones stay as they are."""
    before = await ended(world, service)
    artifact = await world.artifact(before)
    after = await go_on(world, service, before)
    now = await world.ended(after)
    assert (now.session, now.continued_from) == (before.session, before.id)
    assert now.id != before.id
    assert now.prompt_message != before.prompt_message
    first, second = await world.told("task-notification", 2)
    assert f"<task-id>{before.id}</task-id>" in first
    assert f"<task-id>{after.id}</task-id>" in second
    assert f"<summary>{NEW}</summary>" in second
    assert await world.artifact(before) == artifact
    assert (await service.read(world.supervisor, before.id)).text == artifact


async def test_its_result_and_usage_are_of_the_new_part_only(
    world: World, service: Service
) -> None:
    """What the session had said and used before belongs to the delegation before."""
    before = await ended(world, service, {"say": OLD * 100})
    after = await world.ended(await go_on(world, service, before, {"say": NEW}))
    assert after.status is Status.COMPLETED
    assert (await world.artifact(after)).endswith(f"\n\n{NEW}")
    assert OLD not in await world.artifact(after)
    assert after.usage.output_tokens == len(NEW) // 4
    assert before.usage.output_tokens == len(OLD * 100) // 4


async def test_also_when_it_is_cut_off(world: World, service: Service) -> None:
    """Partial output, status and peek show the new part alone."""
    before = await ended(world, service)
    after = await go_on(world, service, before, HANG)
    await world.until(lambda: world.now(after).session is not None)
    await world.settle()
    child = world.runtime.sessions[before.session or ""]
    assert "0 tokens" in await world.status(service)
    child.write("Half.")
    stopped = await service.stop(world.supervisor, after.id)
    assert stopped.result_chars == len("Half.")
    assert OLD not in await world.artifact(after)


@pytest.mark.parametrize("how", ["refuses", "vanishes", "is silent"])
async def test_what_never_began_has_no_result(
    world: World, service: Service, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that did not arrive makes the old answer nobody's: it has failed, with nothing."""
    before = await ended(world, service)

    async def silent(_session: str, _prompt: Prompt) -> None:
        raise RuntimeUnreachable("Nobody answers.")

    if how == "vanishes":
        world.runtime.offered = [Agent("explore")]
    if how == "is silent":
        monkeypatch.setattr(world.runtime, "prompt", silent)
    after = await go_on(world, service, before)
    if how == "refuses":
        world.runtime.delete_session(before.session or "")
    while not world.now(after).is_terminal:
        await world.settle()
        world.advance(seconds=2)
    now = world.now(after)
    assert (now.status, now.result_chars, now.usage.output_tokens) == (Status.FAILED, 0, 0)
    assert OLD not in await world.artifact(after)


async def test_one_that_was_stored_but_never_prompted_is_prompted(world: World) -> None:
    """The process before died in that moment; the old answer does not end the new run."""
    service = await world.service(Settings(max_concurrent=1))
    before = await ended(world, service)
    await world.working(await world.delegate(service, HANG))
    after = await go_on(world, service, before)
    await service.close()
    session = before.session or ""
    world.runtime.release(session)
    launched = ev.Launched(at=world.clock.now(), session=session, message="msg_prompt")
    await world.store.commit(Change(after=apply(after, launched), events=(launched,)))
    await world.service(owner=LIVING)
    now = await world.ended(after)
    assert (now.status, now.summary) == (Status.COMPLETED, NEW)


async def test_one_that_waited_for_a_slot_goes_on_in_the_next_process(world: World) -> None:
    """What it goes on from is not forgotten."""
    service = await world.service(Settings(max_concurrent=1))
    before = await ended(world, service)
    await world.working(await world.delegate(service, HANG))
    after = await go_on(world, service, before)
    await service.close()
    world.runtime.release(before.session or "")
    await world.service(owner=LIVING)
    now = await world.ended(after)
    assert (now.status, now.session, now.summary) == (Status.COMPLETED, before.session, NEW)


@pytest.mark.parametrize("steps", [({"say": OLD},), ({"fail": 400, "message": "No."},)])
async def test_a_chain_of_two(
    world: World, service: Service, steps: tuple[dict[str, object], ...]
) -> None:
    """What goes on can be gone on with, and so can the first one once more, in one session."""
    first = await ended(world, service, *steps)
    second = await world.ended(await go_on(world, service, first))
    third = await world.ended(await go_on(world, service, second, {"say": "Third."}))
    again = await world.ended(await go_on(world, service, first, {"say": "Fourth."}))
    all_four = (first, second, third, again)
    assert len({one.session for one in all_four}) == 1
    assert len({one.id for one in all_four}) == 4
    assert [one.summary for one in all_four[1:]] == [NEW, "Third.", "Fourth."]
    assert [one.continued_from for one in all_four] == [None, first.id, second.id, first.id]


async def test_it_can_be_steered_and_notifies_as_any_other(world: World, service: Service) -> None:
    """The session belongs to the new delegation now."""
    before = await ended(world, service)
    after = await go_on(world, service, before, HANG)
    await world.until(lambda: world.now(after).session is not None)
    await world.settle()
    told = await service.notify(before.session or "", "Still here.")
    assert told.id == after.id
    await service.steer(world.supervisor, after.id, "Go on.")
    world.runtime.sessions[before.session or ""].finish()
    now = await world.ended(after)
    assert (now.status, now.open_steers) == (Status.COMPLETED, ())


# --- what cannot be gone on with ------------------------------------------------------


async def test_what_is_not_there_cannot_be_continued(world: World, service: Service) -> None:
    """Neither an unknown id nor one of another root session."""
    await refused(world, service, "../x", "is not the id")
    await refused(world, service, "brave-amber-otter", "No delegation is called")
    before = await ended(world, service)
    with pytest.raises(UnknownDelegation):
        await world.delegate(
            service, HANG, supervisor=world.runtime.add_session(), continue_id=before.id
        )


async def test_what_runs_is_steered_instead(world: World, service: Service) -> None:
    """An active one is not continued, and how to reach it is said."""
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    await refused(world, service, delegation.id, r"it is running; delegation_steer\(")


async def test_what_never_began_cannot_be_continued(world: World) -> None:
    """It has no session."""
    service = await world.service(Settings(max_concurrent=1))
    await world.working(await world.delegate(service, HANG))
    second = await world.delegate(service, HANG)
    await service.stop(world.supervisor, second.id)
    await refused(world, service, second.id, "it has ended before it began")


async def test_a_deleted_session_cannot_be_continued(world: World, service: Service) -> None:
    """What it knew is gone."""
    before = await ended(world, service)
    world.runtime.delete_session(before.session or "")
    await refused(world, service, before.id, "its session was deleted")


async def test_a_session_that_is_at_work_cannot_be_continued(
    world: World, service: Service
) -> None:
    """Its user has gone on in it, and goes first."""
    before = await ended(world, service)
    world.runtime.user_says(before.session or "", 'Go on. <script>[{"hang": true}]</script>')
    await refused(world, service, before.id, "its session is at work for its user")


async def test_what_goes_on_already_is_not_continued_twice(world: World, service: Service) -> None:
    """Two runs in one session would answer each other; the one that goes on is named."""
    before = await ended(world, service)
    after = await go_on(world, service, before, HANG)
    await refused(world, service, before.id, f"{after.id} goes on with it already")
    await world.until(lambda: world.now(after).session is not None)
    await world.settle()
    await refused(world, service, before.id, f"{after.id} goes on with it already")


async def test_also_while_that_waits_for_a_slot(world: World) -> None:
    """It has no session yet, but will have that one."""
    service = await world.service(Settings(max_concurrent=1))
    before = await ended(world, service)
    await world.working(await world.delegate(service, HANG))
    after = await go_on(world, service, before)
    await world.settle()
    assert world.now(after).status is Status.REGISTERED
    await refused(world, service, before.id, f"{after.id} goes on with it already")


async def test_also_by_another_name_of_the_same_session(world: World) -> None:
    """A session has as many names as runs, and takes one new run at a time."""
    service = await world.service(Settings(max_concurrent=1))
    first = await ended(world, service)
    second = await world.ended(await go_on(world, service, first))
    await world.settle()
    await world.working(await world.delegate(service, HANG))
    third = await go_on(world, service, second)
    await world.settle()
    assert world.now(third).status is Status.REGISTERED
    await refused(world, service, first.id, f"{third.id} goes on with it already")


async def test_also_when_another_process_runs_it(world: World, service: Service) -> None:
    """The store knows of it, whoever's it is."""
    before = await ended(world, service)
    after = await go_on(world, service, before, HANG)
    other = await world.service(owner=DEAD)
    await refused(world, other, before.id, f"{after.id} goes on with it already")


async def test_of_two_that_would_go_on_at_once_one_does(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may call for both in one answer, and the runtime takes its time."""
    before = await ended(world, service)
    state = world.runtime.state

    async def slow(session: str) -> RunState:
        await asyncio.sleep(0)
        return await state(session)

    monkeypatch.setattr(world.runtime, "state", slow)
    both = await asyncio.gather(
        *(go_on(world, service, before, HANG) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Delegation", NotContinuable.__name__]


async def test_one_of_another_runtime_cannot_be_continued(world: World, service: Service) -> None:
    """As after OpenCode was exchanged for a version that has its own sessions."""
    before = await ended(world, service)
    world.runtime.sessions, world.runtime.name = {}, "another"
    order = Order(prompt="More.", agent="build", continue_id=before.id)
    with pytest.raises(NotContinuable, match="its session stayed with scripted"):
        await service.user.delegate(service.workspace.directory, order)
    assert not world.runtime.sessions
