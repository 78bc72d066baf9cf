"""However OpenCode 2's events come, live or from a log, the same messages come of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from background_agents.adapters.opencode.v2 import wire
from background_agents.adapters.opencode.v2.events import EventReader
from background_agents.adapters.opencode.v2.fold import SessionFold
from background_agents.adapters.opencode.v2.kinds import decoded
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import MessageChanged, RuntimeEvent

SESSION = "ses_child"

MODEL = {"id": "one", "providerID": "scripted", "variant": "default"}
TOKENS = {"input": 10, "output": 5, "reasoning": 1, "cache": {"read": 2, "write": 3}}


def log(*entries: tuple[str, dict[str, object]]) -> list[wire.Event]:
    """Return events as a session's log has them, numbered from 1."""
    return [
        wire.Event(
            f"session.{kind}",
            created=1_795_769_750_000 + number,
            durable=wire.Durable(number),
            data=msgspec.Raw(msgspec.json.encode({"sessionID": SESSION, **data})),
        )
        for number, (kind, data) in enumerate(entries, 1)
    ]


def said(message: str, text: str) -> list[tuple[str, dict[str, object]]]:
    """Return how an input is stored and taken up."""
    whose: dict[str, object] = {"inputID": message}
    stored = {**whose, "input": {"type": "user", "data": {"text": text}, "delivery": "steer"}}
    return [("input.admitted", stored), ("input.promoted", whose)]


def step(
    message: str, *inner: tuple[str, dict[str, object]], finish: str = "stop"
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield what is told of a step."""
    whose: dict[str, object] = {"assistantMessageID": message}
    yield "step.started", {**whose, "agent": "build", "model": MODEL}
    for kind, data in inner:
        yield kind, {**whose, **data}
    yield "step.ended", {**whose, "finish": finish, "cost": 0.5, "tokens": TOKENS}


CALLED: tuple[tuple[str, dict[str, object]], ...] = (
    ("tool.input.started", {"callID": "call_1", "name": "shell"}),
    ("tool.called", {"callID": "call_1", "input": {"command": "false"}, "executed": False}),
    ("tool.success", {"callID": "call_1", "content": [], "metadata": {"exit": 1}}),
)
WRITTEN: tuple[tuple[str, dict[str, object]], ...] = (
    ("text.started", {"ordinal": 0}),
    ("text.ended", {"ordinal": 0, "text": "It is done."}),
)
AGAIN: dict[str, object] = {"attempt": 2, "at": 1, "error": {"message": "Overloaded."}}

RUN = log(
    *said("msg_9", "Do it."),
    *step("msg_1", *CALLED, finish="tool-calls"),
    # An id says nothing of the place: it was minted long before it was taken up.
    *said("msg_0", "Do it well."),
    ("step.started", {"assistantMessageID": "msg_2", "agent": "build", "model": MODEL}),
    ("retry.scheduled", {"assistantMessageID": "msg_2", **AGAIN}),
    *step("msg_2", *WRITTEN),
    ("execution.succeeded", {}),
)


def folded(events: list[wire.Event]) -> Transcript:
    fold = SessionFold(SESSION)
    for event in events:
        fold.hear(event, decoded(event))
    return fold.messages.transcript()


def test_a_run_is_what_its_events_tell() -> None:
    transcript = folded(RUN)
    assert [one.id for one in transcript.messages] == ["msg_9", "msg_1", "msg_0", "msg_2"]
    assert [one.answers for one in transcript.answers] == ["msg_9", "msg_0"]
    (call,) = transcript.answers[0].tools
    assert (call.tool, call.state, call.title, call.failure) == (
        *("shell", "completed", "false"),
        "exit code 1",
    )
    assert transcript.verdict is Verdict.FINISHED
    assert transcript.result == "It is done."
    assert transcript.models == ("scripted/one",)
    assert (transcript.usage.cost_usd, transcript.usage.input_tokens) == (1.0, 20)


@given(st.lists(st.sampled_from(["live", "lost", "ask", "read"]), max_size=60))
def test_what_was_missed_comes_from_the_log(happens: list[str]) -> None:
    """Also where a reading of it and live events, or breaks, overtake each other."""
    asyncio.run(missing(happens))


async def missing(happens: list[str]) -> None:
    log = Log(RUN)
    fold = SessionFold(SESSION)
    asked: list[asyncio.Task[None]] = []
    for what in (*happens, *["live"] * len(RUN)):
        match what:
            case "ask":
                asked.append(asyncio.create_task(fold.catch_up(log.after)))
            case "read":
                log.answer()
            case _ if log.told < len(RUN):
                event = log.grow()
                if what == "lost":
                    fold.lost()
                else:
                    fold.hear(event, decoded(event))
        await asyncio.sleep(0)
    log.answer()
    await asyncio.gather(*asked)
    assert fold.seen <= len(RUN)
    log.answers_at_once = True
    await fold.catch_up(log.after)
    assert fold.messages.transcript() == folded(RUN)
    assert fold.seen == len(RUN)


class Log:
    """A session's log, which grows, and is answered with as it was when it was asked for."""

    def __init__(self, events: list[wire.Event]) -> None:
        self.told = 0
        self.answers_at_once = False
        self._events = events
        self._answered = asyncio.Event()

    def grow(self) -> wire.Event:
        """Return the event that it has got."""
        self.told += 1
        return self._events[self.told - 1]

    def answer(self) -> None:
        """Answer all who have asked."""
        self._answered.set()
        self._answered = asyncio.Event()

    async def after(self, number: int) -> list[wire.Event]:
        found = [*self._events[number : self.told], wire.Event("log.synced", seq=self.told)]
        if not self.answers_at_once:
            await self._answered.wait()
        return found


def test_of_sessions_that_nobody_follows_it_is_known_whom_the_newest_answers() -> None:
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    for event in RUN:
        reader.read(event.type, msgspec.Raw(msgspec.json.encode(event)))
    messages = [event.message for event in heard if isinstance(event, MessageChanged)]
    assert (messages[-1].answers, messages[-1].finished) == ("msg_0", True)
    assert not any(message.text for message in messages)


def test_what_is_undone_for_good_is_gone() -> None:
    fold = SessionFold(SESSION)
    for event in [*RUN, *log(*[("revert.committed", {"to": "msg_0"})] * 30)[len(RUN) :]]:
        fold.hear(event, decoded(event))
    assert [one.id for one in fold.messages.transcript().messages] == ["msg_9", "msg_1"]


def test_names_of_released_versions_are_read_as_well() -> None:
    item = {"type": "user", "payload": {"text": "Do it."}, "delivery": "steer"}
    events = log(
        ("inbox.enqueued", {"inboxID": "msg_1", "item": item}),
        ("inbox.delivered", {"inboxID": "msg_1"}),
    )
    (message,) = folded(events).messages
    assert (message.id, message.role, message.text) == ("msg_1", "user", "Do it.")


def test_equal_calls_are_known_by_their_fingerprint() -> None:
    """Live, where our plugin has made it of what it cut, and from the log, where all is whole."""

    def fingerprint(command: str, answer: str, whole: bool) -> str:
        given, came = {"command": command}, [{"type": "text", "text": answer}]
        names = ({}, {}) if whole else tuple({"fingerprint": _named(one)} for one in (given, came))
        events = log(
            *said("msg_1", "Do it."),
            *step(
                "msg_2",
                ("tool.input.started", {"callID": "call_1", "name": "shell"}),
                ("tool.called", {"callID": "call_1", "input": given, **names[0]}),
                ("tool.success", {"callID": "call_1", "content": came, **names[1]}),
            ),
        )
        return folded(events).messages[1].tools[0].fingerprint

    first = fingerprint("ls", "a ☂", whole=True)
    assert len(first) > 0
    assert fingerprint("ls", "a ☂", whole=False) == first
    others = {fingerprint("ls -l", "a ☂", whole=True), fingerprint("ls", "b", whole=True)}
    assert len(others | {first}) == 3


def _named(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()[:16]


def test_what_nobody_follows_tells_what_it_uses_all_the_same() -> None:
    """Of a session below a background agent's, whose words nobody keeps."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    for event in log(*said("msg_1", "Do it."), *step("msg_2", *CALLED)):
        reader.read(event.type, msgspec.Raw(msgspec.json.encode(event)))
    told = [one.message for one in heard if isinstance(one, MessageChanged)]
    assert (told[-1].id, told[-1].text, told[-1].tools) == ("msg_2", "", ())
    assert told[-1].used.counted_tokens == 10 + 5 + 1 + 3
    assert (told[-1].used.cost_usd, told[-1].used.turns) == (0.5, 1)
