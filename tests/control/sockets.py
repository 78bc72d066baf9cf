"""A service on fakes that listens on its control socket, and raw clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from world import World

from background_agents import __version__
from background_agents.adapters.system.processes import process_name
from background_agents.client.connection import Connection
from background_agents.control import places, protocol
from background_agents.control.server import ControlServer
from lab.harness.service import Service

T = TypeVar("T")

LIMIT_S = 10.0

PEOPLE = 30
"""Who wait at the same time, each in a thread."""

PROJECT = "p1"
"""Of the world."""


@dataclass
class Office:
    """What listens, and what is behind it."""

    world: World
    service: Service
    server: ControlServer
    path: Path
    _people: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(PEOPLE))

    @classmethod
    @asynccontextmanager
    async def open(cls, world: World, root: Path) -> AsyncIterator[Office]:
        """Listen in the data folder ``root``."""
        service = await world.service()
        path = places.path_of(root, process_name())

        def about() -> protocol.About:
            return protocol.About(version=__version__, pid=1, host_pid=2, active=0, served=())

        server = ControlServer(path, lambda: [service.user], about)
        await server.start()
        office = cls(world, service, server, path)
        try:
            yield office
        finally:
            await server.close()
            office._people.shutdown()

    async def call(self, use: Callable[[Connection], T]) -> T:
        """Use a client as a person's program does: without a loop, elsewhere."""

        def used() -> T:
            with Connection.at(self.path) as client:
                return use(client)

        return await asyncio.get_running_loop().run_in_executor(self._people, used)

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[Raw]:
        """Connect, to send and read bytes."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=2**26)
        try:
            yield Raw(reader, writer)
        finally:
            writer.close()

    async def is_alone(self) -> None:
        """Return once nobody is served any more."""
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*self.server._clients, return_exceptions=True)


@dataclass
class Raw:
    """A client that knows no protocol."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, method: str, number: int | None = 1, **params: object) -> None:
        """Send a request, or without a number a notification."""
        message = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
        self.writer.write(json.dumps(message).encode() + b"\n")

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self) -> Any:
        """Return the next message."""
        async with asyncio.timeout(LIMIT_S):
            return json.loads(await self.reader.readline())

    async def ask(self, method: str, **params: object) -> Any:
        """Return the answer to a request, past notifications."""
        self.send(method, **params)
        while "method" in (message := await self.read()):
            continue
        return message


async def run(*command: str) -> str:
    """Return what another program prints, while the service goes on."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(LIMIT_S):
        out, _ = await process.communicate()
    return out.decode()
