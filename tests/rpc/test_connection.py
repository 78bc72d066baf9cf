"""Two ends in memory: calls find their answers, and no error stays unsaid."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from background_agents.rpc import framing
from background_agents.rpc.connection import Connection
from background_agents.rpc.messages import (
    CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)
from lab.harness.pairs import pair


class Numbers(msgspec.Struct):
    left: int
    right: int


class Answered(msgspec.Struct):
    """What is read on the wire."""

    id: int | str | None
    result: int | None = None
    error: dict[str, object] | None = None


async def add(raw: msgspec.Raw) -> object:
    numbers = msgspec.json.decode(raw, type=Numbers)
    return numbers.left + numbers.right


async def refuse(_raw: msgspec.Raw) -> object:
    raise RpcError(-32001, "Not today.")


async def break_down(_raw: msgspec.Raw) -> object:
    raise LookupError("a secret path")


async def explain(_raw: msgspec.Raw) -> object:
    raise ValueError("Say it differently.")


async def hang(_raw: msgspec.Raw) -> object:
    await asyncio.Event().wait()
    return None


def translate(error: Exception) -> RpcError | None:
    return RpcError(-32002, str(error)) if isinstance(error, ValueError) else None


CALLS: dict[str, Callable[[msgspec.Raw], Awaitable[object]]] = {
    "add": add,
    "refuse": refuse,
    "break": break_down,
    "explain": explain,
    "hang": hang,
}


class Wire:
    """A connection whose bytes are written and read by hand."""

    def __init__(self, **notes: Callable[[msgspec.Raw], None]) -> None:
        self.sent: list[bytes] = []
        self.connection = Connection(
            self.sent.append, calls=CALLS, notes=notes, translate=translate
        )

    async def answers(self, *lines: bytes) -> list[Answered]:
        for line in lines:
            self.connection.feed(line + b"\n")
        for _ in range(5):
            await asyncio.sleep(0)
        return [msgspec.json.decode(data, type=Answered) for data in self.sent]


@pytest.fixture
async def caller() -> Connection:
    left, _right = pair(
        lambda write: Connection(write),
        lambda write: Connection(write, calls=CALLS, translate=translate),
    )
    return left


async def test_a_call_gets_its_answer(caller: Connection) -> None:
    assert await caller.call("add", Numbers(2, 3), int) == 5


async def test_many_at_once_get_each_their_own(caller: Connection) -> None:
    sums = await asyncio.gather(*(caller.call("add", Numbers(n, n), int) for n in range(200)))
    assert sums == [n + n for n in range(200)]


@pytest.mark.parametrize(
    ("method", "code", "words"),
    [
        ("refuse", -32001, "Not today."),
        ("explain", -32002, "Say it differently."),
        ("break", INTERNAL_ERROR, "internal error: LookupError"),
        ("nothing", METHOD_NOT_FOUND, "there is no method 'nothing'"),
    ],
)
async def test_an_exception_becomes_an_error_on_the_wire(
    caller: Connection, method: str, code: int, words: str
) -> None:
    with pytest.raises(RpcError) as raised:
        await caller.call(method, None, int)
    assert (raised.value.code, raised.value.message) == (code, words)


async def test_arguments_that_do_not_fit_are_said_to_be_wrong(caller: Connection) -> None:
    with pytest.raises(RpcError, match="left") as raised:
        await caller.call("add", {"right": 1}, int)
    assert raised.value.code == INVALID_PARAMS


async def test_an_unexpected_error_is_logged_and_keeps_its_secrets(
    caller: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RpcError) as raised:
        await caller.call("break", None, int)
    assert "secret" not in raised.value.message
    assert "a secret path" in caplog.text


@pytest.mark.parametrize("line", [b"nonsense", b"[1, 2]", b'{"id": {}}', b"\xff\xfe", b'"text"'])
async def test_a_malformed_frame_is_answered_and_the_next_one_too(line: bytes) -> None:
    call = b'{"jsonrpc":"2.0","id":7,"method":"add","params":{"left":1,"right":1}}'
    broken, good = await Wire().answers(line, call)
    assert broken.id is None
    assert broken.error is not None
    assert broken.error["code"] == PARSE_ERROR
    assert (good.id, good.result) == (7, 2)


async def test_an_oversized_frame_is_answered_and_the_next_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire()
    monkeypatch.setattr(wire.connection, "_decoder", framing.FrameDecoder(100))
    call = b'{"id":"a","method":"add","params":{"left":1,"right":1}}'
    broken, good = await wire.answers(b"x" * 101, call)
    assert broken.error is not None
    assert broken.error["code"] == INVALID_REQUEST
    assert (good.id, good.result) == ("a", 2)


async def test_closing_fails_the_calls_that_wait(caller: Connection) -> None:
    waiting = asyncio.create_task(caller.call("hang", None, int))
    await asyncio.sleep(0)
    await caller.close("The other side has gone.")
    with pytest.raises(RpcError, match="other side has gone") as raised:
        await waiting
    assert raised.value.code == CLOSED


async def test_after_closing_nothing_can_be_called_and_nothing_is_sent() -> None:
    wire = Wire()
    await wire.connection.close("Closed.")
    wire.connection.notify("event", None)
    with pytest.raises(RpcError, match="Closed"):
        await wire.connection.call("add", Numbers(1, 1), int)
    assert wire.sent == []


async def test_closing_ends_the_answers_that_are_being_made() -> None:
    wire = Wire()
    await wire.answers(b'{"id":1,"method":"hang"}')
    await wire.connection.close("Closed.")
    assert wire.sent == []
    assert wire.connection._answering == set()


async def test_a_caller_that_gave_up_leaves_nothing_behind(caller: Connection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await caller.call("hang", None, int)
    assert caller._pending == {}
    assert await caller.call("add", Numbers(1, 1), int) == 2


async def test_notifications_are_heard_in_order_and_not_answered() -> None:
    heard: list[int] = []
    wire = Wire(event=lambda raw: heard.append(msgspec.json.decode(raw, type=int)))
    lines = [b'{"method":"event","params":%d}' % number for number in range(5)]
    assert await wire.answers(*lines) == []
    assert heard == [0, 1, 2, 3, 4]


async def test_a_notification_that_fails_is_logged_and_the_next_is_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []

    def hear(raw: msgspec.Raw) -> None:
        number = msgspec.json.decode(raw, type=int)
        heard.append(10 // number)

    wire = Wire(event=hear)
    with caplog.at_level(logging.WARNING):
        await wire.answers(
            b'{"method":"event","params":0}',
            b'{"method":"event","params":"x"}',
            b'{"method":"unheard"}',
            b'{"method":"event","params":5}',
        )
    assert heard == [2]
    assert len(caplog.records) == 3


async def test_an_answer_that_nobody_waits_for_does_no_harm() -> None:
    wire = Wire()
    unasked = (b'{"id":99,"result":1}', b'{"id":null,"error":{"code":1,"message":"Huh?"}}')
    assert await wire.answers(*unasked) == []
    good = (await wire.answers(b'{"id":1,"method":"add","params":{"left":1,"right":1}}'))[-1]
    assert good.result == 2
