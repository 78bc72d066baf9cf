"""A working tree in which agents and a human work, and a process that notes what they change."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from world import World

from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.tree import FileTrees
from background_agents.adapters.system.clock import SystemClock
from background_agents.domain.changes import Changes, Image, Kind, Window
from background_agents.domain.delegation import register
from background_agents.hosts.opencode.writes import ToolCall as Call
from background_agents.service.changes.calls import Written
from background_agents.service.changes.recorder import Recorder
from background_agents.service.tasks import Tasks
from background_agents.testing.contracts.samples import registered

Line = tuple[str, object, object, str]

OTTER, HERON = "brave-amber-otter", "calm-blue-heron"


class Office:
    """A working tree, its journals, and whoever works there."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "src"
        self.top.mkdir()
        self.journal = FileJournal(folder / "project" / "changes")
        self.trees = FileTrees(self.journal.folder, self.journal.keep, 100_000)
        self.tasks = Tasks()
        self._folder = folder
        self._number = 0
        self.recorder = self.begin()

    def begin(self) -> Recorder:
        """Return what a process notes changes with."""
        world = World()
        context = replace(
            world.context("me"), journal=self.journal, trees=self.trees, clock=SystemClock()
        )
        return Recorder(context, self.tasks)

    async def start(self, owner: str, tool: str, **args: object) -> Call:
        """Begin a call, in a session that is named as its owner."""
        self._number += 1
        call = Call(session=f"ses_{owner}", id=f"call_{self._number}", tool=tool, args=args)
        await self.recorder.before(call, str(self.top), owner)
        return call

    async def end(self, call: Call, *told: Written, failed: bool = False) -> None:
        await self.recorder.after(call.session, call.id, told, failed=failed)

    async def write(self, owner: str, name: str, content: str) -> None:
        """Do what the tool does."""
        call = await self.start(owner, "write", filePath=str(self.top / name), content=content)
        (self.top / name).write_text(content)
        await self.end(call)

    async def finish(self, owner: str) -> Changes:
        return await self.recorder.finish(register(registered(owner)))

    async def so_far(self, owner: str) -> Changes:
        return await self.recorder.so_far(register(registered(owner)))

    async def told(self, owner: str) -> list[Line]:
        """Return path, contents and certainty of each change, in order of their paths."""
        await self.quiet()
        return await asyncio.to_thread(self._told, owner)

    async def quiet(self) -> None:
        """Return once nothing goes on behind."""
        await asyncio.gather(*self.tasks.running)

    async def open(self, owner: str) -> list[Window]:
        """Return what is open."""
        return await asyncio.to_thread(self.journal.windows, owner)

    def _told(self, owner: str) -> list[Line]:
        lines = [
            (one.path, self.shown(one.before), self.shown(one.after), str(one.certainty))
            for one in self.journal.segments(owner)
        ]
        return sorted(lines, key=lambda line: line[0])

    def shown(self, image: Image) -> object:
        if image.kind is Kind.ABSENT:
            return None
        return image.why or self.journal.content(image.digest).decode()
