"""The tools as models call them, of two supervisors that share one project."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path

import msgspec

from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.system import processes
from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.ids import SortableIds
from background_agents.hosts.opencode.tools import NAMES, Answer, Call, run_tool
from background_agents.service.context import Context
from background_agents.testing.clock import ManualClock
from background_agents.testing.memory import MemoryJournal, MemoryStore, MemoryTrees
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripts import script
from background_agents.testing.tries import MemoryTries
from lab.harness.service import Service

LIMIT_S = 20
"""For what takes milliseconds on an idle machine."""


class Toolbox:
    """A service on fakes whose artifacts are real files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.runtime = ScriptedRuntime()
        self.channel = ScriptedChannel(self.runtime)
        self.ours, self.theirs = self.runtime.add_session(), self.runtime.add_session()
        """Two root sessions."""
        self.store = MemoryStore()
        self.clock = ManualClock()
        self.artifacts = MarkdownArtifacts(folder)
        context = Context(
            runtime=self.runtime,
            channel=self.channel,
            store=self.store,
            artifacts=self.artifacts,
            journal=MemoryJournal(),
            trees=MemoryTrees(),
            tries=MemoryTries(),
            clock=self.clock,
            processes=processes,
            ids=SortableIds(random.Random(1)),
            project="p1",
            directory="/src/project",
            owner="me",
            tools=NAMES,
        )
        self.service = Service(context, Settings(max_concurrent=1000))

    async def call(self, session: str, tool: str, **args: object) -> Answer:
        """Call a tool as the model of a session."""
        raw = msgspec.Raw(json.dumps(args).encode())
        return await run_tool(self.service, Call(1, tool, session, args=raw))

    async def running(self, session: str) -> str:
        """Return the id of a delegation that runs until it is stopped."""
        prompt = f"Wait.\n{script({'say': 'So far.', 'hang': True})}"
        answer = await self.call(session, "delegate", prompt=prompt, agent="build")
        return str(answer.metadata["id"])

    async def ended(self, session: str, text: str = "Done.", repeat: int = 1) -> str:
        """Return the id of a delegation that has ended with ``text``, in the store too."""
        prompt = f"Say it.\n{script({'say': text, 'repeat': repeat})}"
        before = len(self.channel.delivered(session))
        answer = await self.call(session, "delegate", prompt=prompt, agent="build")
        await self.channel.until_delivered(session, before + 1)
        return str(answer.metadata["id"])

    async def all_ended(self, session: str) -> None:
        """Return once nothing runs for a session; the clock of the wait's own limit stands."""
        async with asyncio.timeout(LIMIT_S):
            await self.call(session, "delegation_wait", timeout_seconds=600)

    async def waited(self, session: str, **args: object) -> Answer:
        """Call ``delegation_wait`` and let its time pass."""
        waiting = asyncio.create_task(self.call(session, "delegation_wait", **args))
        # It arms its timer in this turn of the loop or one of the next.
        while not waiting.done():
            await asyncio.sleep(0)
            self.clock.advance(timedelta(seconds=1))
        return await waiting

    async def record(self, name: str) -> Delegation:
        """Return what the store holds of a delegation."""
        found = await self.store.get(name)
        assert found is not None
        return found
