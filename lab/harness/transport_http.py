"""Reaches a served OpenCode by HTTP, with its events as server-sent events.

A dropped event stream is opened again, with growing pauses; since events may be lost in
between, the adapter is told and looks at its sessions again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from background_agents.adapters.opencode.transport import (
    Response,
    WireListener,
    naming,
)
from background_agents.domain.errors import RuntimeUnreachable
from lab.harness.line import Line

log = logging.getLogger(__name__)

REQUEST_LIMIT_S = 30.0
"""As over the bridge: answers take milliseconds, a cold OpenCode may take seconds."""

RETRY_FIRST_S, RETRY_MOST_S = 0.1, 5.0
"""Pauses between attempts to open the event stream again."""

SILENCE_LIMIT_S = 40.0
"""OpenCode sends a heartbeat every 10 s (1.15 to 1.18) or 15 s (2); a stream that is silent for
more than two of them is dead, even where nobody closed it."""

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""As a frame of the bridge; what is larger breaks the stream, which is opened again."""


class _Event(msgspec.Struct):
    type: str
    properties: msgspec.Raw = msgspec.Raw(b"{}")

    def content(self, line: Line, whole: bytes) -> msgspec.Raw:
        """Return what the line's adapter reads of it."""
        return self.properties if line is Line.ONE else msgspec.Raw(whole)


_EVENTS = {Line.ONE: "/event", Line.TWO: "/api/event"}


class HttpTransport:
    """A project of a served OpenCode; use it as ``async with HttpTransport(...)``."""

    ends_with_turn = False

    def __init__(
        self,
        base_url: str,
        directory: str,
        line: Line = Line.ONE,
        *,
        username: str = "opencode",
        password: str | None = None,
    ) -> None:
        self.on_event: WireListener = lambda *_: None
        self.on_restored: Callable[[], None] = lambda: None
        self._base_url = base_url.rstrip("/")
        self._line = line
        self._headers = naming(directory)
        if password:
            secret = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["authorization"] = f"Basic {secret}"
        self._session: aiohttp.ClientSession | None = None
        self._stream: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def __aenter__(self) -> Self:
        limit = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=limit,
            read_bufsize=1024 * 1024,
        )
        self._stream = asyncio.create_task(self._keep_streaming(self._session))
        try:
            async with asyncio.timeout(REQUEST_LIMIT_S):
                await self._connected.wait()
        except TimeoutError as error:
            await self.close()
            raise RuntimeUnreachable(f"No OpenCode answers at {self._base_url}.") from error
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the event stream and all connections."""
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.gather(self._stream, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, path: str, body: object = None, directory: str = ""
    ) -> Response:
        """See ``Transport``."""
        if self._session is None:
            raise RuntimeUnreachable("The connection to OpenCode was not opened.")
        data = None if body is None else msgspec.json.encode(body)
        kind = {} if data is None else {"content-type": "application/json"}
        headers = kind | naming(directory)
        try:
            async with self._session.request(
                method, self._base_url + path, data=data, headers=headers
            ) as answer:
                return Response(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise RuntimeUnreachable(
                f"OpenCode at {self._base_url} did not answer {method} {path}: {reason}"
            ) from error

    async def opened(self, directory: str) -> None:
        """See ``Transport``; all directories come over one stream."""

    def follow(self, session: str) -> None:
        """See ``Transport``. An event stream carries everything in any case."""

    def release(self, session: str) -> None:
        """See ``Transport``."""

    def guard(self, session: str, *, on: bool) -> None:
        """See ``Transport``. Nothing asks before a tool runs."""

    async def _keep_streaming(self, session: aiohttp.ClientSession) -> None:
        pause = RETRY_FIRST_S
        while True:
            try:
                async for data in self._open_stream(session):
                    pause = RETRY_FIRST_S
                    self._take(data)
            except (aiohttp.ClientError, TimeoutError) as error:
                # Its repr would show the headers of the request, with the password.
                reason = str(error) or type(error).__name__
                log.warning("the event stream of %s broke: %s", self._base_url, reason)
            except Exception:
                log.exception("the event stream of %s is opened anew", self._base_url)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST_S)

    async def _open_stream(self, session: aiohttp.ClientSession) -> AsyncIterator[bytes]:
        limit = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_LIMIT_S)
        async with session.get(self._base_url + _EVENTS[self._line], timeout=limit) as answer:
            answer.raise_for_status()
            buffer = bytearray()
            async for chunk in answer.content.iter_any():
                buffer += chunk
                if len(buffer) > MAX_EVENT_BYTES:
                    raise aiohttp.ClientPayloadError("an event is too large")
                while (end := buffer.find(b"\n\n")) >= 0:
                    block = bytes(buffer[:end])
                    del buffer[: end + 2]
                    yield b"".join(
                        line[5:].lstrip() for line in block.split(b"\n") if line[:5] == b"data:"
                    )

    def _take(self, data: bytes) -> None:
        if not data:
            return
        try:
            event = msgspec.json.decode(data, type=_Event)
        except (ValueError, RecursionError) as error:
            log.warning("an event of %s could not be read: %s", self._base_url, error)
            return
        if event.type == "server.connected":
            # From here on nothing is missed; what happened before may have been.
            if self._connected.is_set():
                self.on_restored()
            self._connected.set()
        else:
            self.on_event(event.type, event.content(self._line, data))
