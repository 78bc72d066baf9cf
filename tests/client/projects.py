"""A project whose agents are fakes and whose storage and socket are real."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from background_agents import AsyncHandle, EventSheet, __version__, config
from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.adapters.system import processes
from background_agents.adapters.system.clock import SystemClock
from background_agents.adapters.system.processes import process_name
from background_agents.client.place import place_of
from background_agents.config import Settings
from background_agents.control import places, protocol
from background_agents.control.server import ControlServer
from background_agents.domain.ids import SortableIds
from background_agents.hosts.opencode.tools import NAMES
from background_agents.service.context import Context
from background_agents.service.user import UserDelegations
from background_agents.testing.contracts.stage import Heard
from background_agents.testing.memory import MemoryTrees
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.testing.scripts import script
from background_agents.testing.tries import MemoryTries
from background_agents.testing.waiting import Changes
from lab.harness.service import Service

LAST = "NoticeQueued"
"""Stored with the end; what is stored after it may be there or not, whenever one looks."""

HANG: dict[str, object] = {"hang": True}


class Project:
    """A folder, and the agents of the OpenCode that has it open."""

    def __init__(self, folder: Path, beside: Project | None = None) -> None:
        """``beside``: the project on whose service's socket this one is served, too."""
        folder.mkdir()
        self._beside = beside
        self._guests_here: list[tuple[Project, Service]] = []
        self.folder = folder
        self.place = place_of(folder)
        self.process = process_name()
        self.runtime = ScriptedRuntime()
        self._ids = SortableIds(random.Random(1))
        self._services = self._guests = 0
        self._changes = Changes()
        self._heard = Heard()
        self.runtime.subscribe(self._heard.hear)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """Serve the project until the block ends, as by a kill: nothing is given back."""
        self._forget_claims()
        root, owner = self.place.data_root, f"{self.process}:{self._services}"
        self._services += 1
        store = await SqliteStore.open(self.place.folder / config.DATABASE)
        context = Context(
            runtime=self.runtime,
            channel=ScriptedChannel(self.runtime),
            store=store,
            artifacts=MarkdownArtifacts(self.place.folder),
            journal=FileJournal(self.place.folder / "changes"),
            trees=MemoryTrees(),
            tries=MemoryTries(),
            clock=SystemClock(),
            processes=processes,
            ids=self._ids,
            project=self.place.project,
            directory=str(self.folder),
            owner=owner,
            tools=NAMES,
        )
        service = Service(context, Settings())
        await service.start()
        if self._beside is not None:
            self._beside._guests_here.append((self, service))
            yield service
            await service.close()
            await store.close()
            return

        def users() -> list[UserDelegations]:
            return [service.user, *(guest.user for _, guest in self._guests_here)]

        server = _Server(places.path_of(root, owner), users, self._about)
        server.welcomed = self._counted
        await server.start()
        try:
            yield service
        finally:
            await server.close()
            await service.close()
            await store.close()

    def prompt(self, *steps: dict[str, object]) -> str:
        """Return a task for an agent that plays ``steps``."""
        return f"Look into it.\n{script(*steps)}"

    async def working(self, delegation: AsyncHandle) -> ScriptedSession:
        """Return the session of an agent once it writes an answer."""
        events = delegation.events()
        while (await anext(events)).event != "Launched":
            pass
        session = (await delegation.status()).session or ""
        await self._heard.until(lambda: self._heard.works(session))
        return self.runtime.sessions[session]

    async def serves(self, guests: int) -> None:
        """Return once so many connections to a service are open."""
        await self._changes.until(lambda: self._guests == guests)

    def _counted(self, more: int) -> None:
        self._guests += more
        self._changes.tell()

    def _about(self) -> protocol.About:
        served = tuple(
            protocol.Served(project=one.place.project, directory=str(one.folder), base_url="")
            for one in (self, *(guest for guest, _ in self._guests_here))
        )
        return protocol.About(version=__version__, pid=1, host_pid=2, active=0, served=served)

    def _forget_claims(self) -> None:
        """Have the process before us ended: ours lives, and so its claim would."""
        database = self.place.folder / config.DATABASE
        if database.exists():
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("DELETE FROM leases")
                connection.commit()


class _Server(ControlServer):
    """Counts who is there."""

    welcomed: Callable[[int], None]

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.welcomed(1)
        try:
            await super()._welcome(reader, writer)
        finally:
            self.welcomed(-1)


async def life(events: AsyncIterable[EventSheet]) -> list[str]:
    """Return what happened to a delegation, up to its end."""
    happened = [one.event async for one in events]
    return happened[: happened.index(LAST) + 1]
