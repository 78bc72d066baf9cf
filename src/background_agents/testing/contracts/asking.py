"""What every ``AgentRuntime`` does when a session waits for a permission or an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from background_agents.domain.asking import REJECT, Ask, Reply
from background_agents.domain.errors import NotAsked
from background_agents.domain.transcript import Verdict
from background_agents.ports import runtime as port
from background_agents.testing.contracts.stage import Heard, Stage, listening, prompt
from background_agents.testing.scripts import script

ONCE = Reply(word="once")

COLOUR: dict[str, object] = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [{"label": "Red", "description": ""}, {"label": "Blue", "description": ""}],
}


def run(command: str) -> dict[str, object]:
    """Let the model run a command."""
    return {"call": "bash", "args": {"command": command, "description": "Try it"}}


@asynccontextmanager
async def asking(
    stage: Stage, *steps: dict[str, object], count: int = 1
) -> AsyncIterator[tuple[Heard, str, list[Ask]]]:
    """Start a run, and listen; gives what is heard, its session and the first requests."""
    child = await stage.new_asking_child()
    with listening(stage.runtime) as heard:
        await stage.runtime.prompt(child, prompt(script(*steps), agent=stage.ways.asking_agent))
        await heard.until(lambda: len(heard.of(child, port.InputAsked)) >= count)
        yield heard, child, [event.ask for event in heard.of(child, port.InputAsked)]


class AskingContract:
    """A part of ``AgentRuntimeContract``."""

    async def open_in(self, stage: Stage, session: str) -> list[str]:
        """Return the ids of what a session waits for, as the runtime says."""
        return [ask.id for ask in await stage.runtime.requests() if ask.session == session]

    async def test_a_permission_is_asked_and_the_run_goes_on_once_it_is_granted(
        self, stage: Stage
    ) -> None:
        async with asking(stage, run("true"), {"say": "Done."}) as (heard, child, (ask,)):
            assert (ask.session, ask.permission, ask.patterns) == (
                child,
                stage.ways.shell,
                ("true",),
            )
            assert (await stage.runtime.state(child)).busy
            assert await self.open_in(stage, child) == [ask.id]
            await stage.runtime.answer(ask, ONCE)
            await heard.answered(child)
        (settled,) = heard.of(child, port.InputSettled)
        assert (settled.request, settled.reply) == (ask.id, ONCE)
        assert (await stage.runtime.transcript(child)).result == "Done."
        assert await self.open_in(stage, child) == []

    async def test_what_was_answered_is_asked_no_longer(self, stage: Stage) -> None:
        async with asking(stage, run("true"), {"say": "Done."}) as (heard, child, (ask,)):
            await stage.runtime.answer(ask, ONCE)
            await heard.answered(child)
            with pytest.raises(NotAsked):
                await stage.runtime.answer(ask, ONCE)

    async def test_a_rejection_with_a_reason_lets_the_run_go_on(self, stage: Stage) -> None:
        async with asking(stage, run("true"), {"say": "Without it."}) as (heard, child, (ask,)):
            await stage.runtime.answer(ask, Reply(word=REJECT, reason="Not now."))
            await heard.answered(child)
        transcript = await stage.runtime.transcript(child)
        assert transcript.result == "Without it."
        assert transcript.answers[0].tools[0].state == "error"
        assert heard.of(child, port.InputSettled)[0].reply.is_rejection

    async def test_a_rejection_without_a_reason_ends_the_run(self, stage: Stage) -> None:
        async with asking(stage, run("true"), {"say": "Never said."}) as (heard, child, (ask,)):
            await stage.runtime.answer(ask, Reply(word=REJECT))
            await heard.idle(child)
        assert (await stage.runtime.transcript(child)).verdict is Verdict.GOING_ON
        assert not (await stage.runtime.state(child)).busy

    async def test_of_two_requests_a_rejection_settles_both(self, stage: Stage) -> None:
        both: dict[str, object] = {"calls": [run("printf a"), run("printf b")]}
        async with asking(stage, both, {"say": "Never said."}, count=2) as (heard, child, asks):
            await stage.runtime.answer(asks[0], Reply(word=REJECT))
            await heard.idle(child)
        settled = {one.request for one in heard.of(child, port.InputSettled)}
        assert settled == {one.id for one in asks}

    async def test_what_is_granted_always_is_not_asked_again(self, stage: Stage) -> None:
        twice = (run("hostname"), run("hostname"))
        async with asking(stage, *twice, {"say": "Twice."}) as (heard, child, (ask,)):
            await stage.runtime.answer(ask, Reply(word="always"))
            await heard.answered(child)
        assert len(heard.of(child, port.InputAsked)) == 1
        assert (await stage.runtime.transcript(child)).usage.tool_calls == 2

    async def test_a_question_is_answered_in_words(self, stage: Stage) -> None:
        question: dict[str, object] = {"call": "question", "args": {"questions": [COLOUR, COLOUR]}}
        async with asking(stage, question, {"say": "Thanks."}) as (heard, child, (ask,)):
            assert [one.text for one in ask.questions] == ["Which colour?"] * 2
            assert ask.questions[0].options == ("Red", "Blue")
            assert await self.open_in(stage, child) == [ask.id]
            await stage.runtime.answer(ask, Reply(answers=("Red", "a green one")))
            await heard.answered(child)
        assert heard.of(child, port.InputSettled)[0].reply.answers == ("Red", "a green one")
        assert (await stage.runtime.transcript(child)).result == "Thanks."

    async def test_a_question_that_is_dismissed_is_told(self, stage: Stage) -> None:
        question: dict[str, object] = {"call": "question", "args": {"questions": [COLOUR]}}
        async with asking(stage, question, {"say": "Never said."}) as (heard, child, (ask,)):
            await stage.runtime.answer(ask, Reply(word=REJECT))
            await heard.first(child, port.InputSettled)
        assert heard.of(child, port.InputSettled)[0].reply.is_rejection

    async def test_what_was_asked_is_taken_back_with_an_abort_or_after_it(
        self, stage: Stage
    ) -> None:
        idles = stage.ways.idles
        async with asking(stage, run("true"), {"say": "Never said."}) as (heard, child, (ask,)):
            await stage.runtime.abort(child)
            await heard.aborted(child)
            await heard.idle(child, idles)
            if not stage.ways.takes_back:
                assert await self.open_in(stage, child) == [ask.id]
                await stage.runtime.answer(ask, Reply(word=REJECT))
            await heard.first(child, port.InputSettled)
            assert await self.open_in(stage, child) == []
            with pytest.raises(NotAsked):
                await stage.runtime.answer(ask, Reply(word=REJECT))
        assert heard.of(child, port.InputSettled)[0].reply.is_rejection
        assert len(heard.of(child, port.Idle)) == idles

    async def test_sessions_know_what_is_above_and_below(self, stage: Stage) -> None:
        runtime = stage.runtime
        root = await stage.new_session()
        child = await runtime.open_session(port.SessionOrder(parent=root, title="A child"))
        one = await runtime.open_session(port.SessionOrder(parent=child, title="One"))
        other = await runtime.open_session(port.SessionOrder(parent=child, title="Other"))
        deep = await runtime.open_session(port.SessionOrder(parent=one, title="Deep"))
        assert runtime.ancestors(deep)[:3] == (deep, one, child)
        assert set(await runtime.below(child)) == {one, other, deep}
        assert await runtime.below(deep) == []
        assert runtime.ancestors("ses_nobody") == ("ses_nobody",)

    async def test_a_tool_can_be_for_some_sessions_alone(self, stage: Stage) -> None:
        if not stage.ways.has_rules:
            pytest.skip("sessions have no rules there; the host hides tools from the others")
        root = await stage.new_session()
        order = port.SessionOrder(
            parent=root, title="A child", denied_tools=("bash",), allowed_tools=("bash",)
        )
        child = await stage.runtime.open_session(order)
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, prompt(script(run("true"), {"say": "Could."})))
            await heard.answered(child)
        calls = [c.tool for m in (await stage.runtime.transcript(child)).answers for c in m.tools]
        assert calls == ["bash"]
