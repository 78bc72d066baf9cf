"""Instructions to what runs: sent, confirmed by the transcript, never lost in silence."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest
from world import World

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    InvalidRequest,
    MessagesUndone,
    NotSteerable,
    RuntimeUnreachable,
)
from background_agents.domain.status import Status
from background_agents.ports.runtime import Prompt
from background_agents.views import errors, live
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}

LIMIT_S = 2
"""What would wait for ever without this takes milliseconds."""


async def confirmed(world: World, delegation: Delegation) -> None:
    await world.until(lambda: not world.now(delegation).open_steers)


async def test_it_is_pending_until_an_answer_takes_it_up(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    steered = await service.steer(world.supervisor, delegation.id, "Use S256.")
    assert [steer.text for steer in steered.open_steers] == ["Use S256."]
    text = live.status(await service.status(world.supervisor))
    assert "instructions: 0 taken up, 1 pending" in text
    child.write("One thing.")
    child.finish()
    await confirmed(world, delegation)
    ended = await world.ended(delegation)
    assert ended.status is Status.COMPLETED
    assert len(ended.steers) == 1


async def test_one_that_races_with_the_end_reopens_the_run(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("First answer.")
    child.finish()
    steered = await service.steer(world.supervisor, delegation.id, "And the tests?")
    assert not steered.is_terminal
    ended = await world.ended(delegation)
    assert ended.open_steers == ()
    assert len(await world.notified()) == 1


async def sent_meanwhile(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch, question: str, name: str
) -> list[asyncio.Task[Delegation]]:
    """Have one instruction sent while the runtime is asked a question; return the sending."""
    asked, sending = getattr(world.runtime, question), list[asyncio.Task[Delegation]]()

    async def answered(*args: object, **kwargs: object) -> object:
        if not sending:
            sending.append(asyncio.create_task(service.steer(world.supervisor, name, "And then?")))
            await world.settle()
        return await asked(*args, **kwargs)

    monkeypatch.setattr(world.runtime, question, answered)
    return sending


async def test_one_that_is_not_taken_as_the_run_ends_keeps_it_from_nothing(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so, and the run that had finished is completed without any more time."""
    delegation = await world.delegate(service, HANG, minutes=0)
    child = await world.working(delegation)
    child.write("Whole.")
    sending = await sent_meanwhile(world, service, monkeypatch, "transcript", delegation.id)

    async def not_taken(session: str, _prompt: Prompt) -> NoReturn:
        raise MessagesUndone(session)

    monkeypatch.setattr(world.runtime, "prompt", not_taken)
    child.finish()
    async with asyncio.timeout(LIMIT_S):
        assert (await world.ended(delegation)).status is Status.COMPLETED
    with pytest.raises(MessagesUndone):
        await sending[0]


async def test_one_that_comes_while_a_finished_run_is_stopped_does_not_let_it_go_on(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop is not forgotten over it: it returns, and the instruction came too late."""
    delegation = await world.delegate(service, HANG, HANG)
    child = await world.working(delegation)
    child.write("Whole.")
    child.finish()
    sending = await sent_meanwhile(world, service, monkeypatch, "below", delegation.id)
    async with asyncio.timeout(LIMIT_S):
        stopped = await service.stop(world.supervisor, delegation.id)
    assert stopped.status is Status.COMPLETED
    with pytest.raises(NotSteerable, match="is ending"):
        await sending[0]
    assert not child.busy


async def test_it_opens_a_fresh_time_window(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG, minutes=1)
    await world.working(delegation)
    world.advance(seconds=50)
    await service.steer(world.supervisor, delegation.id, "Go on.")
    world.advance(seconds=50)
    await world.settle()
    assert not world.now(delegation).is_terminal
    world.advance(seconds=10)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT


async def test_one_that_was_never_taken_up_is_told(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    await service.steer(world.supervisor, delegation.id, "Too late.")
    await service.stop(world.supervisor, delegation.id)
    ((notice,),) = await world.notified()
    assert "<summary>1 instruction was never taken up. " in notice


async def test_one_that_has_ended_or_ends_takes_none(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    stopping = asyncio.create_task(service.stop(world.supervisor, delegation.id))
    await asyncio.sleep(0)
    with pytest.raises(NotSteerable):
        await service.steer(world.supervisor, delegation.id, "Wait!")
    await stopping
    with pytest.raises(NotSteerable, match="is stopped and takes no instruction"):
        await service.steer(world.supervisor, delegation.id, "Go on.")
    assert world.now(delegation).steers == ()


async def test_one_that_has_not_begun_takes_none(world: World) -> None:
    service = await world.service(max_concurrent=1)
    await world.working(await world.delegate(service, HANG))
    second = await world.delegate(service, HANG)
    await world.settle()
    with pytest.raises(NotSteerable) as refused:
        await service.steer(world.supervisor, second.id, "Use S256.")
    assert "has not begun" in errors.for_model(refused.value)
    await world.close()


async def test_what_the_runtime_does_not_take_is_not_called_sent(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    world.runtime.failure = RuntimeUnreachable("Nobody answers.")
    with pytest.raises(RuntimeUnreachable):
        await service.steer(world.supervisor, delegation.id, "Use S256.")
    world.runtime.failure = None
    assert world.now(delegation).steers == ()
    assert not world.now(delegation).is_terminal


async def test_an_empty_instruction_is_refused(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    with pytest.raises(InvalidRequest):
        await service.steer(world.supervisor, delegation.id, "  ")


async def test_it_deletes_nothing_that_the_user_has_undone(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.undo(next(iter(child.entries)))
    with pytest.raises(MessagesUndone, match="has undone messages"):
        await service.steer(world.supervisor, delegation.id, "Use S256.")
    assert child.undone
    assert world.now(delegation).open_steers == ()
