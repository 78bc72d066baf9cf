"""Whatever bytes a peer sends, in whatever pieces: frames or a complaint, and bounded memory."""

from __future__ import annotations

import asyncio
import json

import msgspec
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st

from background_agents.rpc.connection import Connection
from background_agents.rpc.framing import FrameDecoder, FrameTooLarge, frame
from background_agents.rpc.messages import RpcError

LIMIT = 64

chunks = st.lists(
    st.one_of(
        st.binary(max_size=3 * LIMIT),
        st.sampled_from([b"\n", b"\r\n", b" ", b"\x00", b"\n\n\n", b"{}", b"\xff", b"x" * LIMIT]),
    ),
    max_size=30,
)


@fuzzed
@given(chunks)
def test_every_byte_ends_up_in_a_frame_or_is_refused(received: list[bytes]) -> None:
    """What comes out is what went in, but for empty and oversized lines; nothing is held longer."""
    decoder = FrameDecoder(LIMIT)
    frames: list[bytes] = []
    too_large = 0
    for chunk in received:
        for one in decoder.feed(chunk):
            if isinstance(one, FrameTooLarge):
                too_large += 1
            else:
                frames.append(one)
        assert len(decoder._buffer) <= LIMIT
    *lines, rest = b"".join(received).split(b"\n")
    assert frames == [line for line in lines if line.strip() and len(line) <= LIMIT]
    assert too_large == sum(len(line) > LIMIT for line in (*lines, rest))


names = st.text(max_size=5) | st.sampled_from(["id", "method", "params", "result", "error", "code"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
"""JSON as Python writes it, NaN and halves of surrogate pairs among it."""

messages = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 3) | st.text(max_size=3) | anything,
        "method": st.sampled_from(["tool", "event", "nothing"]) | anything,
        "params": anything,
        "result": anything,
        "error": st.fixed_dictionaries({"code": st.integers(), "message": st.text()}) | anything,
    },
)
lines = st.one_of(
    (messages | anything).map(lambda value: json.dumps(value).encode()),
    messages.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")),
    st.text(st.characters(codec="utf-8")).map(str.encode),
)


@fuzzed
@given(st.lists(lines, max_size=8))
@example([b'{"id": 1, "method": "tool", "params": "\\ud800"}'])
@example([b'{"id": 1e400, "method": "tool"}'])
@example([b"null", b"[]", b"{}", b'"x"', b"1", b"{" * 100])
def test_a_connection_outlives_what_it_is_sent(received: list[bytes]) -> None:
    """Requests, notes and answers of any shape: the next sound request is answered."""
    assert asyncio.run(answer_after(received)) == {"ping": True}


async def answer_after(received: list[bytes]) -> object:
    """Return what a connection answers to a request after it was sent something."""
    sent: list[bytes] = []

    async def tool(params: msgspec.Raw) -> object:
        return msgspec.json.decode(params, type=dict[str, object])

    def event(params: msgspec.Raw) -> None:
        msgspec.json.decode(params, type=dict[str, int])

    connection = Connection(sent.append, calls={"tool": tool}, notes={"event": event})
    waiting = asyncio.create_task(connection.call("fetch", {}, dict[str, object]))
    await asyncio.sleep(0)
    for line in received:
        connection.feed(frame(line.replace(b"\n", b" ")))
    number = "the last"
    request = {"id": number, "method": "tool", "params": {"ping": True}}
    connection.feed(frame(json.dumps(request).encode()))
    answers = await answered(sent, number)
    await connection.close("Done.")
    await asyncio.wait([waiting])
    assert waiting.exception() is None or isinstance(waiting.exception(), RpcError)
    return answers


async def answered(sent: list[bytes], number: str) -> object:
    """Return the result that was sent for a request; its handler takes a turn or two."""
    for _ in range(100):
        for line in sent:
            told = json.loads(line)
            if told.get("id") == number:
                return told.get("result")
        await asyncio.sleep(0)
    raise AssertionError(f"nothing was answered to {number}")
