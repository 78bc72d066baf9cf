"""A new process takes over what a dead one left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from world import DEAD, LIVING, World

from background_agents.adapters.system.processes import is_alive, process_name
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.status import Status
from background_agents.ports.storage import Change
from background_agents.testing.scripted_session import ScriptedSession
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}


async def left_behind(
    world: World, *steps: dict[str, object]
) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation whose service has died while it ran, and its session."""
    service = await world.service()
    delegation = await world.delegate(service, *(steps or (HANG,)))
    child = await world.working(delegation)
    child.write("So far. ")
    await service.close()
    world.runtime.release(child.name)
    return delegation, child


async def test_one_that_is_still_busy_is_followed_to_its_end(world: World) -> None:
    delegation, child = await left_behind(world)
    await world.service(owner=LIVING)
    assert world.now(delegation).owner == LIVING
    child.write("And the rest.")
    child.finish()
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert (await world.artifact(delegation)).endswith("So far. And the rest.")
    assert len(await world.notified()) == 1


async def test_one_that_finished_meanwhile_is_finalized(world: World) -> None:
    delegation, child = await left_behind(world)
    child.finish()
    await world.heard.idle(child.name)
    await world.service(owner=LIVING)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert len(await world.notified()) == 1


async def test_one_that_failed_meanwhile_has_failed(world: World) -> None:
    delegation, child = await left_behind(world)
    child.fail("The provider went away.")
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.FAILED, "The provider went away.")


async def test_one_whose_session_is_gone_is_stopped(world: World) -> None:
    delegation, child = await left_behind(world)
    world.runtime.delete_session(child.name)
    await world.service(owner=LIVING)
    assert (await world.ended(delegation)).status is Status.STOPPED


async def test_its_time_window_goes_on_where_it_was(world: World) -> None:
    delegation, _ = await left_behind(world)
    world.advance(minutes=14)
    await world.service(owner=LIVING)
    await world.settle()
    world.advance(seconds=59)
    assert not world.now(delegation).is_terminal
    world.advance(seconds=1)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT


async def test_a_stop_that_was_asked_for_is_carried_out(world: World) -> None:
    """Whoever dies after it has stored who wanted the end: nothing that was asked is forgotten."""
    delegation, _ = await left_behind(world)
    await world.commit(delegation, ev.StopRequested(at=world.clock.now(), by="supervisor"))
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.STOPPED, "Stopped by the supervisor.")
    assert "[STOPPED BY SUPERVISOR]" in await world.artifact(delegation)


async def test_one_that_was_never_launched_is_launched(world: World) -> None:
    service = await world.service(max_concurrent=1)
    first = await world.delegate(service, HANG)
    await world.working(first)
    waiting = await world.delegate(service, {"say": "Done."})
    await service.close()
    await world.service(owner=LIVING)
    assert (await world.ended(waiting)).status is Status.COMPLETED


async def test_one_that_was_stored_as_launched_but_never_prompted_is_prompted(
    world: World,
) -> None:
    service = await world.service(max_concurrent=1)
    await world.working(await world.delegate(service, HANG))
    waiting = await world.delegate(service, {"say": "Done."})
    await service.close()
    session = world.runtime.add_session(world.supervisor)
    launched = ev.Launched(at=world.clock.now(), session=session, message="msg_prompt")
    await world.store.commit(Change(after=apply(waiting, launched), events=(launched,)))
    await world.service(owner=LIVING)
    ended = await world.ended(waiting)
    assert (ended.status, ended.session) == (Status.COMPLETED, session)


async def test_a_notice_that_was_due_is_delivered_once(world: World) -> None:
    service = await world.service()
    world.channel.fail(1, arrives=True)
    delegation = await world.delegate(service, {"say": "Done."})
    await world.ended(delegation)
    await world.channel.until_delivered(world.supervisor, 1)
    await service.close()
    await world.service(owner=LIVING)
    assert len(await world.notified()) == 1
    assert len(world.channel.attempts) == 2
    assert len(set(world.channel.attempts)) == 1


async def test_what_a_living_process_owns_is_left_alone(world: World) -> None:
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    await world.service(owner=DEAD)
    assert world.now(delegation).owner == LIVING


@contextmanager
def another_runtime(world: World) -> Iterator[None]:
    """Have a runtime with sessions of its own in place of the one that has ours."""
    sessions, world.runtime.sessions = world.runtime.sessions, {}
    world.runtime.name = "another"
    yield
    world.runtime.sessions, world.runtime.name = sessions, "scripted"


async def test_what_another_runtime_ran_is_left_to_that(world: World) -> None:
    """Neither the session nor its supervisor is known to this one: nothing is lost by it."""
    delegation, child = await left_behind(world, HANG)
    with another_runtime(world):
        other = await world.service(owner="0:another")
        await world.settle()
        assert world.now(delegation).status is Status.RUNNING
        assert world.now(delegation).owner == DEAD
        await other.close()
    await world.service(owner="0:the-same-again")
    child.write("It is PKCE.")
    child.finish()
    await world.notified()
    assert world.now(delegation).status is Status.COMPLETED


async def test_a_notice_of_what_another_runtime_ran_waits_for_that(world: World) -> None:
    service = await world.service()
    world.channel.fail()
    await world.ended(await world.delegate(service, {"say": "Done."}))
    await world.channel.changes.until(lambda: bool(world.channel.attempts))
    await service.close()
    with another_runtime(world):
        other = await world.service(owner="0:another")
        await world.settle()
        assert len(world.channel.attempts) == 1
        await other.close()
    await world.service(owner="0:the-same-again")
    assert len(await world.notified()) == 1


async def test_one_whose_sessions_another_runtime_has_taken_over_goes_on_there(
    world: World,
) -> None:
    """As OpenCode 2 does with those of OpenCode 1."""
    delegation, child = await left_behind(world, HANG)
    world.runtime.name = "another"
    await world.service(owner="0:another")
    child.write("It is PKCE.")
    child.finish()
    await world.notified()
    assert world.now(delegation).status is Status.COMPLETED


async def test_of_two_that_start_at_once_one_takes_it_over(world: World) -> None:
    delegation, child = await left_behind(world)
    owners = {f"{LIVING}", "0:another"}
    for owner in owners:
        await world.service(owner=owner)
    child.finish()
    await world.ended(delegation)
    await world.notified()
    assert world.journal.of("end") == [delegation.id]


async def test_of_many_orphans_one_that_cannot_be_stored_leaves_the_others_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service()
    orphans = [await world.delegate(service, HANG) for _ in range(3)]
    children = [await world.working(one) for one in orphans]
    await service.close()
    for child in children:
        world.runtime.release(child.name)
    commit = world.store.commit

    async def fail_for_the_second(change: Change) -> None:
        if change.after.id == orphans[1].id:
            raise StoreUnavailable("The disk is full.")
        await commit(change)

    with monkeypatch.context() as failing:
        failing.setattr(world.store, "commit", fail_for_the_second)
        await world.service(owner=LIVING)
        assert [world.now(one).owner == LIVING for one in orphans] == [True, False, True]
    await world.settle()
    world.advance(seconds=10)
    await world.until(lambda: world.now(orphans[1]).owner == LIVING)
    for child in children:
        child.finish()
    for one in orphans:
        assert (await world.ended(one)).status is Status.COMPLETED


async def test_closing_ends_no_run(world: World) -> None:
    delegation, child = await left_behind(world)
    assert child.busy
    assert not world.now(delegation).is_terminal


async def test_an_ending_is_stored_even_while_the_service_closes(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("Done.")
    child.finish()
    await world.until(lambda: bool(world.journal.of("artifact")))
    await service.close()
    assert world.now(delegation).status is Status.COMPLETED


@pytest.mark.parametrize("name", ["", "x", "0:", "0:0", "99999999:1", "1", ":", "-1:5"])
def test_names_of_processes_that_do_not_run(name: str) -> None:
    assert not is_alive(name)


def test_our_own_process_runs() -> None:
    assert is_alive(process_name())
