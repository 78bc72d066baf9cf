"""A service on the shipped fakes, with a journal of what it did to the world, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tripwire import Tripwire, step_over

from background_agents.adapters.system import processes
from background_agents.adapters.system.processes import process_name
from background_agents.config import Settings
from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.events import (
    Ended,
    Event,
    InputAnswered,
    NoticeConfirmed,
    Registered,
)
from background_agents.domain.ids import SortableIds
from background_agents.domain.notice import Notice
from background_agents.domain.order import Order
from background_agents.hosts.opencode.tools import NAMES
from background_agents.ports.storage import Change
from background_agents.ports.supervisor import OutgoingMessage
from background_agents.service.context import Context
from background_agents.testing.clock import ManualClock
from background_agents.testing.contracts.stage import Heard
from background_agents.testing.memory import (
    MemoryArtifacts,
    MemoryJournal,
    MemoryStore,
    MemoryTrees,
)
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.testing.scripts import script
from background_agents.testing.tries import MemoryTries
from background_agents.testing.waiting import Changes
from background_agents.views import live
from lab.harness.service import Service

DIRECTORY = "/src/project"
"""The one directory of the project that is open."""

DEAD = "0:long ago"
"""The owner's name of a process that is gone."""

SETTLE_TURNS = 50
"""More turns of the loop than any chain of steps here takes."""

LIVING = process_name()
"""The owner's name of a process that lives: ours."""

QUIET = timedelta(seconds=2)
"""What an abort is given before it is repeated."""

HANG: dict[str, object] = {"hang": True}


def bash(command: str, say: str = "") -> dict[str, object]:
    """Return a step that runs a command, after it has said something."""
    return {"say": say, "call": "bash", "args": {"command": command}}


def questions(*asked: tuple[str, Sequence[str]]) -> dict[str, object]:
    """Return a step that asks questions, each with the answers that it suggests."""
    listed = [
        {"question": text, "options": [{"label": label} for label in labels]}
        for text, labels in asked
    ]
    return {"call": "question", "args": {"questions": listed}}


@dataclass
class Journal:
    """What was done, in order."""

    entries: list[tuple[str, str]] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    def note(self, what: str, about: str) -> None:
        self.entries.append((what, about))
        self.changes.tell()

    def of(self, what: str) -> list[str]:
        return [about for done, about in self.entries if done == what]


class NotedStore(MemoryStore):
    tripwire: Tripwire | None = None
    """Stepped over before and after each commit."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def prune(self, delegation: str) -> None:
        """Delete a delegation that has ended, as its human may do from elsewhere."""
        del self._delegations[delegation], self._events[delegation]
        notices = self._notices.items()
        self._notices = {name: one for name, one in notices if one.delegation != delegation}

    def now(self, delegation: str) -> Delegation:
        return self._delegations[delegation]

    def has_receipt(self, delegation: str) -> bool:
        return any(isinstance(one, NoticeConfirmed) for one in self._events[delegation])

    async def register(self, event: Registered) -> Delegation:
        registered = await super().register(event)
        self.journal.note("register", event.id)
        return registered

    async def commit(self, change: Change) -> None:
        try:
            step_over(self.tripwire)
            await super().commit(change)
            step_over(self.tripwire)
        finally:
            self.journal.note("try to commit", change.after.id)
        ending = any(isinstance(event, Ended) for event in change.events)
        self.journal.note("end" if ending else "commit", change.after.id)

    async def settle(self, notices: Sequence[Notice]) -> None:
        await super().settle(notices)
        for notice in notices:
            self.journal.note(str(notice.state), notice.delegation)


class NotedArtifacts(MemoryArtifacts):
    tripwire: Tripwire | None = None
    """Stepped over before each artifact is written."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    async def write(self, delegation: Delegation, result: str) -> Path:
        try:
            step_over(self.tripwire)
            path = await super().write(delegation, result)
        finally:
            self.journal.note("try to write", delegation.id)
        self.journal.note("artifact", delegation.id)
        return path


class TrippingRuntime(ScriptedRuntime):
    tripwire: Tripwire | None = None
    """Stepped over by every coroutine that would ask the runtime."""

    def _check(self) -> None:
        super()._check()
        step_over(self.tripwire)


class NotedChannel(ScriptedChannel):
    def __init__(self, runtime: ScriptedRuntime, journal: Journal) -> None:
        super().__init__(runtime)
        self.journal = journal

    async def deliver(self, message: OutgoingMessage) -> None:
        self.journal.note("deliver", message.message)
        await super().deliver(message)


class World:
    """The fakes, a supervisor's session, and services that come and go."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.runtime = TrippingRuntime()
        self.channel = NotedChannel(self.runtime, self.journal)
        self.store = NotedStore(self.journal)
        self.artifacts = NotedArtifacts(self.journal)
        self.changes = MemoryJournal()
        self.trees = MemoryTrees(self.changes)
        self.tries = MemoryTries()
        self.clock = ManualClock()
        self.supervisor = self.runtime.add_session()
        self.heard = Heard()
        self.runtime.subscribe(self.heard.hear)
        self._ids = SortableIds(random.Random(1))
        self._open: list[Service] = []
        self._asked: list[asyncio.Task[object]] = []

    async def service(
        self, settings: Settings | None = None, *, owner: str = DEAD, max_concurrent: int = 8
    ) -> Service:
        """Start a service; by its owner's name its process is already gone."""
        service = Service(self.context(owner), settings or Settings(max_concurrent=max_concurrent))
        await service.start()
        self._open.append(service)
        return service

    def context(self, owner: str) -> Context:
        """Return the fakes as a process of that name has them."""
        return Context(
            runtime=self.runtime,
            channel=self.channel,
            store=self.store,
            artifacts=self.artifacts,
            journal=self.changes,
            trees=self.trees,
            tries=self.tries,
            clock=self.clock,
            processes=processes,
            ids=self._ids,
            project="p1",
            directory=DIRECTORY,
            owner=owner,
            tools=NAMES,
        )

    def ask(self, operation: Callable[[Service, str], Coroutine[None, None, object]]) -> None:
        """Begin an operation on the only delegation; ``answers`` waits for what came of it."""
        (name,) = self.journal.of("register")
        self._asked.append(asyncio.create_task(operation(self._open[0], name)))

    async def answers(self) -> list[object]:
        """Return what every operation that was asked for has returned or raised."""
        async with asyncio.timeout(5):
            return await asyncio.gather(*self._asked, return_exceptions=True)

    async def close(self) -> None:
        for service in self._open:
            await service.close()

    async def commit(self, delegation: Delegation, event: Event) -> None:
        """Store an event as the process that has died did at its last moment."""
        now = self.now(delegation)
        await self.store.commit(Change(after=apply(now, event), events=(event,)))

    # --- steps -------------------------------------------------------------------

    async def delegate(
        self,
        service: Service,
        *steps: dict[str, object],
        agent: str = "build",
        minutes: float | None = None,
        model: str | None = None,
        supervisor: str | None = None,
        continue_id: str | None = None,
        by: str = "",
        max_turns: int | None = None,
        max_tokens: int | None = None,
        max_cost_usd: float | None = None,
    ) -> Delegation:
        """Delegate a scripted task."""
        prompt = f"Look into it.\n{script(*steps)}"
        limits = (max_turns, max_tokens, max_cost_usd)
        request = Order(prompt, agent, minutes, model, continue_id, *limits)
        return await service.delegate(supervisor or self.supervisor, request, by=by)

    async def working(self, delegation: Delegation) -> ScriptedSession:
        """Return the child session of a delegation once it writes an answer."""
        await self.until(lambda: self.now(delegation).session is not None)
        session = self.now(delegation).session or ""
        await self.heard.until(lambda: self.heard.works(session))
        return self.runtime.sessions[session]

    async def ended(self, delegation: Delegation) -> Delegation:
        """Return a delegation once it is terminal in the store."""
        await self.until(lambda: self.now(delegation).is_terminal)
        return self.now(delegation)

    async def received(self, delegation: Delegation) -> None:
        """Return once the receipt of its notice is in a delegation's history."""
        await self.until(lambda: self.store.has_receipt(delegation.id))

    async def waits(self, delegation: Delegation, count: int = 1) -> tuple[Ask, ...]:
        """Return what a delegation waits for, once it is so much."""
        await self.until(lambda: len(self.now(delegation).requests) >= count)
        await self.settle()
        return tuple(one.ask for one in self.now(delegation).requests)

    async def goes_on(self, delegation: Delegation) -> None:
        """Return once a delegation waits for nothing any more."""
        await self.until(lambda: not self.now(delegation).requests)
        await self.settle()

    def below(self, parent: ScriptedSession, *steps: dict[str, object]) -> ScriptedSession:
        """Begin a run in a session below another, which needs a permission for ``bash``."""
        session = self.runtime.sessions[self.runtime.add_session(parent.name)]
        session.asking.add("bash")
        self.runtime.user_says(session.name, script(*steps))
        return session

    async def replies(self, delegation: Delegation) -> list[tuple[str, str]]:
        """Return how a delegation's requests were answered, and by whom, by its history."""
        history = await self.store.history(delegation.id)
        return [(one.reply, one.by) for one in history if isinstance(one, InputAnswered)]

    async def status(self, service: Service) -> str:
        """Return the status that the supervisor's model sees."""
        return live.status(await service.status(self.supervisor))

    async def told(self, tag: str, count: int = 1) -> list[str]:
        """Return the notices of one kind to the supervisor, once there are so many."""
        await self.channel.changes.until(lambda: len(self._of_kind(tag)) >= count)
        return self._of_kind(tag)

    def _of_kind(self, tag: str) -> list[str]:
        messages = self.channel.delivered(self.supervisor)
        return [text for parts in messages for text in parts if text.startswith(f"<{tag}>")]

    async def notified(self, count: int = 1) -> list[tuple[str, ...]]:
        """Return the messages to the supervisor once there are so many with a receipt."""
        messages = await self.channel.until_delivered(self.supervisor, count)
        await self.until(lambda: len(self.journal.of("confirmed")) >= sum(map(len, messages)))
        return messages

    async def settle(self) -> None:
        """Let everything go on that does not wait for time."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)

    async def until(self, holds: Callable[[], bool]) -> None:
        await self.journal.changes.until(holds)

    def now(self, delegation: Delegation) -> Delegation:
        return self.store.now(delegation.id)

    async def artifact(self, delegation: Delegation) -> str:
        return await self.artifacts.read(self.now(delegation))

    def advance(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))
