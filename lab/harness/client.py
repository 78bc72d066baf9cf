"""A thin client for OpenCode's HTTP API, for tests, the demo and benchmarks.

Typed where tests look, and independent of the adapter that it helps to test: it shares
no code with it, so that the two cannot be wrong in the same way.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import aiohttp
import msgspec

CALL_TIMEOUT_S = 60.0
"""The first call for a project loads its plugins; all others answer within milliseconds."""

EVENT_TIMEOUT_S = 20.0
"""How long tests wait for something that takes a second at most."""


class Part(msgspec.Struct, frozen=True):
    """A part of a message; only ``text`` parts have text, only ``tool`` parts the last two."""

    id: str
    type: str
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    state: dict[str, object] = {}


class Info(msgspec.Struct, frozen=True):
    """The head of a message."""

    id: str
    role: str
    session: str = msgspec.field(name="sessionID")
    parent: str | None = msgspec.field(default=None, name="parentID")
    finish: str | None = None
    error: dict[str, object] | None = None
    agent: str | None = None
    time: dict[str, float] = {}


class StoredMessage(msgspec.Struct, frozen=True):
    """A message with its parts."""

    info: Info
    parts: list[Part]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if part.type == "text")


class _Session(msgspec.Struct):
    id: str


class _Status(msgspec.Struct):
    type: str


class _Event(msgspec.Struct):
    type: str
    properties: dict[str, object] = {}


class ApiError(Exception):
    """OpenCode answered with an error."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path} answered {status}: {body[:500]}")
        self.status = status


@dataclass(frozen=True)
class Seen:
    """An event, and when it arrived (``time.monotonic()`` seconds)."""

    at_s: float
    type: str
    properties: Mapping[str, object]

    @property
    def session(self) -> str | None:
        """The session it concerns, wherever the event keeps it."""
        inner = [self.properties, *(self.properties.get(key) for key in ("part", "info"))]
        for place in inner:
            if isinstance(place, Mapping) and isinstance(place.get("sessionID"), str):
                return str(place["sessionID"])
        return None


@dataclass
class Events:
    """The events of a project since the stream was opened, oldest first."""

    seen: list[Seen] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: bool = False

    def mark(self) -> int:
        """Return a position, so that a later wait looks only at what came after it."""
        return len(self.seen)

    async def wait_for(
        self, wanted: Callable[[Seen], bool], *, since: int = 0, timeout_s: float = EVENT_TIMEOUT_S
    ) -> Seen:
        """Return the first event from position ``since`` on for which ``wanted`` holds.

        Raises:
            TimeoutError: There was none within ``timeout_s`` seconds.
            ConnectionError: The stream ended before it came.
        """
        position = since
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while True:
                    for seen in self.seen[position:]:
                        if wanted(seen):
                            return seen
                    position = len(self.seen)
                    if self._ended:
                        raise ConnectionError(f"The event stream ended. {self._recent()}")
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"Not seen in {timeout_s:g} s. {self._recent()}") from None

    async def wait_idle(
        self, session: str, *, since: int = 0, timeout_s: float = EVENT_TIMEOUT_S
    ) -> Seen:
        """Return the first idle event of a session from position ``since`` on."""
        return await self.wait_for(
            lambda seen: seen.type == "session.idle" and seen.session == session,
            since=since,
            timeout_s=timeout_s,
        )

    def _recent(self) -> str:
        return "The newest events: " + ", ".join(seen.type for seen in self.seen[-15:])

    async def _follow(self, response: aiohttp.ClientResponse) -> None:
        buffer = b""
        try:
            async for chunk in response.content.iter_any():
                # Not by lines: an event may be larger than a reader's limit for one.
                *whole, buffer = (buffer + chunk).split(b"\n\n")
                await self._add([text for text in whole if text.startswith(b"data:")])
        except aiohttp.ClientError:
            pass  # The server was killed; whoever waits is told below.
        finally:
            self._ended = True
            await self._add([])

    async def _add(self, texts: Sequence[bytes]) -> None:
        now = time.monotonic()
        async with self._changed:
            for text in texts:
                event = msgspec.json.decode(text.removeprefix(b"data:"), type=_Event)
                self.seen.append(Seen(now, event.type, event.properties))
            self._changed.notify_all()


def authorization(password: str | None) -> dict[str, str]:
    """Return the header that a server with ``OPENCODE_SERVER_PASSWORD`` asks for."""
    if not password:
        return {}
    return {"authorization": "Basic " + b64encode(f"opencode:{password}".encode()).decode()}


class OpenCodeClient:
    """Calls for one project; use it as ``async with``. Every call raises ``ApiError``."""

    def __init__(self, base_url: str, directory: Path, password: str | None = None) -> None:
        self._base_url = base_url
        self._headers = {"x-opencode-directory": quote(str(directory)), **authorization(password)}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> OpenCodeClient:
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
        self._http = aiohttp.ClientSession(self._base_url, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "use the client as `async with`"
        return self._http

    async def request(self, method: str, path: str, body: object = None) -> bytes:
        """Make any call and return the body of the answer."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"content-type": "application/json"}
        async with self._session.request(method, path, data=data, headers=headers) as response:
            raw = await response.read()
            if response.status >= 400:
                raise ApiError(method, path, response.status, raw.decode(errors="replace"))
            return raw

    async def create_session(
        self,
        title: str = "A session",
        *,
        parent: str | None = None,
        permission: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """Create a session and return its id."""
        body: dict[str, object] = {"title": title}
        if parent is not None:
            body["parentID"] = parent
        if permission:
            body["permission"] = list(permission)
        raw = await self.request("POST", "/session", body)
        return msgspec.json.decode(raw, type=_Session).id

    async def prompt(
        self, session: str, text: str, *, agent: str | None = None, model: str | None = None
    ) -> None:
        """Send a user message (``prompt_async``); ``model`` is ``provider/model-id``."""
        body: dict[str, object] = {"parts": [{"type": "text", "text": text}]}
        if agent is not None:
            body["agent"] = agent
        if model is not None:
            provider, _, name = model.partition("/")
            body["model"] = {"providerID": provider, "modelID": name}
        await self.request("POST", f"/session/{session}/prompt_async", body)

    async def messages(self, session: str) -> list[StoredMessage]:
        """Return the messages of a session, oldest first."""
        raw = await self.request("GET", f"/session/{session}/message")
        return msgspec.json.decode(raw, type=list[StoredMessage])

    async def children(self, session: str) -> list[str]:
        """Return the ids of a session's children."""
        raw = await self.request("GET", f"/session/{session}/children")
        return [child.id for child in msgspec.json.decode(raw, type=list[_Session])]

    async def busy(self) -> set[str]:
        """Return the ids of the sessions that work or wait for a retry."""
        raw = await self.request("GET", "/session/status")
        found = msgspec.json.decode(raw, type=dict[str, _Status])
        return {session for session, status in found.items() if status.type != "idle"}

    async def tool_ids(self) -> list[str]:
        """Return the names of the tools that OpenCode has for this project."""
        raw = await self.request("GET", "/experimental/tool/ids")
        return msgspec.json.decode(raw, type=list[str])

    async def abort(self, session: str) -> None:
        """Stop what a session does, as its user does with ESC."""
        await self.request("POST", f"/session/{session}/abort")

    async def undo(self, session: str, message: str) -> None:
        """Take back a message and all after it, as ``/undo`` does."""
        await self.request("POST", f"/session/{session}/revert", {"messageID": message})

    async def redo(self, session: str) -> None:
        """Bring back what was undone, as ``/redo`` does."""
        await self.request("POST", f"/session/{session}/unrevert")

    async def delete_session(self, session: str) -> None:
        """Delete a session with its messages."""
        await self.request("DELETE", f"/session/{session}")

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Follow the project's events; they flow when the block is entered."""
        events = Events()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_TIMEOUT_S)
        async with self._session.get("/event", timeout=timeout) as response:
            follower = asyncio.create_task(events._follow(response), name="opencode events")
            try:
                await events.wait_for(
                    lambda seen: seen.type == "server.connected", timeout_s=CALL_TIMEOUT_S
                )
                yield events
            finally:
                follower.cancel()
                await asyncio.gather(follower, return_exceptions=True)

    async def run(self, session: str, text: str, *, timeout_s: float = EVENT_TIMEOUT_S) -> str:
        """Send a prompt, wait until the session is idle, and return the newest answer's text."""
        async with self.events() as events:
            await self.prompt(session, text)
            await events.wait_idle(session, timeout_s=timeout_s)
        newest = (await self.messages(session))[-1]
        return newest.text
