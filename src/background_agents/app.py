"""The composition root: wires adapters to ports, and does nothing else."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.changes.tree import FileTrees
from background_agents.adapters.changes.upkeep import Kept, tidy
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.files.leftovers import clear_leftovers
from background_agents.adapters.files.npm_plugin import finish_what_it_left
from background_agents.adapters.files.sessions import SessionFiles
from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.adapters.isolation.folder import origin_of
from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.v1.channel import OpenCodeChannel
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.adapters.opencode.v2.channel import OpenCode2Channel
from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.adapters.system import processes
from background_agents.adapters.system.clock import SystemClock
from background_agents.config import DATABASE, Settings
from background_agents.domain.ids import SortableIds
from background_agents.ports.supervisor import SupervisorChannel
from background_agents.service.context import ProjectContext, Tools
from background_agents.service.delegations import Delegations
from background_agents.service.periodic import Periodic
from background_agents.service.project import Project
from background_agents.service.tasks import Tasks
from background_agents.service.workspace import Workspace

log = logging.getLogger(__name__)

UPKEEP = timedelta(hours=6)
"""Between two looks for changes that are kept too long; what counts is kept by the day."""

AnyRuntime = OpenCodeRuntime | OpenCode2Runtime


class App:
    """The projects that one process serves, each with the directories that are open."""

    def __init__(self, settings: Settings, data_root: Path, tools: Tools) -> None:
        self._settings = settings
        self._data_root = data_root
        self._tools = tools
        self._projects: dict[Path, Project] = {}
        self._opening = asyncio.Lock()
        self._tasks = Tasks()

    def runtime(self, transport: Transport, line: int) -> AnyRuntime:
        """Return what runs the agents that ``transport`` reaches, in an OpenCode of a line."""
        # Background agents get none of ours, or are meant to have it.
        safe = (*self._settings.safe_tools, *self._tools.supervisors, *self._tools.children)
        kind = OpenCodeRuntime if line == 1 else OpenCode2Runtime
        return kind(transport, safe if self._settings.strict_readonly else None)

    async def open_directory(self, directory: Path, runtime: AnyRuntime) -> Delegations:
        """Serve ``directory``, whose agents ``runtime`` runs.

        Raises:
            StoreUnavailable: the data folder or the database cannot be used.
        """
        folder = self._data_root / await asyncio.to_thread(project_id, directory, self._data_root)
        async with self._opening:
            if folder not in self._projects:
                self._projects[folder] = await self._open_project(folder, str(directory))
        project = self._projects[folder]
        workspace = Workspace(project, str(directory), runtime, _channel(runtime))
        await project.open(workspace)
        return Delegations(workspace)

    def home_of(self, directory: str) -> str:
        """Return the directory that one is served with: an isolated tree's is what it copies."""
        return origin_of(Path(directory), self._data_root) or directory

    @property
    def projects(self) -> Sequence[Project]:
        """The projects of which a directory is open."""
        return tuple(self._projects.values())

    async def close(self) -> None:
        """Let go of everything; what runs is taken over by the next process."""
        await self._tasks.close()
        for project in self._projects.values():
            await project.close()
            await project.context.store.close()

    async def _open_project(self, folder: Path, directory: str) -> Project:
        """Open what is stored of a project, of which ``directory`` is one."""
        artifacts = MarkdownArtifacts(folder)
        await finish_what_it_left(folder, artifacts, folder.name, directory)
        journal = FileJournal(folder / FOLDER)
        largest = self._settings.changes_max_file_bytes
        store = await SqliteStore.open(folder / DATABASE, SessionFiles(folder, directory))
        context = ProjectContext(
            store=store,
            artifacts=artifacts,
            journal=journal,
            trees=FileTrees(journal.folder, journal.keep_soon, largest),
            tries=IsolatedWorktrees(folder),
            clock=SystemClock(),
            processes=processes,
            ids=SortableIds(random.SystemRandom()),
            project=folder.name,
            owner=processes.process_name(),
            tools=self._tools,
        )
        project = Project(context, self._settings)
        try:
            await project.start()
        except BaseException:
            await store.close()
            raise
        # Behind: it looks into every session's folder, and nobody waits for it.
        self._tasks.spawn(_clear_leftovers(folder), f"leftovers in {folder}")
        self._tasks.spawn(self._keep_up(journal, store), f"upkeep of {journal.folder}")
        return project

    async def _keep_up(self, journal: FileJournal, store: SqliteStore) -> None:
        """Keep what is kept of changes within its bounds, from now on."""
        days, size = self._settings.changes_days, self._settings.changes_max_mb * 2**20

        async def work() -> None:
            active = [one.id for one in await store.unfinished()]
            await asyncio.to_thread(tidy, journal, Kept(timedelta(days=days), size, active))

        upkeep = Periodic(SystemClock(), UPKEEP, work, f"upkeep of {journal.folder}")
        await upkeep.attempt()
        await upkeep.run()


def _channel(runtime: AnyRuntime) -> SupervisorChannel:
    if isinstance(runtime, OpenCodeRuntime):
        return OpenCodeChannel(runtime)
    return OpenCode2Channel(runtime)


async def _clear_leftovers(folder: Path) -> None:
    count = await clear_leftovers(folder)
    if count:
        log.info("%d half-written artifacts in %s were nobody's, and are gone", count, folder)
