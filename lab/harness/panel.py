"""A scripted service, as the panel in a TUI meets it: a control socket that says what a test wants.

Speaks the protocol by the project's own ``rpc``, so that only what is said is made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from background_agents.control import places, protocol
from background_agents.rpc.connection import Answerer, Connection
from background_agents.rpc.descriptor import pump
from background_agents.rpc.messages import RpcError

Shown = Mapping[str, object]

EMPTY: Shown = {"counter": "", "head": "", "lines": [], "more": "", "note": "", "news": []}


class ScriptedService:
    """What one service says; made by ``scripted_service``."""

    def __init__(
        self, host_pid: int, shown: Shown, refuses: int, entries: Sequence[object]
    ) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        """Every call but ``about``: its method and what came with it."""
        self._host_pid = host_pid
        self._shown = shown
        self._refuses = refuses
        self._entries = entries
        self._watching: dict[Connection, object] = {}
        """Connections, and the sessions that they watch."""
        self._more = asyncio.Condition()

    def show(self, shown: Shown) -> None:
        """Tell all who watch what is to be shown from now on."""
        self._shown = shown
        for one, session in self._watching.items():
            one.notify("shown", {"session": session, **shown})

    async def heard(self, method: str, count: int = 1) -> Mapping[str, object]:
        """Wait for the ``count``-th call of a method and return what came with it."""

        def found() -> list[Mapping[str, object]]:
            return [params for name, params in self.asked if name == method]

        async with self._more:
            await self._more.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def about(_: msgspec.Raw) -> protocol.About:
            return protocol.About(version="1", pid=0, host_pid=self._host_pid, active=0, served=())

        async def answered(method: str, raw: msgspec.Raw) -> object:
            async with self._more:
                params = msgspec.json.decode(raw)
                self.asked.append((method, params))
                self._more.notify_all()
            if self._refuses:
                raise RpcError(self._refuses, f"{method} is refused.")
            if method == "watch":
                self._watching[connection] = session = params["session"]
                connection.notify("shown", {"session": session, **self._shown})
                await asyncio.Event().wait()
            return self._entries if method == "entries" else {}

        def answer(method: str) -> Answerer:
            async def call(raw: msgspec.Raw) -> object:
                return about(raw) if method == "about" else await answered(method, raw)

            return call

        methods = ("about", "watch", "entries", "read", "steer", "answer", "stop", "follow")
        connection = Connection(writer.write, calls={one: answer(one) for one in methods})
        try:
            await pump(reader, connection.feed)
        finally:
            await connection.close("The panel has left.")
            writer.close()


@asynccontextmanager
async def scripted_service(
    data_root: Path,
    name: str = "1-1",
    *,
    host_pid: int = 0,
    shown: Shown = EMPTY,
    refuses: int = 0,
    entries: Sequence[object] = (),
) -> AsyncIterator[ScriptedService]:
    """Listen where services listen; ``refuses`` is a code with which every call is refused."""
    service = ScriptedService(host_pid, shown, refuses, entries)
    folder = places.folder(data_root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.sock"
    clients: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        with suppress(asyncio.CancelledError):  # asyncio would call its end a failure
            await service._serve(reader, writer)

    with places.short(path) as short:
        server = await asyncio.start_unix_server(welcome, short)
    try:
        yield service
    finally:
        # As when it is killed: its socket stays, and nobody is there.
        server.close()
        for one in clients:
            one.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
