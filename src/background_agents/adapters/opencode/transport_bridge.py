"""Reaches OpenCode through the plugin: requests go over the bridge into its own ``fetch``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import msgspec

from background_agents.adapters.opencode.transport import (
    Response,
    WireListener,
    naming,
    read_answer,
)
from background_agents.domain.errors import RuntimeUnreachable
from background_agents.rpc.connection import Connection
from background_agents.rpc.messages import RpcError

REQUEST_LIMIT = timedelta(seconds=30)
"""Requests used here are answered in milliseconds; a cold OpenCode may take seconds."""

OPEN_LIMIT = timedelta(seconds=10)
"""A directory is open in a second or two, and our plugin there some milliseconds later; without it
an agent works all the same, and is looked at."""

SEPARATE_UNTIL = (1, 17)
"""Below this version the in-process ``fetch`` of a *serving* OpenCode runs a second copy
of the project: sessions started there are invisible to the first (seen on 1.15.4, not on
1.17.19 or 1.18.33). There the requests go over its port."""

PORTLESS_URL = "http://localhost:4096"
"""What an OpenCode that serves no port calls its base URL (seen on 1.15 to 1.18)."""


class _Fetch(msgspec.Struct):
    instance: int
    method: str
    path: str
    body: object
    over_http: bool
    headers: dict[str, str]


class _Followed(msgspec.Struct):
    session: str


class _Guarded(msgspec.Struct):
    session: str
    on: bool


class _Fetched(msgspec.Struct):
    status: int
    body: str


class BridgeTransport:
    """A project of the OpenCode process that spawned us. ``instance`` is the plugin's."""

    def __init__(
        self,
        caller: Connection,
        instance: int,
        base_url: str,
        *,
        authorization: str | None = None,
        ends_with_turn: bool = False,
        over_http: bool | None = None,
    ) -> None:
        """``over_http`` is found out by OpenCode 1's version if it is not said."""
        self.instance = instance
        self.ends_with_turn = ends_with_turn
        self.on_event: WireListener = lambda *_: None
        self.on_restored: Callable[[], None] = lambda: None
        self._caller = caller
        self.base_url = base_url.rstrip("/")
        self._headers = {} if authorization is None else {"authorization": authorization}
        self._over_http = over_http
        self._is_detached = False
        self._opened: dict[str, asyncio.Event] = {}
        """By directory, whether an instance of our plugin tells what happens there."""

    def guest_came(self, directory: str) -> None:
        """Another directory is open, whose instance tells us what happens there."""
        self._opening(directory).set()

    def guest_left(self, directory: str) -> None:
        """That of another directory is gone."""
        self._opening(directory).clear()

    async def opened(self, directory: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_LIMIT.total_seconds()):
                await self._opening(directory).wait()

    def _opening(self, directory: str) -> asyncio.Event:
        return self._opened.setdefault(directory, asyncio.Event())

    def detached(self, instance: int) -> None:
        """An instance is gone; until another one replaces ours, nobody answers."""
        self._is_detached = self._is_detached or instance == self.instance

    def moved_to(self, instance: int) -> None:
        """Go on with the instance that replaced ours, after OpenCode reloaded the project."""
        self.instance, self._is_detached = instance, False
        self.on_restored()

    async def request(
        self, method: str, path: str, body: object = None, directory: str = ""
    ) -> Response:
        if self._over_http is None:
            self._over_http = await self._needs_port()
        asked = self.instance
        response = await self._fetch(
            method, path, body, directory=directory, over_http=self._over_http
        )
        if method == "GET" and (self._is_detached or self.instance != asked):
            # What it said as it went holds no longer.
            raise RuntimeUnreachable(f"OpenCode closed the project while it answered {path}.")
        return response

    def follow(self, session: str) -> None:
        """See ``Transport``. What is sent after it, over the same socket, comes after it."""
        self._caller.notify("follow", _Followed(session))

    def release(self, session: str) -> None:
        self._caller.notify("release", _Followed(session))

    def guard(self, session: str, *, on: bool) -> None:
        self._caller.notify("guard", _Guarded(session, on))

    async def _needs_port(self) -> bool:
        if self.base_url == PORTLESS_URL:
            return False
        health = await self._fetch("GET", "/global/health", None, over_http=False)
        told = read_answer(health.body, "/global/health", dict[str, object])
        return _release(str(told.get("version"))) < SEPARATE_UNTIL

    async def _fetch(
        self, method: str, path: str, body: object, *, directory: str = "", over_http: bool
    ) -> Response:
        headers = self._headers | naming(directory)
        params = _Fetch(self.instance, method, path, body, over_http, headers)
        try:
            async with asyncio.timeout(REQUEST_LIMIT.total_seconds()):
                fetched = await self._caller.call("fetch", params, _Fetched)
        except RpcError as error:
            raise RuntimeUnreachable(f"OpenCode did not take {method} {path}: {error}") from error
        except TimeoutError as error:
            raise RuntimeUnreachable(
                f"OpenCode did not answer {method} {path} within {REQUEST_LIMIT}."
            ) from error
        return Response(fetched.status, fetched.body.encode())


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, or a high one for what is no release."""
    numbers = version.split("-")[0].split(".")
    return tuple(int(n) for n in numbers) if all(n.isdigit() for n in numbers) else (999,)
