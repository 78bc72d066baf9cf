"""What comes at a bad moment: answers, refusals and stops that meet, and looks that fail once.

Each test lets one thing happen just while another is under way, and proves that nothing is
granted, forgotten or ended by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn, ParamSpec, TypeVar

import pytest
from world import HANG, World, bash

from background_agents.config import AnswerRule, Settings
from background_agents.domain.asking import Ask, Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import AskChanged, RuntimeUnreachable, StoreUnavailable
from background_agents.domain.events import InputRequested
from background_agents.domain.status import Status
from background_agents.ports.runtime import Agent, InputAsked, InputSettled, Prompt
from background_agents.ports.storage import Change
from background_agents.service.running.ending import INSIST_FIRST
from background_agents.service.running.stopping import BELOW_PAUSE
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.views import errors
from lab.harness.service import Service

ANOTHER = "0:another"
"""The owner's name of the next process."""

DONE: dict[str, object] = {"say": "Done."}

ENDING = "task-notification"

ONCE, NO = Reply(word="once"), Reply(word="reject")

CHANGED = "Nothing was answered: what was asked has changed meanwhile"

UNREACHABLE = RuntimeUnreachable("Nobody answers.")

FULL = StoreUnavailable("The disk is full for a moment.")

FAILING = "a call that failed"

UNTIL_THE_NEXT_LOOK = timedelta(seconds=5)

LIMIT_S = 2
"""What would wait for ever without this takes milliseconds."""

P = ParamSpec("P")
R = TypeVar("R")


def failing_once(
    world: World,
    work: Callable[P, Awaitable[R]],
    error: Exception,
    when: Callable[[], bool] = lambda: True,
) -> Callable[P, Awaitable[R]]:
    """Return ``work`` whose first call raises; the journal has an entry of that."""

    async def worked(*args: P.args, **kwargs: P.kwargs) -> R:
        if when() and not world.journal.of(FAILING):
            world.journal.note(FAILING, str(error))
            raise error
        return await work(*args, **kwargs)

    return worked


async def failed_once(world: World) -> None:
    """Return once the call has failed, and what follows from that is done."""
    async with asyncio.timeout(LIMIT_S):
        await world.until(lambda: bool(world.journal.of(FAILING)))
    await world.settle()


async def nobody(*_: object, **__: object) -> NoReturn:
    """Stand for every question to a runtime that does not answer."""
    raise UNREACHABLE


async def ends(world: World, delegation: Delegation) -> Delegation:
    """Return a delegation that ends without any more time."""
    async with asyncio.timeout(LIMIT_S):
        return await world.ended(delegation)


async def at_work(
    world: World, service: Service, *then: dict[str, object], minutes: float | None = None
) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that writes its answer, and its session."""
    delegation = await world.delegate(service, HANG, *then, minutes=minutes)
    child = await world.working(delegation)
    await world.settle()
    return delegation, child


async def taken_over(world: World, service: Service, child: ScriptedSession) -> Service:
    """Return the service of the next process."""
    await service.close()
    world.runtime.release(child.name)
    other = await world.service(owner=ANOTHER)
    await world.settle()
    return other


# --- a stop, while something is asked --------------------------------------------------


async def finished_above(
    world: World, service: Service
) -> tuple[Delegation, ScriptedSession, ScriptedSession]:
    """Return a delegation that has finished but for what is asked below it, and both sessions."""
    delegation, child = await at_work(world, service)
    below = world.below(child, bash("make deploy"), HANG)
    await world.waits(delegation)
    child.write("The result.")
    child.finish()
    await world.settle()
    assert world.now(delegation).status is Status.WAITING
    return delegation, child, below


async def stopped(
    world: World, service: Service, delegation: Delegation, *below: ScriptedSession
) -> Delegation:
    """Stop a delegation, and return it once that is done; those below come to rest first."""
    stop = asyncio.create_task(service.stop(world.supervisor, delegation.id))
    for session in below:
        await world.heard.idle(session.name)
        await world.settle()
        world.clock.advance(BELOW_PAUSE)
    async with asyncio.timeout(LIMIT_S):
        ended = await stop
    await world.settle()
    return ended


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_stop_of_one_that_has_finished_above_what_asks_completes_it(
    world: World, restarted: bool
) -> None:
    """The stop returns; the result is kept, nothing stays open, and there is one notice."""
    service = await world.service()
    delegation, child, below = await finished_above(world, service)
    if restarted:
        service = await taken_over(world, service, child)
    ended = await stopped(world, service, delegation, below)
    assert (ended.status, ended.summary, ended.requests) == (Status.COMPLETED, "The result.", ())
    assert (below.busy, await world.runtime.requests()) == (False, [])
    assert len(await world.told(ENDING)) == 1


@pytest.mark.parametrize("asks", ["itself", "below", "below a finished one"])
async def test_what_is_asked_while_it_is_stopped_is_taken_back(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    """Its human is asked for nothing that nobody needs any more."""
    if asks == "below a finished one":
        delegation, child, *others = await finished_above(world, service)
    else:
        delegation, child, *others = await at_work(world, service)
    others.append(world.below(child, HANG))
    await world.heard.until(lambda: world.heard.works(others[-1].name))
    late = child if asks == "itself" else others[-1]
    abort, asked = world.runtime.abort, list[Ask]()

    async def asked_before(session: str) -> None:
        if not asked:
            asked.append(late.ask("bash", "late"))
        await abort(session)

    monkeypatch.setattr(world.runtime, "abort", asked_before)
    assert (await stopped(world, service, delegation, *others)).is_terminal
    assert [one.ask for one in world.heard.of(late.name, InputAsked)] == asked
    assert await world.runtime.requests() == []
    assert not any(session.busy for session in (child, *others))


# --- an answer to what was not seen -------------------------------------------------------


def message_of_now(world: World) -> str:
    """Return the id of a message that the supervisor's model begins to write now."""
    return world._ids.mint("msg", world.clock.now())


@pytest.fixture
async def service(world: World) -> Service:
    """Its model may grant once, so that what it meant for one request could reach another."""
    return await world.service(Settings(model_grants="once"))


async def asking(
    world: World, service: Service, *commands: str
) -> tuple[Delegation, ScriptedSession, tuple[Ask, ...]]:
    """Return a delegation that asks before it runs commands, all at once, and what is asked."""
    delegation, child = await at_work(world, service)
    for command in commands:
        child.ask("bash", command)
    return delegation, child, await world.waits(delegation, len(commands))


async def refused_as_changed(world: World, service: Service, name: str, since: str) -> str:
    """Prove that an answer that began at a message grants nothing; return what is said."""
    before = [one.id for one in await world.runtime.requests()]
    with pytest.raises(AskChanged, match=CHANGED) as refused:
        await service.answer(world.supervisor, name, "once", since=since)
    assert [one.id for one in await world.runtime.requests()] == before
    return errors.for_model(refused.value)


@pytest.mark.parametrize("seen", [True, False], ids=["later", "none"])
async def test_an_answer_that_was_begun_before_it_was_asked_is_refused(
    world: World, service: Service, seen: bool
) -> None:
    """It is told what is asked; one begun later is given, and one that tells no message."""
    since = message_of_now(world)
    delegation, child, (ask,) = await asking(world, service, "rm -rf /")
    said = await refused_as_changed(world, service, delegation.id, since)
    assert "bash: rm -rf /" in said
    assert world.now(delegation).status is Status.WAITING
    assert world.heard.of(child.name, InputSettled) == []
    later = message_of_now(world) if seen else None
    answered = await service.answer(world.supervisor, delegation.id, "once", since=later)
    assert (answered.ask, child.open) == (ask, {})


async def test_an_answer_that_was_begun_before_a_human_answered_is_refused(
    world: World, service: Service
) -> None:
    """What was meant for the first of two is not given to the second."""
    delegation, child, (first, second) = await asking(world, service, "make", "rm -rf /")
    since = message_of_now(world)
    child.settle(first.id, ONCE)
    await refused_as_changed(world, service, delegation.id, since)
    assert list(child.open) == [second.id]
    later = message_of_now(world)
    answered = await service.answer(world.supervisor, delegation.id, "once", since=later)
    assert answered.ask == second
    assert await world.replies(delegation) == [("once", "user"), ("once", "supervisor")]


async def test_nor_is_it_given_to_what_was_asked_after_that(world: World, service: Service) -> None:
    """The request that was seen is gone, and another one stands in its place."""
    delegation, child, (first,) = await asking(world, service, "make")
    since = message_of_now(world)
    child.ask("bash", "rm -rf /")
    child.settle(first.id, ONCE)
    await world.settle()
    await refused_as_changed(world, service, delegation.id, since)
    assert [ask.patterns for ask, _ in child.open.values()] == [("rm -rf /",)]


async def test_two_answers_of_one_message_are_both_given(world: World, service: Service) -> None:
    """What the supervisor answers itself is no change that it has not seen."""
    delegation, child, asks = await asking(world, service, "make", "make install")
    since = message_of_now(world)
    given = [
        (await service.answer(world.supervisor, delegation.id, "once", since=since)).ask
        for _ in asks
    ]
    assert (given, child.open) == (list(asks), {})


# --- a refusal after a refusal -------------------------------------------------------------


async def ends_when_the_human_refuses(world: World, delegation: Delegation) -> None:
    """Prove that the human's refusal, without a word, ends a run that asks for ``later``."""
    (ask,) = await world.waits(delegation)
    assert ask.patterns == ("later",)
    world.runtime.sessions[ask.session].settle(ask.id, NO)
    ended = await ends(world, delegation)
    error = "It ended as this was refused: bash: later"
    assert (ended.status, ended.error) == (Status.FAILED, error)


async def test_a_refusal_by_a_rule_does_not_overrule_a_later_one_by_the_human(
    world: World,
) -> None:
    """The agent has gone on from the first; the second ends the run, and is named."""
    service = await world.service(Settings(answers=(AnswerRule("deny", pattern="early"),)))
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, bash("early"), bash("later"), DONE)
    await ends_when_the_human_refuses(world, delegation)
    assert await world.replies(delegation) == [("reject", "policy"), ("reject", "user")]


@pytest.mark.parametrize("restarted", [False, True])
async def test_nor_does_one_by_the_supervisor(world: World, restarted: bool) -> None:
    """Also when it was asked before a restart and refused after it."""
    service = await world.service()
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, bash("early"), bash("later"), DONE)
    (early,) = await world.waits(delegation)
    if restarted:
        service = await taken_over(world, service, world.runtime.sessions[early.session])
    await service.answer(world.supervisor, delegation.id, "reject: Not this.")
    await world.settle()
    await ends_when_the_human_refuses(world, delegation)


# --- a runtime that does not answer ---------------------------------------------------------


async def test_a_stop_ends_one_that_cannot_be_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken over from a runtime that tells neither state nor transcript, it can be stopped."""
    first = await world.service()
    delegation, child = await at_work(world, first)
    for question in ("state", "transcript"):
        monkeypatch.setattr(world.runtime, question, nobody)
    other = await taken_over(world, first, child)
    async with asyncio.timeout(LIMIT_S):
        stopped = await other.stop(world.supervisor, delegation.id)
    assert stopped.is_terminal
    assert len(await world.told(ENDING)) == 1


async def test_a_failure_while_a_failure_is_dealt_with_ends_the_run(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that is not taken, and nobody says how far it came: failed, and told once."""
    for question in ("prompt", "transcript"):
        monkeypatch.setattr(world.runtime, question, nobody)
    ended = await ends(world, await world.delegate(service, DONE))
    assert ended.status is Status.FAILED
    assert len(await world.told(ENDING)) == 1


async def test_one_look_that_fails_ends_no_run(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finished while the stream was broken is found by the next look, five seconds later."""
    delegation, child = await at_work(world, service)
    state = failing_once(world, world.runtime.state, UNREACHABLE)
    monkeypatch.setattr(world.runtime, "state", state)
    with world.runtime.losing_events():
        child.write("Unseen.")
        child.finish()
        await world.settle()
    await failed_once(world)
    world.clock.advance(UNTIL_THE_NEXT_LOOK - timedelta(seconds=1))
    await world.settle()
    assert world.now(delegation).status is Status.RUNNING
    world.advance(seconds=1)
    ended = await ends(world, delegation)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "Unseen.")


# --- a storage that fails for a moment --------------------------------------------------------


async def test_a_store_that_fails_for_a_moment_at_a_take_over_ends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept is read a little later, and the run is followed to its end."""
    first = await world.service()
    delegation, child = await at_work(world, first)
    monkeypatch.setattr(world.store, "kept", failing_once(world, world.store.kept, FULL))
    await taken_over(world, first, child)
    await failed_once(world)
    assert world.now(delegation).status is Status.RUNNING
    world.clock.advance(INSIST_FIRST)
    child.write("Not lost.")
    child.finish()
    ended = await ends(world, delegation)
    assert (ended.status, ended.summary) == (Status.COMPLETED, "Not lost.")


async def test_nor_does_one_at_a_continuation(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins a little later, in the session that it is to go on in."""
    before = await ends(world, await world.delegate(service, DONE))
    await world.notified()
    await world.settle()
    registered = world.journal.of("register")
    # It is the launch that fails to look it up; the operation has done so before.
    get = failing_once(
        world, world.store.get, FULL, when=lambda: registered != world.journal.of("register")
    )
    monkeypatch.setattr(world.store, "get", get)
    after = await world.delegate(service, {"say": "More."}, continue_id=before.id)
    await failed_once(world)
    assert world.now(after).status is Status.REGISTERED
    world.clock.advance(INSIST_FIRST)
    ended = await ends(world, after)
    assert (ended.status, ended.session) == (Status.COMPLETED, before.session)
    assert ended.summary == "More."


# --- the end of the time window -----------------------------------------------------------------


async def test_a_steer_on_its_way_renews_a_window_that_ends_meanwhile(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told that it was sent has a whole window, and no more."""
    delegation, child = await at_work(world, service, minutes=1)
    prompt = world.runtime.prompt

    async def slowly(session: str, given: Prompt) -> None:
        await prompt(session, given)
        world.advance(seconds=61)

    monkeypatch.setattr(world.runtime, "prompt", slowly)
    steered = await service.steer(world.supervisor, delegation.id, "Mind the gap.")
    assert [one.text for one in steered.steers] == ["Mind the gap."]
    await world.settle()
    assert "1m 00s left" in await world.status(service)
    world.advance(seconds=59)
    await world.settle()
    assert child.busy
    world.advance(seconds=1)
    assert (await ends(world, delegation)).status is Status.TIMED_OUT


async def test_a_request_makes_a_window_stand_still_that_ends_meanwhile(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as long as it must; what is left when it is answered is nothing."""
    delegation, child = await at_work(world, service, HANG, minutes=1)
    commit = world.store.commit

    async def slowly(change: Change) -> None:
        if any(isinstance(event, InputRequested) for event in change.events):
            world.advance(seconds=61)
        await commit(change)

    monkeypatch.setattr(world.store, "commit", slowly)
    ask = child.ask("bash", "make")
    (waits,) = await world.waits(delegation)
    assert waits.id == ask.id
    world.advance(hours=1)
    await world.settle()
    assert (world.now(delegation).status, child.busy) == (Status.WAITING, True)
    answered = await service.user.answer(delegation.id, "once")
    assert answered.delegation.status is Status.RUNNING
    world.advance(seconds=1)
    assert (await ends(world, delegation)).status is Status.TIMED_OUT


# --- the model of a continuation ------------------------------------------------------------


async def test_a_continuation_does_not_inherit_the_model_of_the_one_before(
    world: World, service: Service
) -> None:
    """Without a model of its own it runs on its agent's, as any other delegation."""
    world.runtime.offered = [Agent("build", "Does everything.", model="scripted/one")]
    before = await ends(world, await world.delegate(service, DONE, model="scripted/two"))
    await world.notified()
    after = await ends(world, await world.delegate(service, DONE, continue_id=before.id))
    session = world.runtime.sessions[after.session or ""]
    prompted = [session.entries[one.prompt_message or ""].model for one in (before, after)]
    assert prompted == ["scripted/two", "scripted/one"]
    assert after.model is None
