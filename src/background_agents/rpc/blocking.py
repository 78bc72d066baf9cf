"""A client's end of a connection for programs without an event loop.

One call at a time, which another thread may interrupt; notifications that arrive meanwhile are
yielded. Knows nothing of delegations, nor of how the socket was opened.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TypeVar

import msgspec

from background_agents.rpc.framing import FrameDecoder, FrameTooLarge, frame
from background_agents.rpc.messages import CLOSED, PARSE_ERROR, Incoming, Request, RpcError

T = TypeVar("T")

Note = Callable[[str, msgspec.Raw], None]
"""Hears a notification: its method and its parameters."""

READ_BYTES = 256 * 1024

_decode = msgspec.json.Decoder(Incoming).decode


class NoAnswer(Exception):
    """The peer did not answer in time."""


def _ignore(_method: str, _params: msgspec.Raw) -> None:
    """Hear nothing."""


class Caller:
    """Calls over a connected socket, which it owns."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._decoder = FrameDecoder()
        self._received: Iterator[bytes | FrameTooLarge] = iter(())
        self._number = 0
        self._sent_half = False

    def close(self) -> None:
        """Close the socket; the peer gives up what it does for us."""
        self._socket.close()

    def interrupt(self) -> None:
        """End what another thread waits for here, as if the peer had gone away."""
        with suppress(OSError):  # it has gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def call(
        self,
        method: str,
        params: object,
        answer: type[T],
        limit_s: float | None,
        note: Note = _ignore,
    ) -> T:
        """Return the peer's answer as ``hear`` does; ``note`` is given each notification."""
        hearing = self.hear(method, params, answer, limit_s)
        while True:
            try:
                heard = next(hearing)
            except StopIteration as end:
                answered: T = end.value
                return answered
            note(*heard)

    def hear(
        self, method: str, params: object, answer: type[T], limit_s: float | None
    ) -> Generator[tuple[str, msgspec.Raw], None, T]:
        """Yield method and parameters of each notification, until the peer answers.

        Returns that, decoded as ``answer``; ``limit_s`` None waits for ever.

        Raises:
            RpcError: the peer answered with an error, with something else than ``answer``,
                or went away.
            NoAnswer: it did not answer within ``limit_s`` seconds.
        """
        self._number += 1
        request = Request(method, params, self._number)
        deadline = None if limit_s is None else time.monotonic() + limit_s
        try:
            self._socket.settimeout(limit_s)
            self._sent_half = True
            self._socket.sendall(frame(msgspec.json.encode(request)))
            self._sent_half = False
            found = yield from self._answer(deadline)
        except TimeoutError as error:
            if self._sent_half:
                self._socket.close()  # whatever came next would be taken for the rest of it
            raise NoAnswer(f"{method} was not answered within {limit_s:g} s") from error
        except OSError as error:
            raise RpcError(CLOSED, f"the connection broke: {error}") from error
        if found.error is not None:
            raise RpcError(found.error.code, found.error.message)
        try:
            return msgspec.json.decode(found.result, type=answer)
        except (ValueError, RecursionError) as error:
            raise RpcError(
                PARSE_ERROR, f"the answer to {method} is not readable: {error}"
            ) from error

    def _answer(self, deadline: float | None) -> Generator[tuple[str, msgspec.Raw], None, Incoming]:
        while True:
            for received in self._received:
                if isinstance(received, FrameTooLarge):
                    raise RpcError(PARSE_ERROR, str(received))
                message = _read(received)
                if message.method is not None:
                    yield message.method, message.params
                elif message.id == self._number or (message.id is None and message.error):
                    # Without a number it is of a request that the peer could not even read.
                    return message
            self._received = self._receive(deadline)

    def _receive(self, deadline: float | None) -> Iterator[bytes | FrameTooLarge]:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise RpcError(CLOSED, "the other end has closed the connection")
        return self._decoder.feed(data)


def _read(received: bytes) -> Incoming:
    try:
        return _decode(received)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"a frame could not be read: {error}") from error
