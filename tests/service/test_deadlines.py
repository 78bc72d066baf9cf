"""Two clocks of a run: its time window, and how long a request may wait for an answer."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from world import HANG, LIVING, World, bash, questions

from background_agents.config import Settings
from background_agents.domain.asking import Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, RuntimeUnreachable
from background_agents.domain.events import Extended
from background_agents.domain.status import Status
from background_agents.ports.runtime import InputSettled
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.service.running.asking import REFUSED, UNANSWERED
from background_agents.service.running.timers import Deadline
from background_agents.testing.clock import ManualClock
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.views import events
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


# --- more time -----------------------------------------------------------------------


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_longer_window_keeps_what_is_gone_of_it(is_paused: bool) -> None:
    clock, deadline, passed = counted(MINUTE)
    deadline.open()
    clock.advance(timedelta(seconds=50))
    if is_paused:
        deadline.pause()
        clock.advance(timedelta(hours=1))
    deadline.set(2 * MINUTE)
    assert (deadline.left, passed) == (timedelta(seconds=70), [])
    deadline.set(None)
    deadline.resume()
    clock.advance(timedelta(days=9))
    assert (deadline.left, passed) == (None, [])


async def test_one_that_runs_gets_more_time(world: World, service: Service) -> None:
    """On top of what is left, and one that has run out just now is not ended for it."""
    delegation = await world.delegate(service, HANG, minutes=2)
    await world.working(delegation)
    world.advance(seconds=90)
    longer = await service.user.extend(delegation.id, 3)
    assert longer.timeout == 5 * MINUTE
    assert "3m 30s left" in await world.status(service)
    (told,) = [
        events.told(one)
        for one in await world.store.history(delegation.id)
        if isinstance(one, Extended)
    ]
    assert told == "was given 3m 00s more by the command line"
    extending = asyncio.create_task(service.user.extend(delegation.id, 1))
    await asyncio.sleep(0)
    world.advance(seconds=210)  # the wish for more is in the inbox, and the deadline behind it
    await extending
    await times_out_after(world, delegation, minutes=1)


async def test_more_time_that_waits_is_whole_when_it_goes_on(
    world: World, service: Service
) -> None:
    delegation, _ = await asking(world, service, HANG)
    world.advance(hours=5)
    await service.user.extend(delegation.id, 1)
    assert "2m 30s left" in await world.status(service)
    world.advance(hours=5)
    await service.user.answer(delegation.id, "once")
    await times_out_after(world, delegation, seconds=150)


async def test_one_that_has_not_begun_gets_more_time(world: World) -> None:
    """All of it is left at its launch."""
    service = await world.service(max_concurrent=1)
    first = await world.delegate(service, HANG)
    await world.working(first)
    second = await world.delegate(service, HANG, minutes=1)
    await service.user.extend(second.id, 1)
    world.advance(hours=1)
    await service.user.stop(first.id)
    await world.working(second)
    await times_out_after(world, second, minutes=2)


async def test_more_time_is_had_in_the_next_process_too(world: World) -> None:
    service = await world.service()
    delegation = await world.delegate(service, HANG, minutes=1)
    child = await world.working(delegation)
    world.advance(seconds=50)
    await service.user.extend(delegation.id, 1)
    await service.close()
    world.runtime.release(child.name)
    other = await world.service(owner=LIVING)
    await world.settle()
    assert "1m 10s left" in await world.status(other)
    free = await other.user.extend(delegation.id, 0)
    assert free.timeout is None
    world.advance(hours=9)
    await world.settle()
    assert not world.now(delegation).is_terminal


@pytest.mark.parametrize(
    ("minutes", "given", "why"),
    [
        (1, -1, "minutes is -1; give a number from 0 (no limit) to 10,080."),
        (1, float("nan"), "minutes is nan; give"),
        (1, 10_080, "would have 168h 01m, and 10,080 minutes is the most; 0 gives it no limit."),
        (0, 5, "has no time limit that could be extended."),
        (0, 0, "has no time limit that could be extended."),
    ],
)
async def test_what_cannot_be_meant_gives_no_time(
    world: World, service: Service, minutes: float, given: float, why: str
) -> None:
    delegation = await world.delegate(service, HANG, minutes=minutes)
    await world.working(delegation)
    with pytest.raises(InvalidRequest, match=re.escape(why)):
        await service.user.extend(delegation.id, given)
    assert world.now(delegation).timeout == (timedelta(minutes=minutes) or None)


async def test_one_that_ends_or_has_ended_gets_no_time(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    stopping = asyncio.create_task(service.user.stop(delegation.id))
    await asyncio.sleep(0)
    with pytest.raises(InvalidRequest, match="is ending, and nothing more is done to it"):
        await service.user.extend(delegation.id, 5)
    await stopping
    with pytest.raises(InvalidRequest, match="is stopped, and nothing more is done to it"):
        await service.user.extend(delegation.id, 5)


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
