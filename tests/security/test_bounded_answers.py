"""What a model is told has a bound, however many delegations there are and whatever they wrote."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace
from toolbox import Toolbox

from background_agents.domain.asking import ASKED_CHARS, Ask, Question
from background_agents.domain.delegation import Delegation
from background_agents.domain.delegation import replay as replayed
from background_agents.domain.events import SteerSent, Usage
from background_agents.domain.status import Status
from background_agents.domain.transcript import Message, ToolCall, Transcript
from background_agents.ports.runtime import Retrying
from background_agents.ports.storage import Line
from background_agents.testing.contracts.samples import (
    NOON,
    at,
    finished,
    launched,
    notice,
    registered,
)
from background_agents.testing.scripts import script
from background_agents.views import live, notices
from background_agents.views import model as for_model

WORDS = "A long word and <b>markup</b> & \x1b[31mcolour\u202e.\n"

LONG = WORDS * 20_000
"""A megabyte of what an agent may write where a few words are expected."""

MANY = 300


def running(**changes: object) -> Delegation:
    """Return a delegation that runs."""
    return replace(replayed(registered(), [launched()]), **changes)


def looked_at(delegation: Delegation, *messages: Message) -> live.Live:
    """Return a running delegation as a status sees it."""
    return live.Live(
        delegation=delegation,
        transcript=Transcript(messages),
        time_left=timedelta(minutes=1),
        place=None,
        heard_at=NOON,
        retry=Retrying("ses_child", 3, LONG, at(60)),
        now=at(90),
    )


async def test_a_status_of_hundreds_is_bounded(tools: Toolbox) -> None:
    """It names as many as fit, and says how many more there are."""
    for _ in range(MANY):
        await tools.running(tools.ours)
    told = (await tools.call(tools.ours, "delegation_status")).output
    assert len(told) <= live.STATUS_CHARS
    assert f"… and {MANY - told.count('[')} more" in told
    listed = (await tools.call(tools.ours, "delegation_list")).output
    assert len(listed) <= for_model.LIST_CHARS
    assert f"{MANY} delegations" in listed


async def test_what_a_child_writes_never_floods_its_supervisor(tools: Toolbox) -> None:
    """A result of a megabyte: list, status, notice and a page are as short as ever."""
    name = await tools.ended(tools.ours, WORDS, repeat=20_000)
    ((sent,),) = tools.channel.delivered(tools.ours)
    assert len(sent) < 4_000
    assert len((await tools.call(tools.ours, "delegation_status")).output) < 1_000
    assert len((await tools.call(tools.ours, "delegation_list")).output) < 1_000
    page = (await tools.call(tools.ours, "delegation_read", id=name)).output
    assert len(page.encode()) <= 51_200
    assert page.count("\n") < 2_000


async def test_what_a_model_delegates_is_not_repeated_to_it(tools: Toolbox) -> None:
    """A prompt of a megabyte costs the supervisor no second one."""
    prompt = f"{LONG[:900_000]}\n{script({'hang': True})}"
    answer = await tools.call(tools.ours, "delegate", prompt=prompt, agent="build")
    assert len(answer.output) + len(answer.title) < 500
    name = str(answer.metadata["id"])
    peeked = await tools.call(tools.ours, "delegation_peek", id=name)
    assert len(peeked.output) < 1_000


def test_a_peek_is_bounded_whatever_the_transcript_holds() -> None:
    """Megabytes of text, a thousand tool calls, a thousand instructions."""
    calls = (ToolCall(LONG, "completed", LONG),) * 1_000
    steers = [SteerSent(at=at(2), steer=f"msg_{number}", text=LONG) for number in range(1_000)]
    delegation = replayed(registered(), [launched(), *steers])
    told = live.peek(
        looked_at(delegation, Message(id="m", role="assistant", text=LONG, tools=calls))
    )
    assert len(told) <= live.PEEK_CHARS + 1_000
    assert "\x1b" not in told.partition("\n\n")[0]


def test_a_line_of_a_status_is_bounded() -> None:
    """Title, model, agent, the provider's words and the last activity, each of a megabyte."""
    hostile = running(title=LONG, agent=LONG, model=f"x/{LONG}")
    for newest in (
        Message(id="m", role="assistant", text=LONG),
        Message(id="m", role="assistant", tools=(ToolCall(LONG, "running", LONG),)),
    ):
        told = live.status(live.StatusReport([looked_at(hostile, newest)], (), NOON))
        assert len(told) < 1_500
        assert len(told.splitlines()) == 1


def test_what_is_asked_is_bounded() -> None:
    """Commands of a megabyte, and questions with options of a megabyte each."""
    question = Question(LONG, (LONG,) * 5)
    for ask in (
        Ask(id="p", session="s", permission=LONG, patterns=(LONG,) * 5),
        Ask(id="q", session="s", questions=(question,) * 5),
    ):
        assert len(ask.text) <= ASKED_CHARS
        assert len(for_model.how_to_answer(ask)) < 200
        assert len(for_model.answered(for_model.Answered(running(), ask))) < 2 * ASKED_CHARS


def test_short_answers_are_short() -> None:
    """What is said of one delegation does not grow with what it wrote."""
    hostile = replace(finished(), title=LONG, summary=LONG, error=LONG, agent=LONG)
    stopped = replace(hostile, status=Status.STOPPED)
    for told in (
        for_model.delegated(hostile),
        for_model.steered(hostile),
        for_model.stopped(stopped),
        for_model.ended(hostile),
        for_model.notified(hostile),
        for_model.notified(replace(hostile, kept=(LONG,))),
        for_model.reading(for_model.Reading(running(title=LONG), None, 0, Path("/x.md"), at(9))),
    ):
        assert len(told) < 500
        assert len(told.splitlines()) == 1


def test_a_list_line_is_one_line() -> None:
    """Titles and summaries are flattened and cut."""
    row = Line(
        id="brave-amber-otter",
        title=LONG,
        agent="build",
        status=Status.COMPLETED,
        summary=LONG,
        registered_at=NOON,
        ended_at=NOON,
        read_at=None,
    )
    told = for_model.line(row, at(5))
    assert len(told) < 400
    assert told.isprintable()


def test_numbers_cannot_break_a_status() -> None:
    """Tokens and costs of any size are shown in a line."""
    usage = Usage(input_tokens=10**12, cost_usd=1e12)
    told = live.status(
        live.StatusReport(
            [looked_at(running(), Message(id="m", role="assistant", usage=usage))], (), NOON
        )
    )
    assert len(told) < 500


def test_a_notice_of_a_megabyte_is_bounded() -> None:
    """Every field of it at once; see test_fuzz_notices for what else must hold."""
    hostile = replace(notice("prt_1"), title=LONG, summary=LONG, error=LONG, words=LONG)
    assert len(notices.text(hostile, 1_000)) < 4_500
