"""One end of a JSON-RPC connection: correlation of answers, dispatch of calls.

Bytes come in by ``feed`` and leave through the ``write`` it was given, so the same
connection runs over pipes, a socket, or in memory. Notifications are handled at once
and in order; each request is answered by a task that the connection owns. An exception
becomes an error on the wire in one place, ``_answer``.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from background_agents.rpc.framing import FrameDecoder, FrameTooLarge, frame
from background_agents.rpc.messages import (
    CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    ErrorBody,
    Failure,
    Incoming,
    Request,
    Result,
    RpcError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

Answerer = Callable[[msgspec.Raw], Awaitable[object]]
Hearer = Callable[[msgspec.Raw], None]
Translator = Callable[[Exception], RpcError | None]

_decode = msgspec.json.Decoder(Incoming).decode
_encode = msgspec.json.Encoder().encode


def unexpected_only(_error: Exception) -> RpcError | None:
    """Translate nothing: every exception that is not an ``RpcError`` is an internal error."""
    return None


class Connection:
    """One end. ``calls`` answers requests, ``notes`` hears notifications.

    ``translate`` turns an exception that the caller should read into an ``RpcError``;
    where it returns None the exception is logged and the peer learns only its kind.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        calls: Mapping[str, Answerer] | None = None,
        notes: Mapping[str, Hearer] | None = None,
        translate: Translator = unexpected_only,
    ) -> None:
        self._write = write
        self._calls = dict(calls or {})
        self._notes = dict(notes or {})
        self._translate = translate
        self._decoder = FrameDecoder()
        self._ids = itertools.count(1)
        self._pending: dict[int | str, asyncio.Future[msgspec.Raw]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closed: str | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        for received in self._decoder.feed(data):
            if isinstance(received, FrameTooLarge):
                self._send(Failure(None, ErrorBody(INVALID_REQUEST, str(received))))
            else:
                self._receive(received)

    async def call(self, method: str, params: object, answer: type[T]) -> T:
        """Send a request and return its result, decoded as ``answer``.

        Raises:
            RpcError: the peer answered with an error or with something else than ``answer``,
                or the connection ended first.
        """
        if self._closed is not None:
            raise RpcError(CLOSED, self._closed)
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            self._send(Request(method, params, number))
            return msgspec.json.decode(await future, type=answer)
        except (ValueError, RecursionError) as error:
            raise RpcError(
                PARSE_ERROR, f"the answer to {method} is not readable: {error}"
            ) from error
        finally:
            self._pending.pop(number, None)

    def notify(self, method: str, params: object) -> None:
        """Send a notification; nothing is sent once the connection has ended."""
        self._send(Request(method, params))

    async def close(self, reason: str) -> None:
        """End the connection: open calls raise, open answers are cancelled."""
        self._closed = reason
        for future in self._pending.values():
            if not future.done():
                future.set_exception(RpcError(CLOSED, reason))
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _send(self, message: Request | Result | Failure) -> None:
        if self._closed is None:
            self._write(frame(_encode(message)))

    def _receive(self, received: bytes) -> None:
        try:
            message = _decode(received)
        except (ValueError, RecursionError) as error:
            # Not JSON, not UTF-8, or nested a thousand levels deep, as a model's arguments can be.
            log.warning("a frame could not be read: %s", error)
            self._send(Failure(None, ErrorBody(PARSE_ERROR, str(error))))
            return
        if message.method is None:
            self._resolve(message)
        elif message.id is None:
            self._hear(message.method, message.params)
        else:
            task = asyncio.create_task(self._answer(message.id, message.method, message.params))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def _resolve(self, message: Incoming) -> None:
        future = self._pending.get(message.id) if message.id is not None else None
        if future is None or future.done():
            # Its caller gave up waiting, or the peer could not read a frame of ours.
            if message.error is not None:
                log.warning("the peer reports: %s", message.error.message)
            return
        if message.error is not None:
            future.set_exception(RpcError(message.error.code, message.error.message))
        else:
            future.set_result(message.result)

    def _hear(self, method: str, params: msgspec.Raw) -> None:
        hear = self._notes.get(method)
        if hear is None:
            log.warning("nobody here hears %r", method)
            return
        try:
            hear(params)
        except msgspec.DecodeError as error:
            log.warning("a notification %r could not be read: %s", method, error)
        except Exception:
            # A notification has no answer that could carry the error.
            log.exception("a notification %r failed", method)

    async def _answer(self, number: int | str, method: str, params: msgspec.Raw) -> None:
        try:
            call = self._calls.get(method)
            if call is None:
                raise RpcError(METHOD_NOT_FOUND, f"there is no method {method!r}")
            self._send(Result(number, await call(params)))
        except RpcError as error:
            self._send(Failure(number, ErrorBody(error.code, error.message)))
        except msgspec.ValidationError as error:
            self._send(Failure(number, ErrorBody(INVALID_PARAMS, str(error))))
        except Exception as error:
            known = self._translate(error)
            if known is None:
                log.exception("answering %r failed", method)
                known = RpcError(INTERNAL_ERROR, f"internal error: {type(error).__name__}")
            self._send(Failure(number, ErrorBody(known.code, known.message)))
