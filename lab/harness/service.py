"""A whole service on ports of one's own: a project with one directory, as a process has it open."""

from __future__ import annotations

from background_agents.config import Settings
from background_agents.service.context import Context
from background_agents.service.delegations import Delegations
from background_agents.service.project import Project
from background_agents.service.user import UserDelegations
from background_agents.service.workspace import Workspace


class Service(Delegations):
    """What a supervisor may do in the directory of ``context``, and the project behind it."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self.project = Project(context, settings)
        self.workspace = Workspace(
            self.project, context.directory, context.runtime, context.channel
        )
        super().__init__(self.workspace)

    @property
    def user(self) -> UserDelegations:
        """What the project's user may do."""
        return self.project.user

    async def start(self) -> None:
        """Take over orphans, deliver notices that are due, and begin to follow events."""
        await self.project.start()
        await self.project.open(self.workspace)

    async def close(self) -> None:
        """Let go, as a process does that ends."""
        await self.project.close()
