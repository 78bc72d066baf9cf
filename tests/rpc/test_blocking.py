"""A client without an event loop: answers, time limits, a peer that goes, frames cut anywhere."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.rpc.blocking import Caller, NoAnswer
from background_agents.rpc.messages import CLOSED, METHOD_NOT_FOUND, PARSE_ERROR, RpcError

LIMIT_S = 10.0


def message(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


@contextmanager
def peer(play: Callable[[socket.socket], object]) -> Iterator[Caller]:
    """Let ``play`` be the other end, in a thread; what it raises fails the test."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(LIMIT_S)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            with theirs:
                play(theirs)
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    caller = Caller(ours)
    try:
        yield caller
    finally:
        caller.close()
        thread.join(LIMIT_S)
    assert not thread.is_alive()
    if faults:
        raise faults[0]


def asked(end: socket.socket) -> dict[str, object]:
    """Return the next request."""
    data = b""
    while not data.endswith(b"\n"):
        more = end.recv(65536)
        assert more, "the caller has gone"
        data += more
    found: dict[str, object] = json.loads(data)
    return found


def test_an_answer_is_decoded() -> None:
    def play(end: socket.socket) -> None:
        request = asked(end)
        assert (request["method"], request["params"]) == ("add", [1, 2])
        end.sendall(message(id=request["id"], result=3))

    with peer(play) as caller:
        assert caller.call("add", [1, 2], int, LIMIT_S) == 3


def test_notifications_during_a_call_are_heard_in_order() -> None:
    def play(end: socket.socket) -> None:
        number = asked(end)["id"]
        for text in ("one", "two"):
            end.sendall(message(method="wrote", params={"text": text}))
        end.sendall(message(id=99, result="somebody else's") + message(id=number, result="done"))
        # What comes after the answer is heard with the next call.
        end.sendall(message(method="wrote", params={"text": "three"}))
        end.sendall(message(id=asked(end)["id"], result="again"))

    heard: list[tuple[str, object]] = []

    def note(method: str, params: msgspec.Raw) -> None:
        heard.append((method, msgspec.json.decode(params)["text"]))

    with peer(play) as caller:
        assert caller.call("follow", {}, str, LIMIT_S, note) == "done"
        assert heard == [("wrote", "one"), ("wrote", "two")]
        assert caller.call("follow", {}, str, None, note) == "again"
        assert heard[2:] == [("wrote", "three")]


def test_errors_of_the_peer_are_raised() -> None:
    def play(end: socket.socket) -> None:
        number = asked(end)["id"]
        end.sendall(message(id=number, error={"code": METHOD_NOT_FOUND, "message": "no such"}))
        end.sendall(message(id=asked(end)["id"], result="a word"))

    with peer(play) as caller:
        with pytest.raises(RpcError, match="no such") as refused:
            caller.call("x", {}, int, LIMIT_S)
        assert refused.value.code == METHOD_NOT_FOUND
        with pytest.raises(RpcError, match="the answer to y is not readable"):
            caller.call("y", {}, int, LIMIT_S)


def test_a_request_that_the_peer_could_not_read_is_not_waited_for() -> None:
    """Its error has no number, since there was none to be read."""

    def play(end: socket.socket) -> None:
        asked(end)
        end.sendall(message(id=None, error={"code": PARSE_ERROR, "message": "too large"}))

    with peer(play) as caller, pytest.raises(RpcError, match="too large"):
        caller.call("x", {}, int, None)


def test_no_answer_within_the_limit() -> None:
    """Notifications do not make it longer; a late answer is not taken for that of the next."""

    def play(end: socket.socket) -> None:
        first = asked(end)["id"]
        for _ in range(100):
            end.sendall(message(method="wrote", params={}))
        second = asked(end)["id"]
        end.sendall(message(id=first, result="late") + message(id=second, result="right"))

    with peer(play) as caller:
        with pytest.raises(NoAnswer, match=r"slow was not answered within 0\.1 s"):
            caller.call("slow", {}, str, 0.1)
        assert caller.call("next", {}, str, LIMIT_S) == "right"


def test_a_request_that_is_sent_in_half_ends_the_connection() -> None:
    """What came after it would be taken for the rest of it."""
    over = threading.Event()

    with peer(lambda _end: over.wait(LIMIT_S)) as caller:
        with pytest.raises(NoAnswer):
            caller.call("say", "x" * 50_000_000, str, 0.1)
        with pytest.raises(RpcError, match="the connection broke") as broken:
            caller.call("say", "y", str, 0.1)
        assert broken.value.code == CLOSED
        over.set()


@pytest.mark.parametrize("last", [b"", b'{"id": 1, "res'])
def test_a_peer_that_goes(last: bytes) -> None:
    def play(end: socket.socket) -> None:
        asked(end)
        end.sendall(last)

    with peer(play) as caller:
        with pytest.raises(RpcError) as gone:
            caller.call("x", {}, int, None)
        assert gone.value.code == CLOSED
        with pytest.raises(RpcError) as again:
            caller.call("x", {}, int, LIMIT_S)
        assert again.value.code == CLOSED


def test_a_frame_that_is_no_message() -> None:
    def play(end: socket.socket) -> None:
        asked(end)
        end.sendall(b"nonsense\n")

    with peer(play) as caller, pytest.raises(RpcError, match="a frame could not be read"):
        caller.call("x", {}, int, LIMIT_S)


@given(st.text(max_size=30), st.data())
def test_frames_may_be_cut_at_every_byte(text: str, data: st.DataObject) -> None:
    note, answer = message(method="wrote", params=text), message(id=1, result=text)
    whole = note + answer
    cuts = data.draw(
        st.one_of(st.just(set(range(len(whole)))), st.sets(st.integers(0, len(whole) - 1)))
    )
    heard: list[str] = []

    def play(end: socket.socket) -> None:
        asked(end)
        for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(whole)], strict=True):
            end.sendall(whole[a:b])

    with peer(play) as caller:
        found = caller.call(
            "x", {}, str, LIMIT_S, lambda _, raw: heard.append(msgspec.json.decode(raw, type=str))
        )
    assert (found, heard) == (text, [text])
