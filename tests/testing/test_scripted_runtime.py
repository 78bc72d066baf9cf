"""The scripted runtime and channel pass the suites of the real ones, and do as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.transcript import Verdict
from background_agents.ports.runtime import AgentRuntime, Idle, Retrying, StreamRestored
from background_agents.testing.contracts import AgentRuntimeContract, SupervisorChannelContract
from background_agents.testing.contracts.channel import outgoing
from background_agents.testing.contracts.stage import (
    Heard,
    StoredMessage,
    StoredPart,
    Ways,
    listening,
    new_child,
    prompt,
)
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripts import script


class ScriptedStage:
    """The fakes, and a user who is a method call."""

    def __init__(self) -> None:
        self.runtime = ScriptedRuntime()
        self.channel = ScriptedChannel(self.runtime)
        self.ways = Ways()

    async def new_session(self) -> str:
        return self.runtime.add_session()

    async def new_asking_child(self) -> str:
        child = self.runtime.add_session(self.runtime.add_session())
        self.runtime.sessions[child].asking.add("bash")
        return child

    async def user_says(self, session: str, text: str, *, agent: str, model: str) -> str:
        return self.runtime.user_says(session, text, agent=agent, model=model)

    async def stored(self, session: str) -> list[StoredMessage]:
        return [
            StoredMessage(
                id=entry.id,
                role=entry.role,
                agent=entry.agent,
                model=entry.model,
                answers=entry.answers,
                parts=tuple(StoredPart(*part, entry.hidden) for part in entry.parts.items()),
            )
            for entry in self.runtime.sessions[session].entries.values()
        ]

    async def user_undoes(self, session: str, message: str) -> None:
        self.runtime.sessions[session].undo(message)

    async def user_redoes(self, session: str) -> None:
        self.runtime.sessions[session].redo()

    async def delete_session(self, session: str) -> None:
        self.runtime.delete_session(session)

    @asynccontextmanager
    async def broken(self) -> AsyncIterator[None]:
        with self.runtime.losing_events():
            yield

    async def begin_anew(self) -> None:
        with self.runtime.ended():
            pass

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[AgentRuntime]:
        runtime = ScriptedRuntime()
        runtime.failure = RuntimeUnreachable("Nothing answers.")
        yield runtime


@pytest_asyncio.fixture(loop_scope="module")
async def stage() -> ScriptedStage:
    return ScriptedStage()


class TestScriptedRuntime(AgentRuntimeContract):
    pass


class TestScriptedChannel(SupervisorChannelContract):
    pass


# --- what a test can make them do ------------------------------------------------


@pytest.fixture
async def here() -> ScriptedStage:
    """A stage on the loop of a single test."""
    return ScriptedStage()


async def begun(stage: ScriptedStage, heard: Heard, *steps: dict[str, object]) -> str:
    """Return a child in which the script has begun to be played."""
    child = await new_child(stage)
    await stage.runtime.prompt(child, prompt(script(*steps)))
    await heard.until(lambda: heard.works(child))
    return child


async def test_an_answer_can_be_written_by_hand(here: ScriptedStage) -> None:
    with listening(here.runtime) as heard:
        child = await begun(here, heard, {"hang": True})
        here.runtime.sessions[child].write("By ")
        here.runtime.sessions[child].write("hand.")
        here.runtime.sessions[child].finish()
        await heard.idle(child)
    assert (await here.runtime.transcript(child)).result == "By hand."


async def test_a_gate_holds_an_answer_back(here: ScriptedStage) -> None:
    with listening(here.runtime) as heard:
        child = await begun(here, heard, {"say": "Held.", "gate": "one"})
        transcript = await here.runtime.transcript(child)
        assert (transcript.everything, transcript.verdict) == ("Held.", Verdict.GOING_ON)
        here.runtime.open("one")
        await heard.answered(child)


async def test_a_gate_that_opens_after_an_abort_changes_nothing(here: ScriptedStage) -> None:
    with listening(here.runtime) as heard:
        child = await begun(here, heard, {"say": "Held.", "gate": "one"})
        await here.runtime.abort(child)
        here.runtime.open("one")
        await heard.aborted(child)
    assert (await here.runtime.transcript(child)).verdict is Verdict.ABORTED


async def test_refusals_for_now_are_retried(here: ScriptedStage) -> None:
    refused: dict[str, object] = {"fail": 429, "message": "Slow down.", "times": 2}
    with listening(here.runtime) as heard:
        child = await new_child(here)
        await here.runtime.prompt(child, prompt(script(refused, {"say": "At last."})))
        await heard.answered(child)
    assert [one.attempt for one in heard.of(child, Retrying)] == [1, 2]


async def test_lost_events_are_missing_until_somebody_asks(here: ScriptedStage) -> None:
    with listening(here.runtime) as heard:
        child = await begun(here, heard, {"hang": True})
        with here.runtime.losing_events():
            here.runtime.sessions[child].write("Unheard.")
            here.runtime.sessions[child].finish()
            await asyncio.sleep(0)
        assert heard.of(child, Idle) == []
        assert isinstance(heard.events[-1], StreamRestored)
    assert (await here.runtime.transcript(child)).verdict is Verdict.GOING_ON
    assert (await here.runtime.transcript(child, refresh=True)).result == "Unheard."


async def test_deleting_a_session_deletes_those_below_it(here: ScriptedStage) -> None:
    child = await new_child(here)
    here.runtime.delete_session((await here.runtime.lineage(child))[-1])
    assert here.runtime.sessions == {}


async def test_a_delivery_fails_as_often_as_it_was_told_to(here: ScriptedStage) -> None:
    session = await here.new_session()
    message = outgoing(session, "A notice.")
    here.channel.fail(1)
    here.channel.fail(1, arrives=True)
    for stored in ([], [("A notice.",)]):
        with pytest.raises(RuntimeUnreachable):
            await here.channel.deliver(message)
        assert here.channel.delivered(session) == stored
    await here.channel.deliver(message)
    assert here.channel.delivered(session) == [("A notice.",)]


async def test_a_held_delivery_goes_on_when_it_is_let_go(here: ScriptedStage) -> None:
    session = await here.new_session()
    here.channel.hold()
    delivery = asyncio.create_task(here.channel.deliver(outgoing(session, "A notice.")))
    await here.channel.changes.until(lambda: len(here.channel.attempts) == 1)
    assert here.channel.delivered(session) == []
    here.channel.let_go()
    await delivery
    assert await here.channel.until_delivered(session, 1) == [("A notice.",)]
