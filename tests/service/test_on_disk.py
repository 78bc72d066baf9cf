"""The service on its real storage: SQLite and markdown, through a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.adapters.system import processes
from background_agents.adapters.system.clock import SystemClock
from background_agents.adapters.system.processes import process_name
from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.ids import SortableIds
from background_agents.domain.order import Order
from background_agents.domain.status import Status
from background_agents.hosts.opencode.tools import NAMES
from background_agents.service.context import Context
from background_agents.testing.contracts.stage import Heard
from background_agents.testing.memory import MemoryTrees
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripts import script
from background_agents.testing.tries import MemoryTries
from background_agents.views import model as for_model
from lab.harness.service import Service

DEAD = "0:long ago"

LIVING = process_name()


class Disk:
    """Fakes for the agents, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = ScriptedRuntime()
        self.channel = ScriptedChannel(self.runtime)
        self.supervisor = self.runtime.add_session()
        self.heard = Heard()
        self.runtime.subscribe(self.heard.hear)

    @asynccontextmanager
    async def service(self, owner: str) -> AsyncIterator[Service]:
        store = await SqliteStore.open(self.folder / "delegations.db")
        context = Context(
            runtime=self.runtime,
            channel=self.channel,
            store=store,
            artifacts=MarkdownArtifacts(self.folder),
            journal=FileJournal(self.folder / "changes"),
            trees=MemoryTrees(),
            tries=MemoryTries(),
            clock=SystemClock(),
            processes=processes,
            ids=SortableIds(random.Random(1)),
            project="p1",
            directory="/src/project",
            owner=owner,
            tools=NAMES,
        )
        service = Service(context, Settings())
        await service.start()
        try:
            yield service
        finally:
            await service.close()
            await store.close()

    async def delegate(self, service: Service, *steps: dict[str, object]) -> Delegation:
        request = Order(f"Look into it.\n{script(*steps)}", "build")
        return await service.delegate(self.supervisor, request)


@pytest.fixture
async def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def test_a_delegation_from_start_to_reading(disk: Disk) -> None:
    async with disk.service(LIVING) as service:
        delegation = await disk.delegate(service, {"say": "Es ist PKCE. 🦦"})
        ((notice,),) = await disk.channel.until_delivered(disk.supervisor, 1)
        assert delegation.id in notice
        found = await service.read(disk.supervisor, delegation.id)
        assert for_model.reading(found).endswith("Es ist PKCE. 🦦")
        assert found.path.read_text("utf-8").endswith("Es ist PKCE. 🦦")


async def test_twenty_at_once_are_told_once_each(disk: Disk) -> None:
    async with disk.service(LIVING) as service:
        many = [await disk.delegate(service, {"say": "Done."}) for _ in range(20)]

        def told() -> list[str]:
            return [one for message in disk.channel.delivered(disk.supervisor) for one in message]

        await disk.channel.changes.until(lambda: len(told()) >= 20)
        for delegation in many:
            assert sum(delegation.id in notice for notice in told()) == 1
        assert (await service.list(disk.supervisor)).total == 20


async def test_what_a_dead_process_left_is_taken_over(disk: Disk) -> None:
    async with disk.service(DEAD) as service:
        running = await disk.delegate(service, {"say": "So far.", "gate": "restart"})
        await disk.heard.until(lambda: any(disk.heard.works(s) for s in disk.runtime.sessions))
        await asyncio.sleep(0)
    async with disk.service(LIVING) as service:
        disk.runtime.open("restart")
        await disk.channel.until_delivered(disk.supervisor, 1)
        found = await service.read(disk.supervisor, running.id)
    assert found.delegation.status is Status.COMPLETED
    assert (found.text or "").endswith("So far.")
