"""What every part of the service works with: the ports, and who we are.

A project is served as a whole in one store; what runs in it belongs to one of its directories,
whose runtime and channel come in addition.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StaleVersion, UnknownDelegation
from background_agents.domain.events import Event
from background_agents.domain.ids import SortableIds
from background_agents.domain.notice import Notice
from background_agents.ports.changes import ChangeJournal, WorkingTrees
from background_agents.ports.clock import Clock
from background_agents.ports.isolation import IsolatedTrees
from background_agents.ports.processes import Processes
from background_agents.ports.runtime import AgentRuntime
from background_agents.ports.storage import ArtifactStore, Change, DelegationStore
from background_agents.ports.supervisor import SupervisorChannel

AMEND_ATTEMPTS = 10
"""A delegation that has ended is changed by its reader, its notice and its better title:
three writers, each once, so that a fourth attempt is already one too many."""


class Record(Protocol):
    """Stores events of one run, with the notices that go with them."""

    async def __call__(self, *events: Event, notices: tuple[Notice, ...] = ()) -> Delegation:
        """Return the delegation as it then is."""


@dataclass(frozen=True)
class Tools:
    """The names of the tools that a host gives to models."""

    supervisors: tuple[str, ...]
    children: tuple[str, ...]
    """What background agents get, and nobody else."""


@dataclass(frozen=True, kw_only=True)
class ProjectContext:
    """Where one project is stored, this process's name there, and what it gives to models."""

    store: DelegationStore
    artifacts: ArtifactStore
    journal: ChangeJournal
    tries: IsolatedTrees
    """What its delegations changed; it blocks, and belongs on a worker thread."""
    trees: WorkingTrees
    """The files that they work on; as the journal, it blocks."""
    clock: Clock
    processes: Processes
    ids: SortableIds
    project: str
    owner: str
    tools: Tools

    def mint(self, prefix: str) -> str:
        """Return a new id that sorts by time."""
        return self.ids.mint(prefix, self.clock.now())

    async def amend(self, delegation: Delegation, event: Event) -> Delegation:
        """Apply ``event`` to a delegation that has ended, whoever else is changing it too."""
        for _ in range(AMEND_ATTEMPTS):
            now = await self.store.get(delegation.id)
            if now is None:
                raise UnknownDelegation(delegation.id)
            changed = Change(after=apply(now, event), events=(event,))
            try:
                await self.store.commit(changed)
            except StaleVersion:
                continue
            return changed.after
        raise StaleVersion(delegation.id, delegation.version)

    def within(self, directory: str, runtime: AgentRuntime, channel: SupervisorChannel) -> Context:
        """Return the same for one directory of the project, with what reaches its agents."""
        shared = {one.name: getattr(self, one.name) for one in fields(ProjectContext)}
        return Context(**shared, directory=directory, runtime=runtime, channel=channel)


@dataclass(frozen=True, kw_only=True)
class Context(ProjectContext):
    """The ports of one directory of a project."""

    directory: str
    runtime: AgentRuntime
    channel: SupervisorChannel

    def denied_tools(self, *, may_delegate: bool) -> tuple[str, ...]:
        """Return what a background agent does not get; the deepest get nothing to delegate with."""
        native = self.runtime.native_tool
        return (native,) if may_delegate else (*self.tools.supervisors, native)

    def left_to(self, settings: Settings) -> str:
        """Return the tool for agents that may not be delegated to since they can write, if any."""
        return self.runtime.native_tool if settings.strict_readonly else ""
