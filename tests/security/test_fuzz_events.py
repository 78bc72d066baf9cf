"""Whatever an event says, the reader takes it or logs that it could not, and goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st

from background_agents.adapters.opencode.live import SESSION_CHARS, LiveSession
from background_agents.adapters.opencode.v1.events import EventReader
from background_agents.ports.runtime import Idle, RuntimeEvent

CHILD = "ses_child"

KINDS = sorted(EventReader(lambda _: None)._readers)

ids = st.sampled_from([CHILD, "ses_other", "msg_1", "msg_2", "prt_1", "prt_2", ""])
words = st.text(max_size=20) | st.sampled_from(["text", "busy", "idle", "retry", "tool", "user"])
numbers = st.integers(-(2**63), 2**63) | st.floats(-1e308, 1e308)
moments = st.none() | st.integers(0, 4 * 10**12)
leaves = st.none() | st.booleans() | numbers | words


def some(**members: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Return objects that have some of the members, mostly of the right kind."""
    wrong = {name: kind | leaves for name, kind in members.items()}
    return st.fixed_dictionaries(members) | st.fixed_dictionaries({}, optional=wrong)


error = some(name=words, data=some(message=words))
tokens = some(input=numbers, output=numbers, reasoning=numbers, cache=some(read=numbers))
info = some(
    id=ids,
    sessionID=ids,
    role=st.sampled_from(["user", "assistant"]),
    parentID=ids,
    finish=words,
    error=st.none() | error,
    time=some(created=numbers, completed=moments),
    tokens=tokens,
    cost=numbers,
)
part = some(
    id=ids,
    type=st.sampled_from(["text", "tool", "reasoning", "patch"]),
    sessionID=ids,
    messageID=ids,
    text=words,
    tool=words,
    state=some(status=words, title=st.none() | words),
    time=some(end=moments),
)
status = some(type=words, attempt=st.integers(0, 99), message=words, next=moments)
questions = st.lists(some(question=words, options=st.lists(some(label=words))), max_size=3)

properties = some(
    sessionID=ids,
    messageID=ids,
    partID=ids,
    field=st.sampled_from(["text", "other"]),
    delta=words,
    info=info,
    part=part,
    status=status,
    error=error,
    id=ids,
    requestID=ids,
    permission=words,
    patterns=st.lists(words, max_size=3),
    questions=questions,
    reply=words,
    answers=st.lists(st.lists(words, max_size=2), max_size=2),
)
events = st.lists(st.tuples(st.sampled_from(KINDS) | words, properties | leaves), max_size=12)


def read(received: Sequence[tuple[str, object]]) -> tuple[EventReader, list[RuntimeEvent]]:
    """Return a reader that was given the events, and what it passed on."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    reader.live[CHILD] = LiveSession()
    for kind, about in received:
        reader.read(kind, msgspec.Raw(json.dumps(about).encode()))
    return reader, heard


NUMBERS = {
    "id": "msg_1",
    "sessionID": CHILD,
    "role": "assistant",
    "cost": 1e308,
    "tokens": {"input": 1e308, "output": -1e308, "cache": {"read": 2**63}},
}


@fuzzed
@given(events)
@example([("message.updated", {"info": {**NUMBERS, "id": name}}) for name in ("msg_1", "msg_2")])
@example([("session.idle", None), ("session.idle", []), ("session.idle", {})])
def test_no_event_breaks_the_reader(received: list[tuple[str, object]]) -> None:
    """The next sound event is heard, and what was gathered can be shown and stored."""
    reader, heard = read([*received, ("session.idle", {"sessionID": CHILD})])
    assert heard[-1] == Idle(CHILD)
    transcript = reader.live[CHILD].transcript()
    stored = msgspec.json.encode(transcript)
    assert len(stored) < SESSION_CHARS
    usage = msgspec.json.encode(transcript.usage)
    assert msgspec.json.decode(usage, type=type(transcript.usage)) == transcript.usage


WHOSE = {"sessionID": CHILD, "messageID": "msg_1"}
INFO = {"id": "msg_1", "sessionID": CHILD, "role": "assistant"}
PART = {**WHOSE, "id": "prt_1", "type": "text"}
PIECE = {**WHOSE, "partID": "prt_1", "field": "text", "delta": " more"}

WRITTEN: Sequence[tuple[str, object]] = (
    ("message.updated", {"info": INFO}),
    ("message.part.updated", {"part": {**PART, "text": "It"}}),
    ("message.part.delta", PIECE),
    ("message.part.delta", PIECE),
    ("message.part.updated", {"part": {**PART, "text": "It said something else."}}),
    ("message.updated", {"info": {**INFO, "error": {"data": {"message": "Too much."}}}}),
)
"""How a message is written; each step changes what it is."""


@fuzzed
@given(events)
@example([*WRITTEN])
@example([*WRITTEN[:3]])
@example([*WRITTEN[:5]])
@example([*WRITTEN, ("message.part.removed", PIECE)])
@example([*WRITTEN, ("message.removed", WHOSE), ("message.updated", {"info": INFO})])
def test_looking_in_between_changes_nothing(received: list[tuple[str, object]]) -> None:
    """What is remembered of messages is what would be made of them anew."""
    reader, _ = read([])
    live = reader.live[CHILD]
    for kind, about in received:
        reader.read(kind, msgspec.Raw(json.dumps(about).encode()))
        remembered = live.transcript()
        live._made.clear()
        assert live.transcript() == remembered


@fuzzed
@given(st.sampled_from(KINDS), st.binary(max_size=200).filter(lambda raw: _is_utf8(raw)))
def test_what_is_no_json_is_skipped(kind: str, raw: bytes) -> None:
    """Bytes of any kind in the place of an event's properties."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    reader.read(kind, msgspec.Raw(raw))
    reader.read("session.idle", msgspec.Raw(b'{"sessionID": "ses_child"}'))
    assert heard[-1] == Idle(CHILD)


def _is_utf8(raw: bytes) -> bool:
    return raw.decode(errors="replace").encode() == raw
