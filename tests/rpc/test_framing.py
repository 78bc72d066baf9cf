"""Frames come out the same however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from background_agents.rpc.framing import FrameDecoder, FrameTooLarge, frame

LIMIT = 16

lines = st.lists(st.binary(max_size=3 * LIMIT).map(lambda data: data.replace(b"\n", b" ")))


def decoded(chunks: list[bytes]) -> list[bytes | None]:
    """Return the frames that ``chunks`` hold; None for one that was too large."""
    decoder = FrameDecoder(LIMIT)
    received = [one for chunk in chunks for one in decoder.feed(chunk)]
    return [None if isinstance(one, FrameTooLarge) else one for one in received]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(lines, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_chunking_gives_the_same_frames(texts: list[bytes], places: list[int]) -> None:
    stream = b"".join(frame(text) for text in texts)
    expected = [
        None if len(text) > LIMIT else text for text in texts if text.strip() or len(text) > LIMIT
    ]
    assert decoded(cut(stream, places)) == expected


@given(lines)
def test_byte_by_byte_gives_the_same_frames(texts: list[bytes]) -> None:
    stream = b"".join(frame(text) for text in texts)
    assert decoded([bytes([byte]) for byte in stream]) == decoded([stream])


def test_an_oversized_frame_is_reported_once_and_what_follows_is_read() -> None:
    chunks = [b"x" * 10, b"x" * 10, b"x" * 1000, b"x\nnext\n"]
    assert decoded(chunks) == [None, b"next"]


def test_an_oversized_frame_is_not_held_in_memory() -> None:
    decoder = FrameDecoder(LIMIT)
    for _ in range(100):
        list(decoder.feed(b"x" * 1000))
    assert len(decoder._buffer) <= LIMIT


def test_a_frame_of_exactly_the_limit_passes() -> None:
    assert decoded([b"x" * LIMIT + b"\n"]) == [b"x" * LIMIT]


def test_what_is_not_ended_yet_is_kept() -> None:
    decoder = FrameDecoder(LIMIT)
    assert list(decoder.feed(b'{"a":')) == []
    assert list(decoder.feed(b"1}\n")) == [b'{"a":1}']
