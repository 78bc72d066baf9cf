"""What every ``AgentRuntime`` does."""

from __future__ import annotations

import pytest

from background_agents.domain.errors import MessagesUndone, RuntimeRefused, RuntimeUnreachable
from background_agents.domain.transcript import Verdict
from background_agents.ports import runtime as port
from background_agents.testing.contracts.asking import AskingContract
from background_agents.testing.contracts.stage import (
    AGENT,
    OTHER_AGENT,
    Heard,
    Stage,
    listening,
    new_child,
    prompt,
    running,
)
from background_agents.testing.scripts import script

WORD = "word "

HANGING = {"say": WORD, "gate": "never opened"}
"""Begins to answer, and does not go on."""

ENDLESS = {"say": WORD, "repeat": 10_000, "every_ms": 5}
"""Streams for longer than any test."""


LOOK: dict[str, object] = {
    "call": "bash",
    "args": {"command": "true", "description": "Does nothing"},
}


def with_rules(stage: Stage) -> None:
    """Skip what is proved of the host where sessions have no rules."""
    if not stage.ways.has_rules:
        pytest.skip("sessions have no rules there; the host hides what they are denied")


class AgentRuntimeContract(AskingContract):
    """Subclass, name it ``Test...``, and give a fixture ``stage``.

    All tests run on one event loop per module, so that stages may share what is slow.
    """

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    # --- agents and sessions -----------------------------------------------------

    async def test_agents_are_known_and_those_for_internal_use_are_marked(
        self, stage: Stage
    ) -> None:
        agents = {agent.name: agent for agent in await stage.runtime.agents()}
        assert agents["build"].delegable
        assert agents["plan"].delegable
        assert not agents["title"].delegable
        refreshed = await stage.runtime.agents(refresh=True)
        assert {agent.name for agent in refreshed} == set(agents)

    async def test_lineage_leads_from_a_session_to_its_root(self, stage: Stage) -> None:
        root = await stage.new_session()
        child = await stage.runtime.open_session(port.SessionOrder(parent=root, title="A child"))
        below = await stage.runtime.open_session(port.SessionOrder(parent=child, title="Below"))
        assert await stage.runtime.lineage(below) == (below, child, root)
        assert await stage.runtime.lineage(root) == (root,)

    async def test_a_session_without_a_parent_is_a_root(self, stage: Stage) -> None:
        """What nobody's conversation asked for gets one as its supervisor."""
        root = await stage.runtime.open_session(port.SessionOrder(parent=None, title="A root"))
        assert await stage.runtime.lineage(root) == (root,)
        state = await stage.runtime.state(root)
        assert (state.exists, state.busy) == (True, False)
        child = await stage.runtime.open_session(port.SessionOrder(parent=root, title="Below"))
        assert await stage.runtime.lineage(child) == (child, root)

    async def test_the_lineage_of_an_unknown_session_is_refused(self, stage: Stage) -> None:
        with pytest.raises(RuntimeRefused, match="ses_nobody"):
            await stage.runtime.lineage("ses_nobody")

    async def test_a_new_session_exists_and_rests(self, stage: Stage) -> None:
        state = await stage.runtime.state(await new_child(stage))
        assert (state.exists, state.busy) == (True, False)

    async def test_an_unknown_session_does_not_exist(self, stage: Stage) -> None:
        assert not (await stage.runtime.state("ses_nobody")).exists

    async def test_a_session_that_does_not_exist_takes_no_prompt(self, stage: Stage) -> None:
        with pytest.raises(RuntimeRefused):
            await stage.runtime.prompt("ses_nobody", prompt("Hello."))

    # --- a run -------------------------------------------------------------------

    async def run(self, stage: Stage, *steps: dict[str, object]) -> tuple[str, Heard]:
        """Run a script in a new child to its end."""
        async with running(stage, *steps) as (child, heard):
            await heard.answered(child)
        return child, heard

    async def test_a_run_is_told_in_order(self, stage: Stage) -> None:
        child, heard = await self.run(stage, {"say": WORD, "repeat": 3, "every_ms": 1})
        mine = [event for event in heard.events if event.session == child]
        finished = next(
            index
            for index, event in enumerate(mine)
            if isinstance(event, port.MessageChanged) and event.message.finished
        )
        kinds = [type(event) for event in mine]
        assert kinds.index(port.Busy) < kinds.index(port.TextStreamed) < finished
        assert finished < kinds.index(port.Idle)

    async def test_the_transcript_is_what_was_said(self, stage: Stage) -> None:
        child, _ = await self.run(stage, {"say": "Grüße, 🦦! ", "repeat": 3})
        transcript = await stage.runtime.transcript(child)
        assert transcript.verdict is Verdict.FINISHED
        assert transcript.result == "Grüße, 🦦! " * 3
        assert await stage.runtime.transcript(child, refresh=True) == transcript

    async def test_a_released_transcript_can_be_asked_for(self, stage: Stage) -> None:
        child, _ = await self.run(stage, {"say": "Kept by the runtime."})
        stage.runtime.release(child)
        stage.runtime.release(child)
        assert (await stage.runtime.transcript(child)).result == "Kept by the runtime."

    async def test_the_same_prompt_again_changes_nothing(self, stage: Stage) -> None:
        child = await new_child(stage)
        once = prompt(script({"say": WORD, "repeat": 20, "every_ms": 5}))
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, once)
            await heard.first(child, port.TextStreamed)
            await stage.runtime.prompt(child, once)
            await heard.answered(child)
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, once)
            await heard.idle(child)
        stored = await stage.stored(child)
        assert [message.role for message in stored] == ["user", "assistant"]
        assert [len(message.parts) for message in stored if message.role == "user"] == [1]
        assert (await stage.runtime.transcript(child)).result == WORD * 20

    async def test_a_prompt_to_a_busy_session_is_taken_up_in_the_same_run(
        self, stage: Stage
    ) -> None:
        async with running(stage, {"say": WORD, "repeat": 40, "every_ms": 5}) as (child, heard):
            await heard.first(child, port.TextStreamed)
            second = prompt(script({"say": "Steered."}))
            await stage.runtime.prompt(child, second)
            await heard.until(lambda: heard.has_answer_to(second.message))
            assert heard.of(child, port.Idle) == []
            await heard.idle(child)
        assert (await stage.runtime.transcript(child)).result == "Steered."

    async def test_a_tool_is_called_and_the_run_goes_on(self, stage: Stage) -> None:
        child, _ = await self.run(stage, LOOK, {"say": "Looked."})
        transcript = await stage.runtime.transcript(child)
        assert transcript.result == "Looked."
        assert [(c.tool, c.state) for m in transcript.answers for c in m.tools] == [
            (stage.ways.shell, "completed")
        ]

    async def test_a_denied_tool_is_not_called(self, stage: Stage) -> None:
        with_rules(stage)
        child = await new_child(stage, denied=("bash",))
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, prompt(script(LOOK, {"say": "Could not."})))
            await heard.answered(child)
        transcript = await stage.runtime.transcript(child)
        assert transcript.result == "Could not."
        assert "bash" not in [call.tool for m in transcript.answers for call in m.tools]

    async def test_what_a_session_is_denied_those_below_it_are_denied(self, stage: Stage) -> None:
        with_rules(stage)
        parent = await new_child(stage, denied=("bash",))
        below = port.SessionOrder(parent=parent, title="Below")
        opened = await stage.runtime.open_session(below)
        reopened = await new_child(stage)
        await stage.runtime.reopen_session(reopened, below)
        for session in (opened, reopened):
            with listening(stage.runtime) as heard:
                await stage.runtime.prompt(session, prompt(script(LOOK, {"say": "Could not."})))
                await heard.answered(session)
            transcript = await stage.runtime.transcript(session)
            assert "bash" not in [call.tool for m in transcript.answers for call in m.tools]

    async def test_what_no_rule_forbids_may_be_run(self, stage: Stage) -> None:
        leave = await stage.runtime.leave(await stage.new_session(), AGENT, OTHER_AGENT)
        assert leave == port.Leave()
        with pytest.raises(RuntimeRefused):
            await stage.runtime.leave("ses_unknown", AGENT, OTHER_AGENT)

    async def test_the_agent_and_model_are_those_of_the_prompt(self, stage: Stage) -> None:
        child = await new_child(stage)
        asked = prompt(script({"say": "Yes."}), agent=OTHER_AGENT, model="scripted/two")
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, asked)
            await heard.answered(child)
        first = (await stage.stored(child))[0]
        assert (first.id, first.agent, first.model) == (asked.message, "plan", "scripted/two")

    # --- errors ------------------------------------------------------------------

    async def test_an_error_of_the_provider_is_told_and_stored(self, stage: Stage) -> None:
        async with running(stage, {"fail": 400, "message": "No such option."}) as (child, heard):
            await heard.changed(child, lambda message: message.error)
            await heard.idle(child)
        failed = heard.of(child, port.RunFailed)[0]
        assert "No such option." in failed.message
        assert not failed.aborted
        assert (await stage.runtime.transcript(child)).verdict is Verdict.FAILED

    async def test_a_prompt_right_after_a_failure_is_answered_once_when_it_is_sent_again(
        self, stage: Stage
    ) -> None:
        """While a failed run is wound up a prompt is stored, and begins nothing."""
        after = prompt(script({"say": "Here I am."}))
        async with running(stage, {"fail": 400}) as (child, heard):
            await heard.idle(child)
            await stage.runtime.prompt(child, after)
            await heard.changed(child, lambda message: message.error)
            await heard.idle(child, 2)
            await stage.runtime.prompt(child, after)
            await heard.answered(child)
        transcript = await stage.runtime.transcript(child, refresh=True)
        assert [one.text for one in transcript.answers if one.finished] == ["Here I am."]
        assert [one.id for one in transcript.messages].count(after.message) == 1

    async def test_an_unknown_model_leaves_no_answer_but_the_event(self, stage: Stage) -> None:
        child = await new_child(stage)
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, prompt("Hello.", model="scripted/none"))
            await heard.idle(child)
        assert "scripted/none" in heard.of(child, port.RunFailed)[0].message
        assert (await stage.runtime.transcript(child, refresh=True)).answers == []

    async def test_an_unknown_agent_is_told_by_an_event_and_never_begins(
        self, stage: Stage
    ) -> None:
        child = await new_child(stage)
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, prompt("Hello.", agent="nobody"))
            await heard.first(child, port.RunFailed)
        assert "nobody" in heard.of(child, port.RunFailed)[0].message
        assert heard.of(child, port.Busy) == []
        assert not (await stage.runtime.state(child)).busy

    async def test_a_session_with_undone_messages_takes_no_prompt(self, stage: Stage) -> None:
        child, _ = await self.run(stage, {"say": "Kept."})
        before = await stage.stored(child)
        with listening(stage.runtime) as heard:
            await stage.user_undoes(child, before[0].id)
            await heard.first(child, port.UndoChanged)
            assert (await stage.runtime.state(child)).undone
            with pytest.raises(MessagesUndone, match=child):
                await stage.runtime.prompt(child, prompt("Go on."))
            await stage.user_redoes(child)
            await heard.until(lambda: not heard.of(child, port.UndoChanged)[-1].undone)
        assert not (await stage.runtime.state(child)).undone
        assert await stage.stored(child) == before

    # --- endings from outside ----------------------------------------------------

    async def test_an_aborted_run_keeps_what_was_streamed(self, stage: Stage) -> None:
        async with running(stage, ENDLESS) as (child, heard):
            await heard.until(lambda: len(heard.of(child, port.TextStreamed)) > 20)
            before = (await stage.runtime.transcript(child)).everything
            await stage.runtime.abort(child)
            await heard.aborted(child)
            await heard.idle(child, stage.ways.idles)
        assert heard.of(child, port.RunFailed)[0].aborted
        after = await stage.runtime.transcript(child)
        assert after.verdict is Verdict.ABORTED
        assert after.everything.startswith(before)
        assert after.everything.replace(WORD, "") == ""
        assert await stage.runtime.transcript(child, refresh=True) == after
        assert not (await stage.runtime.state(child)).busy

    async def test_what_is_being_written_is_known_until_it_is_finished(self, stage: Stage) -> None:
        assert stage.runtime.being_written(await new_child(stage)) is None
        async with running(stage, {"say": WORD, "repeat": 40, "every_ms": 5}) as (child, heard):
            await heard.until(lambda: len(heard.of(child, port.TextStreamed)) > 5)
            writing = stage.runtime.being_written(child)
            assert writing is not None
            assert (WORD * 40).startswith(writing.text)
            assert len(writing.text) >= 4 * len(WORD)
            await heard.answered(child)
        assert stage.runtime.being_written(child) is None

    async def test_what_was_streamed_is_there_at_once_after_an_abort(self, stage: Stage) -> None:
        async with running(stage, ENDLESS) as (child, heard):
            await heard.until(lambda: len(heard.of(child, port.TextStreamed)) > 20)
            await stage.runtime.abort(child)
            await heard.idle(child)
            at_once = (await stage.runtime.transcript(child)).everything
            await heard.aborted(child)
        assert at_once == (await stage.runtime.transcript(child)).everything

    async def test_a_hanging_run_is_busy_until_it_is_aborted(self, stage: Stage) -> None:
        async with running(stage, HANGING) as (child, heard):
            await heard.until(lambda: heard.works(child))
            assert (await stage.runtime.state(child)).busy
            await stage.runtime.abort(child)
            await heard.aborted(child)
        assert not (await stage.runtime.state(child)).busy

    async def test_aborting_what_rests_or_is_unknown_does_no_harm(self, stage: Stage) -> None:
        child, _ = await self.run(stage, {"say": "Done already."})
        await stage.runtime.abort(child)
        await stage.runtime.abort("ses_nobody")
        assert (await stage.runtime.transcript(child)).verdict is Verdict.FINISHED

    async def test_a_deleted_session_is_told_and_gone(self, stage: Stage) -> None:
        async with running(stage, ENDLESS) as (child, heard):
            await heard.until(lambda: len(heard.of(child, port.TextStreamed)) > 5)
            await stage.delete_session(child)
            await heard.first(child, port.SessionDeleted)
        assert not (await stage.runtime.state(child)).exists
        assert WORD in (await stage.runtime.transcript(child)).everything
        with pytest.raises(RuntimeRefused):
            await stage.runtime.transcript(child, refresh=True)

    # --- the connection ----------------------------------------------------------

    async def test_what_was_missed_is_found_after_a_break(self, stage: Stage) -> None:
        async with running(stage, {"say": WORD, "repeat": 60, "every_ms": 5}) as (child, heard):
            await heard.until(lambda: len(heard.of(child, port.TextStreamed)) > 2)
            async with stage.broken():
                pass
            await heard.first("", port.StreamRestored)
            if (await stage.runtime.state(child)).busy:
                await heard.idle(child)
        transcript = await stage.runtime.transcript(child, refresh=True)
        assert transcript.verdict is Verdict.FINISHED
        assert transcript.result == WORD * 60

    async def test_a_runtime_that_begins_anew_tells_so_and_has_ended_what_ran(
        self, stage: Stage
    ) -> None:
        async with running(stage, HANGING) as (child, heard):
            await heard.until(lambda: heard.works(child))
            await stage.begin_anew()
            await heard.first("", port.StreamRestored)
            assert not (await stage.runtime.state(child)).busy
            again = prompt(script({"say": "Again."}))
            await stage.runtime.prompt(child, again)
            await heard.until(lambda: heard.has_answer_to(again.message, finished=True))

    async def test_without_an_answer_every_question_says_so(self, stage: Stage) -> None:
        child = await new_child(stage)
        async with stage.unreachable() as runtime:
            with pytest.raises(RuntimeUnreachable):
                await runtime.agents(refresh=True)
            with pytest.raises(RuntimeUnreachable):
                await runtime.state(child)
            with pytest.raises(RuntimeUnreachable):
                await runtime.prompt(child, prompt("Hello."))
            with pytest.raises(RuntimeUnreachable):
                await runtime.abort(child)

    async def test_whoever_no_longer_listens_hears_nothing(self, stage: Stage) -> None:
        with listening(stage.runtime) as gone:
            pass
        await self.run(stage, {"say": "Nobody hears."})
        assert gone.events == []
