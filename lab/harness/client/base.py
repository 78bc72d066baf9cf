"""A thin client for OpenCode's HTTP API, for tests, the demo and benchmarks: what lines share.

Typed where tests look, and independent of the adapter that it helps to test: it shares
no code with it, so that the two cannot be wrong in the same way.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from lab.harness.client.events import EVENT_TIMEOUT_S, Events, Reader
from lab.harness.client.messages import StoredMessage

CALL_TIMEOUT_S = 60.0
"""The first call for a project loads its plugins; all others answer within milliseconds."""

LOOK_AGAIN_S = 0.05
"""Between two looks at what tells nobody when it is there."""


class ApiError(Exception):
    """OpenCode answered with an error."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path} answered {status}: {body[:500]}")
        self.status = status


class NotOnThisLine(Exception):
    """A test asks a line of OpenCode for what it does not have."""


def authorization(password: str | None) -> dict[str, str]:
    """Return the header that a server with a password asks for."""
    if not password:
        return {}
    return {"authorization": "Basic " + b64encode(f"opencode:{password}".encode()).decode()}


class OpenCodeClient(ABC):
    """Calls for one project; use it as ``async with``. Every call raises ``ApiError``."""

    event_path: str

    def __init__(self, base_url: str, directory: Path, headers: Mapping[str, str]) -> None:
        self.directory = directory
        self._base_url = base_url
        self._headers = headers
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
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

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Follow the project's events; they flow when the block is entered."""
        events = Events()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_TIMEOUT_S)
        async with self._session.get(self.event_path, timeout=timeout) as response:
            follower = asyncio.create_task(_follow(events, response, self.reader()))
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

    # --- what each line has its own calls for -----------------------------------------

    @abstractmethod
    def reader(self) -> Reader:
        """Return what reads a new stream of events."""

    @abstractmethod
    async def load(self) -> None:
        """Let OpenCode load the project, and return when it has."""

    @abstractmethod
    async def has_plugin(self) -> bool:
        """Return whether OpenCode has loaded our plugin for the project."""

    @abstractmethod
    async def models(self) -> set[str]:
        """Return the models that OpenCode can call, as ``provider/model-id``."""

    @abstractmethod
    async def reload(self) -> None:
        """Let OpenCode put the project away, with its plugins."""

    @abstractmethod
    async def create_session(
        self,
        title: str | None = "A session",
        *,
        parent: str | None = None,
        permission: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """Create a session and return its id; None as title lets OpenCode write one.

        Raises:
            NotOnThisLine: Sessions have no such parents or permissions there.
        """

    @abstractmethod
    async def prompt(
        self,
        session: str,
        text: str,
        *,
        agent: str | None = None,
        model: str | None = None,
        variant: str | None = None,
    ) -> None:
        """Send a user message and return at once; ``model`` is ``provider/model-id``."""

    @abstractmethod
    async def messages(self, session: str) -> list[StoredMessage]:
        """Return the messages of a session, oldest first."""

    @abstractmethod
    async def pending(self, session: str) -> list[StoredMessage]:
        """Return what was stored for a session and not taken up, where that is kept apart."""

    @abstractmethod
    async def children(self, session: str) -> list[str]:
        """Return the ids of the sessions that OpenCode itself knows to be a session's children."""

    @abstractmethod
    async def busy(self) -> set[str]:
        """Return the ids of the sessions that work or wait for a retry."""

    @abstractmethod
    async def permissions(self) -> set[str]:
        """Return the ids of the sessions that wait for a permission."""

    @abstractmethod
    async def answer(self, session: str, request: str, reply: str) -> None:
        """Give or refuse a permission, as the human does: ``once``, ``always``, ``reject``."""

    @abstractmethod
    async def abort(self, session: str) -> None:
        """Stop what a session does, as its user does with ESC."""

    @abstractmethod
    async def undo(self, session: str, message: str) -> None:
        """Take back a message and all after it, as ``/undo`` does."""

    @abstractmethod
    async def redo(self, session: str) -> None:
        """Bring back what was undone, as ``/redo`` does."""

    @abstractmethod
    async def delete_session(self, session: str) -> None:
        """Delete a session with its messages."""

    @abstractmethod
    async def fork(self, session: str) -> str:
        """Copy a session with its messages and return the copy's id."""

    @abstractmethod
    async def compact(self, session: str) -> None:
        """Let a model summarise a session, as ``/compact`` does, and return when it has."""

    @abstractmethod
    async def shell(self, session: str, command: str) -> None:
        """Run a command as the user does with ``!``."""

    @abstractmethod
    async def command(self, session: str, name: str, arguments: str) -> None:
        """Send a slash command of the user's own, as by typing it."""


async def _follow(events: Events, response: aiohttp.ClientResponse, read: Reader) -> None:
    # The server may be killed; whoever waits is told by the end of the stream.
    with suppress(aiohttp.ClientError):
        await events.follow(response.content.iter_any(), read)
