"""The composition root: wires adapters to ports, and does nothing else."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

from background_agents.adapters.artifacts import MarkdownArtifacts
from background_agents.adapters.identity import project_id
from background_agents.adapters.leftovers import clear_leftovers
from background_agents.adapters.npm_plugin import finish_what_it_left
from background_agents.adapters.opencode.channel import OpenCodeChannel
from background_agents.adapters.opencode.runtime import OpenCodeRuntime
from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.session_files import SessionFiles
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.config import DATABASE, Settings
from background_agents.domain.ids import SortableIds
from background_agents.service.clock import SystemClock
from background_agents.service.context import Context
from background_agents.service.delegations import Delegations
from background_agents.service.desk import Desk
from background_agents.service.processes import process_name
from background_agents.service.tasks import Tasks

log = logging.getLogger(__name__)


class App:
    """The projects that one process serves. Worktrees of a project share its store."""

    def __init__(self, settings: Settings, data_root: Path) -> None:
        self._settings = settings
        self._data_root = data_root
        self._stores: dict[str, SqliteStore] = {}
        self._opening = asyncio.Lock()
        self._open: list[Delegations] = []
        self._tasks = Tasks()

    async def open_project(self, directory: Path, transport: Transport) -> Delegations:
        """Serve the project in ``directory``, whose agents ``transport`` reaches.

        Raises:
            StoreUnavailable: the data folder or the database cannot be used.
        """
        strict = self._settings.strict_readonly
        runtime = OpenCodeRuntime(transport, self._settings.safe_tools if strict else None)
        project = await asyncio.to_thread(project_id, directory, self._data_root)
        folder = self._data_root / project
        context = Context(
            runtime=runtime,
            channel=OpenCodeChannel(runtime),
            store=await self._store(folder, str(directory)),
            artifacts=MarkdownArtifacts(folder),
            clock=SystemClock(),
            ids=SortableIds(random.SystemRandom()),
            project=project,
            directory=str(directory),
            owner=process_name(),
        )
        delegations = Delegations(context, self._settings)
        await delegations.start()
        self._open.append(delegations)
        return delegations

    @property
    def desks(self) -> list[Desk]:
        """The user's side of each project directory that is open."""
        return [delegations.desk for delegations in self._open]

    async def close(self) -> None:
        """Let go of everything; what runs is taken over by the next process."""
        await self._tasks.close()
        for delegations in self._open:
            await delegations.close()
        for store in self._stores.values():
            await store.close()

    async def _store(self, folder: Path, directory: str) -> SqliteStore:
        async with self._opening:
            key = str(folder)
            if key not in self._stores:
                artifacts = MarkdownArtifacts(folder)
                await finish_what_it_left(folder, artifacts, folder.name, directory)
                files = SessionFiles(folder, directory)
                self._stores[key] = await SqliteStore.open(folder / DATABASE, files)
                # Behind: it looks into every session's folder, and nobody waits for it.
                self._tasks.spawn(_clear_leftovers(folder), f"leftovers in {folder}")
            return self._stores[key]


async def _clear_leftovers(folder: Path) -> None:
    count = await clear_leftovers(folder)
    if count:
        log.info("%d half-written artifacts in %s were nobody's, and are gone", count, folder)
