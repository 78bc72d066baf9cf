"""The adapter of OpenCode 2: what its line alone has; over the bridge it passes the suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio

from background_agents.adapters.opencode.transport import Transport
from background_agents.domain.asking import REJECT, Ask, Reply
from background_agents.domain.errors import NotAsked, RuntimeRefused
from background_agents.domain.transcript import Verdict
from background_agents.ports.runtime import (
    Busy,
    Idle,
    InputAsked,
    InputSettled,
    MessageChanged,
    Retrying,
    RunFailed,
    SessionOrder,
    StreamRestored,
    TextStreamed,
)
from background_agents.ports.supervisor import OutgoingMessage
from background_agents.testing.contracts import AgentRuntimeContract
from background_agents.testing.contracts.asking import ONCE, asking, run
from background_agents.testing.contracts.runtime import ENDLESS
from background_agents.testing.contracts.stage import (
    Heard,
    listening,
    mint,
    new_child,
    prompt,
    running,
)
from background_agents.testing.scripts import script
from lab.harness.client.events import Seen
from lab.harness.client.two import ClientTwo
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.stage_two import ASKING, CONFIG, OpenCode2Stage
from lab.harness.tcp import Wire
from lab.harness.transport_http import HttpTransport
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="OpenCode 1 has another adapter"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer(dialect=dialect(Line.TWO)) as model:
        yield model


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, model: ModelServer
) -> AsyncIterator[OpenCode]:
    """One OpenCode 2 for all tests here, without our plugin."""
    root = tmp_path_factory.mktemp("two") / "open code"
    async with running_opencode(
        root, model.base_url, Line.TWO, plugin=False, config=CONFIG
    ) as server:
        yield server


def transport_to(wire: Wire, served: OpenCode) -> HttpTransport:
    return HttpTransport(
        wire.base_url, str(served.home.project), Line.TWO, password=served.password
    )


@asynccontextmanager
async def silence(served: OpenCode) -> AsyncIterator[Transport]:
    """Give a transport whose OpenCode has gone."""
    wire = Wire(served.port)
    await wire.join()
    async with transport_to(wire, served) as transport:
        await wire.cut()
        yield transport


@pytest_asyncio.fixture(loop_scope="module")
async def stage(served: OpenCode) -> AsyncIterator[OpenCode2Stage]:
    wire, users = Wire(served.port), Wire(served.port)
    await wire.join()
    await users.join()

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        await wire.cut()
        yield
        await wire.join()

    async def anew() -> None:
        await served.kill()
        await served.start()
        wire.target = users.target = served.port

    client = ClientTwo(users.base_url, served.home.project, served.password)
    async with client, transport_to(wire, served) as transport:
        yield OpenCode2Stage(client, transport, broken, lambda: silence(served), anew)
    await wire.cut()
    await users.cut()


async def test_a_server_that_begins_anew_tells_so_and_has_ended_what_ran(
    stage: OpenCode2Stage,
) -> None:
    """Of the suite, what is not to be had over the bridge, which ends with its server."""
    suite = AgentRuntimeContract()
    await suite.test_a_runtime_that_begins_anew_tells_so_and_has_ended_what_ran(stage)


# --- what only line 2 has ----------------------------------------------------------

FIELDS: list[dict[str, object]] = [
    {"key": "name", "type": "string", "description": "Who?", "required": True, "minLength": 2},
    {"key": "count", "type": "integer", "title": "How many", "minimum": 1},
    {"key": "sure", "type": "boolean", "title": "Sure?"},
    {
        "key": "places",
        "type": "multiselect",
        "title": "Where",
        "options": [{"value": "a", "label": "Here"}, {"value": "b", "label": "There"}],
    },
    {
        "key": "why",
        "type": "string",
        "title": "Why not",
        "when": [{"key": "sure", "op": "eq", "value": False}],
    },
]


@asynccontextmanager
async def form_in(stage: OpenCode2Stage) -> AsyncIterator[tuple[Heard, str, Ask]]:
    """Open a form in a new child session, and listen."""
    child = await new_child(stage)
    with listening(stage.runtime) as heard:
        body = {"title": "Deploy", "fields": FIELDS}
        await stage.user.request("POST", f"/api/session/{child}/form", body)
        asked = await heard.first(child, InputAsked)
        yield heard, child, asked.ask


async def test_a_form_is_questions_that_are_answered_in_words(stage: OpenCode2Stage) -> None:
    async with form_in(stage) as (heard, child, ask):
        texts = [(one.text, one.options) for one in ask.questions]
        assert texts == [
            ("Who?", ()),
            ("How many (a whole number)", ()),
            ("Sure?", ("yes", "no")),
            ("Where (any of them, separated by commas)", ("Here", "There")),
            ("Why not", ()),
        ]
        assert ask.id in [one.id for one in await stage.runtime.requests()]
        answers = ("Ada", "3", "yes", "here, There", "this is not asked")
        await stage.runtime.answer(ask, Reply(answers=answers))
        settled = await heard.first(child, InputSettled)
        assert settled.reply.answers == ("Ada", "3", "yes", "Here, There", "")
        with pytest.raises(NotAsked):
            await stage.runtime.answer(ask, Reply(answers=answers))
        assert ask.id not in [one.id for one in await stage.runtime.requests()]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (("A", "3", "yes", "", ""), "too short: name"),
        (("Ada", "three", "yes", "", ""), "Expected number for form field: count"),
        (("Ada", "3", "maybe", "", ""), "Expected boolean for form field: sure"),
        (("Ada", "3", "yes", "Nowhere", ""), "Invalid option for form field: places"),
        (("", "3", "yes", "Here", ""), "name"),
    ],
)
async def test_a_bad_answer_is_refused_in_one_sentence_and_the_form_stays_open(
    stage: OpenCode2Stage, answers: tuple[str, ...], why: str
) -> None:
    async with form_in(stage) as (heard, child, ask):
        with pytest.raises(RuntimeRefused, match=why) as refused:
            await stage.runtime.answer(ask, Reply(answers=answers))
        assert "_tag" not in str(refused.value)
        assert heard.of(child, InputSettled) == []
        await stage.runtime.answer(ask, Reply(word=REJECT))
        assert (await heard.first(child, InputSettled)).reply.is_rejection


async def test_the_reason_of_a_refusal_reaches_the_model(
    stage: OpenCode2Stage, model: ModelServer
) -> None:
    """The tool tells that it could not run, and no more."""
    steps = (run("printf no"), {"say": "Without it."})
    async with asking(stage, *steps) as (heard, child, (ask,)):
        await stage.runtime.answer(ask, Reply(word=REJECT, reason="The disk is full."))
        await heard.answered(child)
        with pytest.raises(NotAsked):
            await stage.runtime.answer(ask, Reply(word=REJECT, reason="The disk is full."))
    transcript = await stage.runtime.transcript(child)
    assert (transcript.verdict, transcript.result) == (Verdict.FINISHED, "Without it.")
    spoken = [one for one in model.requests if "printf no" in one.text]
    assert "printf no was refused: The disk is full." in spoken[-1].text


async def test_a_form_that_was_shown_unheard_is_answered_all_the_same(
    stage: OpenCode2Stage,
) -> None:
    async with form_in(stage) as (heard, child, ask):
        stage.runtime.reader.forms.clear()
        await stage.runtime.answer(ask, Reply(answers=("Ada", "", "", "", "")))
        assert (await heard.first(child, InputSettled)).reply.answers[0] == "Ada"


async def test_an_interrupt_before_the_first_word_is_told_though_no_message_is(
    stage: OpenCode2Stage,
) -> None:
    async with running(stage, {"hang": True}) as (child, heard):
        await heard.first(child, Busy)
        await stage.runtime.abort(child)
        await heard.idle(child)
    assert heard.of(child, RunFailed)[0].aborted
    assert (await stage.runtime.transcript(child)).verdict is not Verdict.FINISHED
    assert not (await stage.runtime.state(child)).busy


async def test_a_run_that_is_interrupted_while_it_waits_to_try_again_is_aborted(
    stage: OpenCode2Stage,
) -> None:
    overloaded = {"fail": 529, "message": "Overloaded."}
    async with running(stage, overloaded) as (child, heard):
        retrying = await heard.first(child, Retrying)
        assert "Overloaded." in retrying.message
        assert retrying.next_at is not None
        await stage.runtime.abort(child)
        await heard.aborted(child)
    transcript = await stage.runtime.transcript(child)
    assert transcript.verdict is Verdict.ABORTED
    assert await stage.runtime.transcript(child, refresh=True) == transcript


async def test_a_run_that_recovers_is_finished(stage: OpenCode2Stage) -> None:
    steps = ({"fail": 529, "message": "Overloaded.", "times": 1}, {"say": "At last."})
    async with running(stage, *steps) as (child, heard):
        await heard.answered(child)
    assert len(heard.of(child, Retrying)) == 1
    transcript = await stage.runtime.transcript(child)
    assert [one.text for one in transcript.answers] == ["At last."]


async def test_an_instruction_to_a_running_tool_is_taken_up_after_it(
    stage: OpenCode2Stage, served: OpenCode
) -> None:
    """Though its id is older than that of the answer which it interrupts."""
    steer = prompt(script({"say": "Steered."}))
    wait = {"call": "bash", "args": {"command": "until [ -e go ]; do sleep 0.05; done"}}
    async with running(stage, wait, {"say": "Never said."}) as (child, heard):
        await heard.until(lambda: bool(calls_in(stage, child)))
        await stage.runtime.prompt(child, steer)
        assert not heard.has_answer_to(steer.message)
        (served.home.project / "go").touch()
        await heard.until(lambda: heard.has_answer_to(steer.message, finished=True))
        await heard.idle(child)
    (served.home.project / "go").unlink()
    transcript = await stage.runtime.transcript(child)
    assert [one.role for one in transcript.messages] == ["user", "assistant"] * 2
    assert transcript.has_answered(steer.message)
    assert await stage.runtime.transcript(child, refresh=True) == transcript


def calls_in(stage: OpenCode2Stage, child: str) -> list[str]:
    writing = stage.runtime.being_written(child)
    return [call.tool for call in writing.tools] if writing else []


async def test_a_child_keeps_the_title_that_it_was_opened_with(stage: OpenCode2Stage) -> None:
    """OpenCode names a session after its first message, once."""
    root = await stage.new_session()
    async with stage.user.events() as events:
        order = SessionOrder(parent=root, title="build · brave-amber-otter")
        child = await stage.runtime.open_session(order)
        await stage.runtime.prompt(child, prompt(script({"say": "Hello."})))
        await events.wait_for(lambda seen: named(seen, child) == "Scripted title")
        given = [named(seen, child) for seen in events.seen if named(seen, child)]
        assert given[:2] == [order.title, "Scripted title"]
        position = [named(seen, child) for seen in events.seen].index("Scripted title")
        await events.wait_for(lambda seen: named(seen, child) == order.title, since=position)
    assert (await stage.runtime.api.session(child)).title == order.title


def named(seen: Seen, session: str) -> object:
    renamed = seen.type == "session.renamed" and seen.session == session
    return seen.properties["title"] if renamed else None


async def test_a_notice_has_a_line_for_the_human(stage: OpenCode2Stage) -> None:
    session = await stage.new_session()
    message = OutgoingMessage(
        session=session,
        message=mint("msg"),
        parts=((mint("prt"), "<task-notification/>"),),
        description="brave-amber-otter has finished.",
    )
    await stage.channel.deliver(message)
    raw = await stage.user.request("GET", f"/api/session/{session}/pending")
    (waiting,) = msgspec.json.decode(raw)["data"]
    assert waiting["type"] == "synthetic"
    assert waiting["data"] == {
        "text": "<task-notification/>",
        "description": message.description,
    }


async def test_agents_that_opencode_runs_itself_are_below_their_session(
    stage: OpenCode2Stage,
) -> None:
    task = {
        "agent": "general",
        "description": "A task",
        "prompt": script({"say": "Below.", "gate": "never opened"}),
    }
    async with running(stage, {"call": "task", "args": task}) as (child, heard):
        await heard.until(lambda: any(one.session != child for one in heard.events))
        below = next(one.session for one in heard.events if one.session != child)
        await heard.first(below, MessageChanged)
        assert await stage.runtime.below(child) == [below]
        assert (await stage.runtime.lineage(below))[:2] == (below, child)
        await stage.runtime.abort(child)
        await heard.idle(child)
        await heard.idle(below)


async def test_after_a_break_the_log_is_read_from_its_last_number(stage: OpenCode2Stage) -> None:
    async with running(stage, {"say": "first", "gate": "go on"}, {"say": "x"}) as (child, heard):
        await heard.first(child, TextStreamed)
        await stage.runtime.transcript(child, refresh=True)
        known = stage.runtime.reader.live[child].seen
        assert known > 0
        async with stage.broken():
            await stage.user.abort(child)
        await heard.first("", StreamRestored)
        # What comes live now says nothing of what was missed.
        assert stage.runtime.reader.live[child].seen == known
        entries = await stage.runtime.api.log(child, known)
        assert min(one.number for one in entries if one.number) == known + 1
        assert heard.of(child, Idle) == []
        transcript = await stage.runtime.transcript(child, refresh=True)
        assert stage.runtime.reader.live[child].seen == entries[-1].seq > known
    assert (transcript.verdict, transcript.everything) == (Verdict.ABORTED, "first")


async def test_what_was_streamed_outlives_a_killed_opencode(
    stage: OpenCode2Stage, served: OpenCode
) -> None:
    async with running(stage, ENDLESS) as (child, heard):
        await heard.until(lambda: len(heard.of(child, TextStreamed)) > 20)
        await served.kill()
        streamed = (await stage.runtime.transcript(child)).everything
        await stage.begin_anew()
        await heard.first("", StreamRestored)
        transcript = await stage.runtime.transcript(child, refresh=True)
        assert transcript.everything == streamed != ""
        assert transcript.verdict is Verdict.GOING_ON
        assert not (await stage.runtime.state(child)).busy


async def test_a_server_that_ends_in_order_aborts_nothing(
    stage: OpenCode2Stage, served: OpenCode
) -> None:
    """Its log says that the run was interrupted, which nobody wanted."""
    async with running(stage, ENDLESS) as (child, heard):
        await heard.until(lambda: len(heard.of(child, TextStreamed)) > 20)
        await served.terminate()
        await stage.begin_anew()
        await heard.first("", StreamRestored)
        transcript = await stage.runtime.transcript(child, refresh=True)
    assert transcript.verdict is Verdict.GOING_ON
    assert "word" in transcript.everything


async def test_a_session_of_another_directory_is_reached_there(
    stage: OpenCode2Stage, served: OpenCode
) -> None:
    elsewhere = served.home.root / "another tree"
    elsewhere.mkdir()
    async with served.client(elsewhere) as client:
        await client.load()
        session = await client.create_session()
        await stage.runtime.lineage(session)
        with listening(stage.runtime) as heard:
            asking = prompt(script(run("pwd"), {"say": "Done."}), agent=ASKING)
            await stage.runtime.prompt(session, asking)
            ask = (await heard.first(session, InputAsked)).ask
            assert (await stage.runtime.state(session)).busy
            assert ask.id in [one.id for one in await stage.runtime.requests()]
            await stage.runtime.answer(ask, ONCE)
            await heard.answered(session)
    assert (await stage.runtime.transcript(session, refresh=True)).result == "Done."


async def test_the_model_of_titles_describes_a_result(
    stage: OpenCode2Stage, model: ModelServer
) -> None:
    model.title, usual = "A title\nAnd a summary.", model.title
    try:
        described = await stage.runtime.describe("Do it.", "Done.", "ses_parent")
    finally:
        model.title = usual
    assert described == ("A title", "And a summary.")
    assert model.requests[-1].model == "small"
