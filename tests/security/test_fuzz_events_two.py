"""Whatever an event of OpenCode 2 says, the reader takes it or logs that it could not."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st

from background_agents.adapters.opencode.live import SESSION_CHARS
from background_agents.adapters.opencode.v2 import wire
from background_agents.adapters.opencode.v2.events import EventReader
from background_agents.adapters.opencode.v2.kinds import KINDS
from background_agents.ports.runtime import Idle, RuntimeEvent

CHILD = "ses_child"

ids = st.sampled_from([CHILD, "ses_other", "msg_1", "msg_2", "per_1", "frm_1", ""])
words = st.text(max_size=20) | st.sampled_from(["user", "string", "integer", "shutdown"])
numbers = st.integers(-(2**63), 2**63) | st.floats(-1e308, 1e308)
leaves = st.none() | st.booleans() | numbers | words


def some(**members: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Return objects that have some of the members, mostly of the right kind."""
    wrong = {name: kind | leaves for name, kind in members.items()}
    return st.fixed_dictionaries(members) | st.fixed_dictionaries({}, optional=wrong)


error = some(type=words, message=words)
model = some(id=words, providerID=words, variant=words)
options = st.lists(some(value=words, label=words), max_size=3)
form_field = some(key=words, type=words, title=words, description=words, options=options)
data = some(
    sessionID=ids,
    inputID=ids,
    input=some(type=words, data=some(text=words)),
    assistantMessageID=ids,
    agent=words,
    model=model,
    ordinal=st.integers(0, 3),
    text=words,
    delta=words,
    callID=ids,
    name=words,
    metadata=some(exit=numbers, title=words),
    error=error,
    finish=st.none() | words,
    cost=numbers,
    tokens=some(input=numbers, output=numbers, cache=some(read=numbers)),
    attempt=numbers,
    at=numbers,
    reason=words,
    title=words,
    to=ids,
    revert=st.none() | some(messageID=ids),
    info=some(id=ids, parentID=ids, directory=words, location=some(directory=words)),
    id=ids,
    requestID=ids,
    action=words,
    resources=st.lists(words, max_size=3),
    reply=words,
    form=some(id=ids, sessionID=ids, title=words, fields=st.lists(form_field, max_size=3)),
    answer=st.dictionaries(words, leaves | st.lists(words, max_size=2), max_size=3),
)
event = some(created=numbers, durable=some(seq=st.integers(0, 9)), data=data | leaves)
events = st.lists(st.tuples(st.sampled_from(sorted(KINDS)) | words, event | leaves), max_size=12)

IDLE = {"type": "session.execution.succeeded", "data": {"sessionID": CHILD}}


def read(received: Sequence[tuple[str, object]]) -> tuple[EventReader, list[RuntimeEvent]]:
    """Return a reader that was given the events, and what it passed on."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    reader.follow(CHILD)
    for kind, about in received:
        whole = {**about, "type": kind} if isinstance(about, dict) else about
        reader.read(kind, msgspec.Raw(json.dumps(whole).encode()))
    return reader, heard


HUGE = {"input": 1e308, "output": -1e308, "cache": {"read": 2**63}}
ENDED = {"sessionID": CHILD, "assistantMessageID": "msg_1", "cost": 1e308, "tokens": HUGE}


@fuzzed
@given(events)
@example([("session.step.ended", {"data": ENDED}), ("session.step.ended", {"data": ENDED})])
@example([("session.execution.succeeded", None), ("session.execution.succeeded", {})])
@example([("session.tool.called", {"created": 1e308, "data": {**ENDED, "callID": "call_1"}})])
def test_no_event_breaks_the_reader(received: list[tuple[str, object]]) -> None:
    """The next sound event is heard, and what was gathered can be shown and stored."""
    reader, heard = read([*received, ("session.execution.succeeded", IDLE)])
    assert heard[-1] == Idle(CHILD)
    transcript = reader.live[CHILD].messages.transcript()
    stored = msgspec.json.encode(transcript)
    assert len(stored) < SESSION_CHARS
    usage = msgspec.json.encode(transcript.usage)
    assert msgspec.json.decode(usage, type=type(transcript.usage)) == transcript.usage


@fuzzed
@given(events)
async def test_no_entry_of_a_log_keeps_the_others_from_being_read(
    received: list[tuple[str, object]],
) -> None:
    sound: dict[str, object] = {"sessionID": CHILD, "inputID": "msg_new"}
    entries = [*received, ("session.input.promoted", {"durable": {"seq": 99}, "data": sound})]

    async def log(_after: int) -> list[wire.Event]:
        found = []
        for kind, about in entries:
            whole = {**about, "type": kind} if isinstance(about, dict) else about
            try:
                found.append(msgspec.json.decode(json.dumps(whole).encode(), type=wire.Event))
            except msgspec.DecodeError:
                continue  # no event at all, which the API refuses
        return found

    reader, _ = read([])
    fold = reader.live[CHILD]
    await fold.catch_up(log)
    assert fold.messages.one("msg_new") is not None
    assert fold.seen >= 99  # others may have numbers of their own


@fuzzed
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200))
def test_what_is_no_json_is_skipped(kind: str, raw: bytes) -> None:
    """Bytes of any kind in the place of an event."""
    heard: list[RuntimeEvent] = []
    reader = EventReader(heard.append)
    reader.read(kind, msgspec.Raw(raw))
    reader.read(str(IDLE["type"]), msgspec.Raw(json.dumps(IDLE).encode()))
    assert heard[-1] == Idle(CHILD)
