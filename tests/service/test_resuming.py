"""A run that was cut off is told to go on, a few times; nothing that it wrote is lost."""

from __future__ import annotations

import pytest
from world import LIVING, World, bash

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.status import Status
from background_agents.ports.runtime import Busy, Idle, MessageChanged, Prompt, RunFailed
from background_agents.ports.storage import Piece
from background_agents.service.running.launch import GO_ON, MOST_RELAUNCHES, UNDONE
from background_agents.service.running.streamed import PACE, Streamed
from background_agents.service.running.timers import ABORT_LIMIT, TURN_LIMIT
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.views import live

HANG: dict[str, object] = {"hang": True}
NO_RESUME = Settings(resume=False)


async def cut_off(
    world: World, *steps: dict[str, object], keep: bool = True
) -> tuple[Delegation, ScriptedSession]:
    """Return a delegation that was cut off with everything around it, and its session."""
    service = await world.service()
    delegation = await world.delegate(service, *(steps or (HANG,)))
    child = await world.working(delegation)
    child.write("So far. ")
    if keep:
        world.clock.advance(PACE)
        await world.settle()
    await die(world, child)
    return delegation, child


async def die(world: World, child: ScriptedSession) -> None:
    """End the service and, without a word, what its runtime was doing."""
    await world.close()
    world.runtime.release(child.name)
    child.cut_off()


def lose_text(child: ScriptedSession) -> None:
    """Let the runtime have stored nothing of the unfinished answer, as OpenCode does."""
    newest = [entry for entry in child.entries.values() if entry.answers][-1]
    newest.pieces.clear()


async def test_a_cut_off_run_goes_on_in_its_session(world: World) -> None:
    """It is told once, ends as completed, and everybody can see that it was resumed."""
    delegation, child = await cut_off(world, HANG, {"say": "Whole.", "gate": "whole"})
    service = await world.service(owner=LIVING)
    await world.until(lambda: world.now(delegation).relaunches == 1)
    await world.settle()
    assert "resumed 1 times" in live.status(await service.status(world.supervisor))
    world.runtime.open("whole")
    ended = await world.ended(delegation)
    assert (ended.status, ended.session) == (Status.COMPLETED, child.name)
    assert (await world.artifact(delegation)).endswith("Whole.")
    assert "resumed: 1\n" in await world.artifact(delegation)
    ((notice,),) = await world.notified()
    assert "<resumed>1</resumed>" in notice
    told = [entry.text for entry in child.entries.values() if entry.role == "user"]
    assert len(told) == 2
    assert told[1].startswith(GO_ON)
    assert told[1].endswith("You were just writing this:\n\nSo far. ")


async def test_without_resume_it_ends_as_interrupted_with_what_it_wrote(world: World) -> None:
    """What was streamed is there although the runtime had stored none of it."""
    delegation, child = await cut_off(world)
    lose_text(child)
    await world.service(NO_RESUME, owner=LIVING)
    assert (await world.ended(delegation)).status is Status.INTERRUPTED
    artifact = await world.artifact(delegation)
    assert "[INTERRUPTED]" in artifact
    assert artifact.endswith("So far. ")
    ((notice,),) = await world.notified()
    assert "<status>interrupted</status>" in notice


async def test_a_run_is_not_resumed_for_ever(world: World) -> None:
    """After three times it ends as interrupted, and says how often it was cut off."""
    delegation, child = await cut_off(world, *[HANG] * 8)
    for times in range(1, MOST_RELAUNCHES + 1):
        await world.service(owner=f"0:{times}")
        await world.until(lambda times=times: world.now(delegation).relaunches == times)
        await world.working(delegation)
        await die(world, child)
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.INTERRUPTED, MOST_RELAUNCHES)
    assert "cut off 4 times" in str(ended.error)


async def test_a_process_that_dies_before_it_has_told_is_made_up_for(world: World) -> None:
    """The message that was stored but not sent goes out under its id, and is counted once."""
    delegation, child = await cut_off(world, HANG, {"say": "Whole."})
    stored = ev.Relaunched(at=world.clock.now(), message="msg_relaunch")
    await world.commit(delegation, stored)
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)
    assert "msg_relaunch" in child.entries


async def test_a_resumed_run_has_a_fresh_time_window(world: World) -> None:
    """The time that everything was off is not the agent's."""
    delegation, _ = await cut_off(world, HANG, HANG)
    world.advance(hours=9)
    await world.service(owner=LIVING)
    await world.until(lambda: world.now(delegation).relaunches == 1)
    await world.settle()
    world.advance(minutes=14)
    assert not world.now(delegation).is_terminal
    world.advance(minutes=1)
    assert (await world.ended(delegation)).status is Status.TIMED_OUT


async def test_a_runtime_that_was_restarted_under_a_living_service(world: World) -> None:
    """As over HTTP: the stream comes back, the session rests, its answer is unfinished."""
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG, {"say": "Whole."})
    child = await world.working(delegation)
    with world.runtime.losing_events():
        child.cut_off()
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)


async def test_what_is_told_late_of_what_was_cut_off_does_not_end_what_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that begins anew may say so of a turn that it has not begun; it is told again."""
    delegation, child = await cut_off(world, HANG, {"say": "Whole."})
    told: list[str] = []
    deliver = world.runtime.prompt

    async def lose_the_first(session: str, prompt: Prompt) -> None:
        told.append(prompt.message)
        if len(told) > 1:
            await deliver(session, prompt)

    monkeypatch.setattr(world.runtime, "prompt", lose_the_first)
    await world.service(owner=LIVING)
    await world.until(lambda: bool(told))
    await world.settle()
    world.runtime.emit(Busy(child.name))
    world.runtime.emit(Idle(child.name))
    await world.settle()
    assert not world.now(delegation).is_terminal
    world.clock.advance(TURN_LIMIT)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)
    assert len(set(told)) == 1


# --- what is kept ----------------------------------------------------------------


async def test_what_is_streamed_is_kept_within_a_second(world: World) -> None:
    """Each growth once; and nothing any more once it has ended."""
    service = await world.service()
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    for word in ("One ", "two ", "three "):
        child.write(word)
        world.clock.advance(PACE)
        await world.settle()
    (text,) = (await world.store.kept(delegation.id)).values()
    assert text == "One two three "
    assert PACE.total_seconds() < 1
    child.finish()
    await world.ended(delegation)
    assert await world.store.kept(delegation.id) == {}


async def test_what_the_disk_did_not_take_is_kept_later(world: World) -> None:
    """A full disk does not end the journal."""
    service = await world.service()
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.write("One ")
    world.store.failure = StoreUnavailable("The disk is full.")
    world.clock.advance(PACE)
    await world.settle()
    world.store.failure = None
    child.write("two ")
    world.clock.advance(PACE)
    await world.settle()
    (text,) = (await world.store.kept(delegation.id)).values()
    assert text == "One two "


@pytest.mark.parametrize(
    ("grown", "pieces"),
    [
        ([("m1", "a"), ("m1", "ab")], [("m1", 0, "a"), ("m1", 1, "b")]),
        ([("m1", "a"), ("m1", "a")], [("m1", 0, "a")]),
        ([("m1", "ab"), ("m2", "c")], [("m1", 0, "ab"), ("m2", 0, "c")]),
        ([("m1", ""), ("m1", "a")], [("m1", 0, "a")]),
    ],
)
def test_only_what_is_new_is_kept(
    grown: list[tuple[str, str]], pieces: list[tuple[str, int, str]]
) -> None:
    """A long text is not written again each second."""
    streamed = Streamed("d")
    found = [streamed.grown_to(*one) for one in grown]
    assert [one for one in found if one] == [
        Piece(delegation="d", message=message, start=start, text=text)
        for message, start, text in pieces
    ]


# --- the runtime ends, and the service lives on, or ends with it --------------------


async def test_what_ends_with_its_runtime_goes_on_when_that_begins_anew(world: World) -> None:
    """OpenCode aborts what runs when it is loaded anew, and nobody has asked for that."""
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG, {"say": "Whole."})
    child = await world.working(delegation)
    child.write("So far. ")
    with world.runtime.ended():
        await world.settle()
        world.clock.advance(ABORT_LIMIT)
        await world.settle()
        assert not world.now(delegation).is_terminal
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches, ended.resumes) == (Status.COMPLETED, 1, 0)
    assert (await world.artifact(delegation)).endswith("Whole.")
    told = [entry.text for entry in child.entries.values() if entry.role == "user"]
    assert [text.startswith(GO_ON) for text in told] == [False, True]
    assert len(await world.notified()) == 1


async def test_what_ends_with_its_runtime_and_service_is_taken_up_by_the_next(
    world: World,
) -> None:
    """`opencode run` that is through: the abort stands in the transcript, and is nobody's wish."""
    service = await world.service()
    delegation = await world.delegate(service, HANG, {"say": "Whole."})
    await world.working(delegation)
    with world.runtime.ended():
        await world.settle()
        await world.close()
        assert world.now(delegation).status is Status.RUNNING
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.relaunches) == (Status.COMPLETED, 1)


async def test_what_waits_as_its_runtime_ends_asks_anew(world: World) -> None:
    service = await world.service(owner=LIVING)
    world.runtime.asking.add("bash")
    delegation = await world.delegate(service, bash("make"), bash("make again"), {"say": "Made."})
    await world.waits(delegation)
    with world.runtime.ended():
        await world.settle()
    (ask,) = await world.waits(delegation)
    assert ask.patterns == ("make again",)
    await service.user.answer(delegation.id, "once")
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_an_abort_of_which_nothing_more_is_told_is_believed_once_asked(
    world: World,
) -> None:
    """Where no answer was being written none is stored; that the runtime answers is evidence."""
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    child.cut_off()
    world.runtime.emit(RunFailed(child.name, "Aborted", aborted=True))
    world.runtime.emit(Idle(child.name))
    await world.settle()
    assert not world.now(delegation).is_terminal
    world.clock.advance(ABORT_LIMIT)
    assert (await world.ended(delegation)).status is Status.STOPPED


async def test_what_a_runtime_tells_late_of_its_end_stops_nothing(world: World) -> None:
    """The next instance stores the aborted message, while the run goes on already."""
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG, {"say": "Whole.", "gate": "whole"})
    child = await world.working(delegation)
    with world.runtime.ended():
        await world.settle()
    await world.until(lambda: world.now(delegation).relaunches == 1)
    late = next(entry for entry in child.entries.values() if entry.aborted)
    world.runtime.emit(MessageChanged(child.name, late.message()))
    world.runtime.emit(Idle(child.name))
    await world.settle()
    world.runtime.open("whole")
    assert (await world.ended(delegation)).status is Status.COMPLETED


async def test_a_run_whose_messages_were_undone_meanwhile_is_not_told_to_go_on(
    world: World,
) -> None:
    """It could be gone on with by hand; what its user can bring back stays."""
    delegation, child = await cut_off(world, HANG)
    child.undo(next(iter(child.entries)))
    await world.service(owner=LIVING)
    ended = await world.ended(delegation)
    assert (ended.status, ended.error) == (Status.INTERRUPTED, UNDONE)
    assert child.undone
