"""Very much of something, or something very deep: bounded answers, and nothing that breaks."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from bridged import service_in
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from toolbox import Toolbox

from background_agents.adapters.opencode.live import HEAD_CHARS, LiveText
from background_agents.adapters.opencode.v1.events import EventReader
from background_agents.adapters.opencode.wire import ERROR_CHARS
from background_agents.config import AnswerRule
from background_agents.domain import events as ev
from background_agents.domain.asking import ASKED_CHARS, Ask, Question
from background_agents.domain.delegation import replay
from background_agents.domain.errors import InvalidRequest, NotReadOnly, UnknownAgent
from background_agents.domain.status import Status
from background_agents.domain.text import one_line
from background_agents.domain.transcript import Transcript
from background_agents.ports.runtime import Idle, RunFailed, RuntimeEvent
from background_agents.ports.storage import Line
from background_agents.rpc.connection import Connection
from background_agents.service.delivery import outbox
from background_agents.service.running.answer_rules import decide
from background_agents.service.running.streamed import KEPT_CHARS, Streamed
from background_agents.testing.contracts.samples import (
    NOON,
    at,
    finished,
    launched,
    notice,
    registered,
)
from background_agents.views import errors, live, notices
from background_agents.views import model as for_model
from background_agents.views.model import Waited

LONG = "A long word. " * 100_000

DEEP = b"[" * 5_000 + b"]" * 5_000
"""Within every limit of size; five times as deep as Python likes."""


# --- answers -----------------------------------------------------------------------


def test_a_wait_for_a_thousand_is_answered_in_bounds() -> None:
    """What has ended or asks comes first, and the rest is counted."""
    runs = [replay(registered(f"brave-amber-otter-{n}"), [launched()]) for n in range(1_000)]
    runs[700] = replace(finished(), id="the-ended-one")
    waited = Waited(runs, (), timedelta(seconds=60), at(90))
    told = for_model.waited(waited)
    assert len(told) <= for_model.WAIT_CHARS + 200
    assert told.startswith("- the-ended-one")
    assert "more; delegation_list() names them." in told
    assert "You are notified when the rest ends" in told


@pytest.mark.parametrize("refusal", [UnknownAgent, NotReadOnly])
def test_a_choice_of_a_thousand_agents_is_cut(refusal: type[UnknownAgent | NotReadOnly]) -> None:
    """Fifty names are choice enough, and a name is no text."""
    told = errors.for_model(refusal("nobody", [f"{LONG}{number}" for number in range(1_000)]))
    assert len(told) < 4_000
    assert "and 950 more" in told


def test_a_delegation_that_asks_a_thousand_things_is_shown_in_bounds() -> None:
    """In a status and a peek: the oldest, which are answered first, and how many follow."""
    asks = [
        Ask(id=f"per_{n}", session="s", permission="bash", patterns=(LONG,)) for n in range(999)
    ]
    asked = [ev.InputRequested(at=at(2), ask=ask) for ask in asks]
    delegation = replay(registered(), [launched(), *asked])
    look = live.Live(delegation, Transcript(), None, None, None, None, at(9))
    for told in (live.status(live.StatusReport([look], (), at(9))), live.peek(look)):
        assert len(told) < live.PEEK_CHARS
        assert "… and for 995 more answers" in told


async def test_a_hundred_notices_travel_in_several_messages(tools: Toolbox) -> None:
    """A supervisor that was out of reach is told everything once, but not all in one breath."""
    tools.channel.hold()
    count = 2 * outbox.MOST_PER_MESSAGE + 10
    for _ in range(count):
        await tools.call(tools.ours, "delegate", prompt="Go.", agent="build")
    await tools.all_ended(tools.ours)
    tools.channel.let_go()
    await tools.channel.changes.until(
        lambda: sum(map(len, tools.channel.delivered(tools.ours))) >= count
    )
    messages = tools.channel.delivered(tools.ours)
    assert max(map(len, messages)) <= outbox.MOST_PER_MESSAGE
    told = [text for parts in messages for text in parts]
    assert len(set(told)) == len(told) == count


def test_an_agents_name_is_no_text() -> None:
    """In a list and in a toast, whoever named it."""
    row = Line(
        id="brave-amber-otter",
        title="A title",
        agent=LONG + "\n",
        status=Status.COMPLETED,
        summary="",
        registered_at=NOON,
        ended_at=NOON,
        read_at=None,
    )
    assert len(for_model.line(row, at(5))) < 200
    _, told, _ = notices.toast([replace(notice("prt_1"), agent=LONG + "\n")])
    assert len(told) < 300
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("tool", "args", "why"),
    [
        ("delegation_answer", {"id": "brave-amber-otter", "reply": LONG}, "is the most"),
        ("delegation_wait", {"ids": ["brave-amber-otter"] * 1_001}, "is the most"),
        ("delegation_read", {"id": "brave-amber-otter", "offset": -(10**4000)}, "offset is -1"),
        ("delegation_" + "x" * 10_000, {}, "There is no tool"),
    ],
    ids=["reply", "ids", "offset", "tool"],
)
async def test_very_long_arguments_are_refused_in_a_sentence(
    tools: Toolbox, tool: str, args: dict[str, object], why: str
) -> None:
    """Nothing is done with them."""
    with pytest.raises(InvalidRequest, match=why) as refused:
        await tools.call(tools.ours, tool, **args)
    assert len(errors.for_model(refused.value)) < 300


def test_what_is_asked_is_shown_without_reading_all_of_it() -> None:
    """A status looks at it each time; a hundred questions of megabytes take no time."""
    question = Question(LONG, (LONG,) * 100)
    begun = time.perf_counter()
    for ask in (
        Ask(id="p", session="s", permission=LONG, patterns=(LONG,) * 1_000),
        Ask(id="q", session="s", questions=(question,) * 100),
    ):
        assert len(ask.text) <= ASKED_CHARS
    assert time.perf_counter() - begun < 0.5


def test_an_endless_text_does_not_fill_the_database() -> None:
    """Its beginning is kept, which stays where it was when the runtime gives up the middle."""
    assert KEPT_CHARS <= HEAD_CHARS
    streamed, growing, kept = Streamed("brave-amber-otter"), LiveText(), ""
    for number in range(100):
        growing.append(f"{number:09}." * 10_000)
        piece = streamed.grown_to("msg_1", str(growing))
        if piece is not None:
            assert piece.start == len(kept)
            kept += piece.text
    assert kept == "".join(f"{number:09}." * 10_000 for number in range(100))[:KEPT_CHARS]


# --- what cannot be seen -------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["\U000e0041", "\u061c", "\u180e", "\u206a", "\ufff9", "\xad"])
def test_words_that_no_human_sees_reach_no_model(hidden: str) -> None:
    """Tag characters can spell whole instructions between visible letters."""
    assert one_line(f"a{hidden}{hidden}b", 70) == "a b"


# --- input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": 1, "method": "tool", "params": ' + DEEP + b"}",
        b'{"unknown": ' + DEEP + b"}",
        b'{"method": "\xff"}',
        b'{"error": {"code": 1, "message": "\xc3("}}',
    ],
    ids=["deep params", "deep member", "no UTF-8 in a method", "no UTF-8 in an error"],
)
def test_a_frame_that_cannot_be_decoded_is_answered(line: bytes) -> None:
    """The connection goes on; an exception here would end the service of all projects."""
    sent: list[bytes] = []
    connection = Connection(sent.append)
    connection.feed(line + b"\n")
    (answer,) = sent
    assert msgspec.json.decode(answer)["error"]["code"] == -32700


def test_the_service_outlives_what_a_model_nests(tmp_path: Path) -> None:
    """Arguments of any tool travel in events and calls; a model may nest them at will."""
    with service_in(tmp_path) as service:
        service.attach()
        for method in ("event", "tool"):
            params = b'{"instance": 1, "type": "x", "properties": ' + DEEP + b"}"
            service.send_raw(b'{"method": "%s", "params": %s}\n' % (method.encode(), params))
        assert service.tool("delegation_list").startswith("Nothing has been delegated")


@fuzzed
@given(kind=st.sampled_from(sorted(EventReader(lambda _: None)._readers)), raw=st.binary())
@example("session.idle", DEEP)
@example("session.idle", b'{"sessionID": "\xff"}')
@example("message.part.delta", b'{"x": ' + DEEP + b"}")
@example("session.status", b'{"sessionID": "s", "status": {"type": "retry", "next": 1e300}}')
@example("session.status", b'{"sessionID": "s", "status": {"type": "retry", "next": -1e17}}')
def test_an_event_of_any_bytes_is_skipped(kind: str, raw: bytes) -> None:
    """The reader goes on with the next one."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    reader.read(kind, msgspec.Raw(raw))
    reader.read("session.idle", msgspec.Raw(b'{"sessionID": "ses_child"}'))
    assert heard[-1] == Idle("ses_child")


def test_an_error_of_a_megabyte_is_cut() -> None:
    """Before it is stored with the ending."""
    heard: list[RuntimeEvent] = []
    about = {"sessionID": "s", "error": {"name": "APIError", "data": {"message": LONG}}}
    EventReader(heard.append).read("session.error", msgspec.Raw(msgspec.json.encode(about)))
    assert heard == [RunFailed("s", LONG[:ERROR_CHARS], False)]


# --- rules of the configuration --------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("rm *", "rm -rf /", True),
        ("rm *", "echo rm ", False),
        ("*rm*-rf*", "sudo rm x -rf", True),
        ("*a*ab", "aab", True),
        ("*a*ab", "ab", False),
        ("*ab*b", "abab", True),
        ("a?c*", "abc", True),
        ("**", "", True),
        ("", "", True),
        ("", "x", False),
        ("a.c", "abc", False),
        ("*\n*", "one\ntwo", True),
    ],
)
def test_wildcards_mean_what_they_did(pattern: str, text: str, fits: bool) -> None:
    """``*`` is any text and ``?`` any character; all else stands for itself."""
    rules = [AnswerRule("allow", "bash", pattern)]
    ask = Ask(id="p", session="s", permission="bash", patterns=(text,))
    assert (decide(rules, "build", ask) is not None) is fits


def test_no_command_makes_a_rule_slow() -> None:
    """An agent chooses the command, and could hang the service by one that almost fits."""
    rules = [AnswerRule("deny", "bash", "*rm*-r*-f*/*")]
    ask = Ask(id="p", session="s", permission="bash", patterns=("rm-r-f" * 50_000,))
    begun = time.perf_counter()
    assert decide(rules, "build", ask) is None
    assert time.perf_counter() - begun < 1
