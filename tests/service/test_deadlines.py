"""Two clocks of a run: its time window, and how long a request may wait for an answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from world import HANG, LIVING, World, bash, questions

from background_agents.config import Settings
from background_agents.domain.asking import Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.status import Status
from background_agents.ports.runtime import InputSettled
from background_agents.service.delivery.titles import GIVE_WAY
from background_agents.service.running.asking import REFUSED, UNANSWERED
from background_agents.service.running.timers import Deadline
from background_agents.testing.clock import ManualClock
from background_agents.testing.scripted_session import ScriptedSession
from lab.harness.service import Service

DONE: dict[str, object] = {"say": "Done."}

ONCE = Reply(word="once")

MINUTE = timedelta(minutes=1)


# --- a window by itself --------------------------------------------------------------


def counted(window: timedelta | None) -> tuple[ManualClock, Deadline, list[str]]:
    clock, passed = ManualClock(), list[str]()
    return clock, Deadline(clock, window, lambda: passed.append("passed")), passed


def test_a_window_ends_once() -> None:
    """It tells what is left, and calls once when that is nothing."""
    clock, deadline, passed = counted(MINUTE)
    deadline.open(used=timedelta(seconds=10))
    clock.advance(timedelta(seconds=20))
    assert (deadline.left, passed) == (timedelta(seconds=30), [])
    clock.advance(timedelta(hours=1))
    assert (deadline.left, passed) == (timedelta(0), ["passed"])


def test_a_window_that_is_used_up_ends_at_once() -> None:
    """More than all of it can be gone, when a process was away for long."""
    clock, deadline, passed = counted(MINUTE)
    deadline.open(used=2 * MINUTE)
    clock.advance(timedelta(0))
    assert passed == ["passed"]


@pytest.mark.parametrize("times", [1, 2])
def test_it_stands_still_while_it_is_paused(times: int) -> None:
    """A pause takes nothing from it, however often it is asked for."""
    clock, deadline, passed = counted(MINUTE)
    deadline.open()
    clock.advance(timedelta(seconds=40))
    for _ in range(times):
        deadline.pause()
    clock.advance(10 * MINUTE)
    assert (deadline.left, passed) == (timedelta(seconds=20), [])
    for _ in range(times):
        deadline.resume()
    clock.advance(timedelta(seconds=19))
    assert passed == []
    clock.advance(timedelta(seconds=1))
    assert passed == ["passed"]


def test_one_that_is_opened_in_a_pause_begins_with_its_end() -> None:
    """A fresh window is whole until the pause is over."""
    clock, deadline, passed = counted(MINUTE)
    deadline.open()
    clock.advance(timedelta(seconds=40))
    deadline.pause()
    deadline.open()
    clock.advance(10 * MINUTE)
    assert deadline.left == MINUTE
    deadline.resume()
    clock.advance(timedelta(seconds=59))
    assert passed == []
    clock.advance(timedelta(seconds=1))
    assert passed == ["passed"]


def test_no_window_never_ends() -> None:
    """Neither opening nor pausing makes one of it."""
    clock, deadline, passed = counted(None)
    deadline.open()
    deadline.pause()
    deadline.resume()
    clock.advance(timedelta(days=300))
    assert (deadline.left, passed) == (None, [])


def test_a_closed_one_calls_nobody() -> None:
    """Neither by time nor by the end of a pause."""
    clock, deadline, passed = counted(MINUTE)
    deadline.open()
    deadline.close()
    deadline.resume()
    clock.advance(2 * MINUTE)
    assert (deadline.left, passed) == (None, [])


# --- the window of a run that waits -----------------------------------------------------


async def asking(
    world: World, service: Service, *steps: dict[str, object], minutes: float | None = 2
) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that waits for a permission, half a minute after its launch."""
    delegation = await world.delegate(service, HANG, *steps, minutes=minutes)
    child = await world.working(delegation)
    world.advance(seconds=30)
    child.ask("bash", "make")
    await world.waits(delegation)
    return delegation, child


async def times_out_after(world: World, delegation: Delegation, **left: float) -> None:
    """Prove how much of a window is left."""
    await world.settle()
    world.clock.advance(timedelta(**left) - timedelta(seconds=1))
    await world.settle()
    # A run whose window is over is stopped at once, and stored as ended a little later.
    assert world.runtime.sessions[world.now(delegation).session or ""].busy
    world.advance(seconds=1)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT


async def test_the_window_stands_still_while_it_waits(world: World, service: Service) -> None:
    """However long that takes, the run has all of its time left for its work."""
    delegation, _ = await asking(world, service, HANG)
    assert "1m 30s left" in await world.status(service)
    world.advance(hours=5)
    assert "1m 30s left" in await world.status(service)
    await service.user.answer(delegation.id, "once")
    assert "1m 30s left" in await world.status(service)
    await times_out_after(world, delegation, seconds=90)


async def test_it_goes_on_with_the_last_of_several_answers(world: World, service: Service) -> None:
    """One open request is enough to hold it."""
    delegation, child = await asking(world, service, HANG)
    child.ask("bash", "make again")
    await world.waits(delegation, 2)
    world.advance(hours=1)
    await service.user.answer(delegation.id, "once")
    world.advance(hours=1)
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    await service.user.answer(delegation.id, "once")
    await times_out_after(world, delegation, seconds=90)


async def test_a_steer_opens_a_fresh_window_that_stands_still_too(
    world: World, service: Service
) -> None:
    """All of it is left when the answer has come."""
    delegation, _ = await asking(world, service, HANG, HANG)
    world.advance(hours=1)
    await service.steer(world.supervisor, delegation.id, "Mind the gap.")
    assert "2m 00s left" in await world.status(service)
    world.advance(hours=1)
    assert "2m 00s left" in await world.status(service)
    await service.user.answer(delegation.id, "once")
    await times_out_after(world, delegation, seconds=120)


@pytest.mark.parametrize("steered", [False, True])
async def test_it_stands_still_in_the_next_process_too(world: World, steered: bool) -> None:
    """Neither the waiting before nor the one after a restart takes time."""
    service = await world.service()
    delegation, child = await asking(world, service, HANG, HANG)
    world.advance(minutes=10)
    if steered:
        await service.steer(world.supervisor, delegation.id, "Mind the gap.")
    world.advance(minutes=10)
    await service.close()
    world.advance(minutes=10)
    world.runtime.release(child.name)
    other = await world.service(owner=LIVING)
    await world.settle()
    world.advance(minutes=10)
    assert f"{'2m 00s' if steered else '1m 30s'} left" in await world.status(other)
    await other.user.answer(delegation.id, "once")
    await times_out_after(world, delegation, seconds=120 if steered else 90)


@pytest.mark.parametrize("steered", [False, True])
async def test_what_was_waited_does_not_count_in_the_next_process(
    world: World, steered: bool
) -> None:
    """A window that has gone on after an answer goes on where it was, a fresh one too."""
    service = await world.service()
    delegation, child = await asking(world, service, HANG, HANG)
    world.advance(hours=1)
    await service.user.answer(delegation.id, "once")
    if steered:
        await service.steer(world.supervisor, delegation.id, "Mind the gap.")
    world.advance(seconds=30)
    await service.close()
    world.runtime.release(child.name)
    await world.service(owner=LIVING)
    await times_out_after(world, delegation, seconds=90 if steered else 60)


async def test_one_without_a_window_has_none_after_an_answer(
    world: World, service: Service
) -> None:
    """No limit stays no limit."""
    delegation, _ = await asking(world, service, HANG, minutes=0)
    await service.user.answer(delegation.id, "once")
    assert "no timeout" in await world.status(service)
    world.advance(days=3)
    await world.settle()
    assert world.now(delegation).status is Status.RUNNING


# --- the answer by default ---------------------------------------------------------------


async def waiting(
    world: World, step: dict[str, object], *, default: str = "reject"
) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that waits for an answer, for ten minutes at most."""
    service = await world.service(Settings(answer_minutes=10, answer_default=default))
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, step, DONE)
    await world.waits(delegation)
    return delegation, world.runtime.sessions[world.now(delegation).session or ""]


@pytest.mark.parametrize(
    ("step", "default", "sent"),
    [
        (bash("make"), "once", ONCE),
        (bash("make"), "always", Reply(word="always")),
        (bash("make"), "reject", Reply(word="reject", reason=REFUSED)),
        (questions(("Where?", ("Here",))), "once", Reply(answers=(UNANSWERED,))),
        (questions(("Where?", ()), ("Why?", ())), "reject", Reply(answers=(UNANSWERED,) * 2)),
    ],
)
async def test_what_has_waited_too_long_gets_the_default_answer(
    world: World, step: dict[str, object], default: str, sent: Reply
) -> None:
    """Not a moment before that; a question is rejected in any case, and the run goes on."""
    delegation, child = await waiting(world, step, default=default)
    world.advance(minutes=9, seconds=59)
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    world.advance(seconds=1)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    (settled,) = world.heard.of(child.name, InputSettled)
    assert settled.reply == sent
    word = sent.word or "reject"
    assert await world.replies(delegation) == [(word, "deadline")]


async def test_by_default_a_request_waits_for_ever(world: World, service: Service) -> None:
    """Without ``answer_minutes`` nothing is decided for anybody."""
    delegation, _ = await asking(world, service, HANG)
    world.advance(days=3)
    await world.settle()
    assert world.now(delegation).status is Status.WAITING


async def test_each_request_has_its_own_time(world: World) -> None:
    """One that is answered in time leaves nothing due, and a later one waits its ten minutes."""
    service = await world.service(Settings(answer_minutes=10))
    delegation, child = await asking(world, service, HANG, HANG, minutes=0)
    world.advance(minutes=9)
    await world.settle()
    before = world.clock.pending
    await service.user.answer(delegation.id, "once")
    assert world.clock.pending == before - 1
    await world.settle()
    child.ask("bash", "make again")
    await world.waits(delegation)
    world.advance(minutes=9, seconds=59)
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    world.advance(seconds=1)
    await world.goes_on(delegation)
    assert await world.replies(delegation) == [("once", "command line"), ("reject", "deadline")]


async def test_one_that_has_ended_leaves_nothing_due(world: World) -> None:
    """Nothing is answered for a run that is over."""
    delegation, _ = await waiting(world, bash("make"))
    world.advance(seconds=1)
    await world.settle()
    before = world.clock.pending
    await world._open[0].stop(world.supervisor, delegation.id)
    await world.told("task-notification")
    await world.settle()
    world.clock.advance(GIVE_WAY)
    await world.settle()
    # The window stood still, so that there was no timer but the answer's.
    assert world.clock.pending == before - 1


async def test_it_is_tried_again_while_the_runtime_does_not_answer(world: World) -> None:
    """An answer that was not taken is due again, and is given in the end."""
    delegation, child = await waiting(world, bash("make"), default="once")
    world.runtime.failure = RuntimeUnreachable("Nobody answers.")
    world.advance(minutes=10)
    await world.settle()
    world.runtime.failure = None
    assert world.now(delegation).status is Status.WAITING
    assert child.open
    world.advance(minutes=10)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [("once", "deadline")]


async def test_what_was_answered_unseen_is_not_answered_again(world: World) -> None:
    """The default meets a request that is open no longer, and the run goes on."""
    delegation, child = await waiting(world, bash("make"), default="once")
    with world.runtime.losing_events():
        child.settle(next(iter(child.open)), ONCE)
        world.advance(minutes=10)
        await world.goes_on(delegation)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert len(await world.replies(delegation)) == 1


@pytest.mark.parametrize(("before", "away"), [(6, 0), (6, 3), (6, 30)])
async def test_the_time_counts_from_when_it_was_asked(
    world: World, before: float, away: float
) -> None:
    """A restart opens no new ten minutes, and what became due meanwhile is due at once."""
    settings = Settings(answer_minutes=10, answer_default="once")
    delegation, child = await waiting(world, bash("make"), default="once")
    world.advance(minutes=before)
    await world._open[0].close()
    world.advance(minutes=away)
    world.runtime.release(child.name)
    await world.service(settings, owner=LIVING)
    await world.settle()
    left = max(10 - before - away, 0)
    if left:
        world.clock.advance(left * MINUTE - timedelta(seconds=1))
        await world.settle()
        assert world.now(delegation).status is Status.WAITING
    world.advance(seconds=1)
    assert (await world.ended(delegation)).status is Status.COMPLETED
    assert await world.replies(delegation) == [("once", "deadline")]
