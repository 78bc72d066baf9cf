"""OpenCode 1's hooks: which are the model's of a session, and which OpenCode's own housekeeping."""

from __future__ import annotations

import asyncio
import logging

from background_agents.adapters.opencode.agents import GOVERNING, OWN, whose_prompt
from background_agents.adapters.opencode.permissions import is_denied
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.domain.errors import DelegationError
from background_agents.hosts.opencode.hooks import HookCall, Hooks, Told
from background_agents.service.guidance import Guidance
from background_agents.service.tasks import Tasks

log = logging.getLogger(__name__)

BY_COMMAND = "prt_"
"""How the call id begins when a command with ``subtask: true`` runs the ``task`` tool, which is
the user's wish; a model's calls have the ids that its provider gave them."""


class OpenCodeHooks(Hooks):
    """The hooks of one project of an OpenCode 1."""

    def __init__(self, runtime: OpenCodeRuntime) -> None:
        super().__init__()
        self._runtime = runtime
        self._tasks = Tasks()
        self._preparing: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Ask for the agents already now: OpenCode takes its time for that, and a hook has none."""
        self.close()
        self._preparing = self._tasks.spawn(self._prepare(), "asking for the agents")

    def close(self) -> None:
        """Ask for nothing more."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def _prepare(self) -> None:
        try:
            await self._runtime.infos()
        except DelegationError as error:
            log.info("the agents are asked for when a hook needs them: %s", error)

    async def _run(self, call: HookCall, guidance: Guidance) -> str | Told | None:
        if call.hook == "system":
            return await self._rules(call, guidance)
        return await super()._run(call, guidance)

    async def _rules(self, call: HookCall, guidance: Guidance) -> str | None:
        # Titles and summaries are written by hidden agents in the name of the session.
        agent = whose_prompt(await self._runtime.infos(), call.system)
        if agent is not None and agent.hidden:
            return None
        needed = OWN if await guidance.is_background(call.session) else GOVERNING
        has_tools = agent is None or not any(is_denied(agent.permission, one) for one in needed)
        self._remember(call.session, has_tools=has_tools)
        return await guidance.rules(call.session, has_tools=has_tools)

    def _is_users(self, call: HookCall) -> bool:
        return call.call.startswith(BY_COMMAND)

    async def _at_work_in(self, call: HookCall) -> str:
        """Return the agent that calls a tool just now, which this hook is not told."""
        newest = await self._runtime.api.messages(call.session, limit=1)
        return (newest[-1].info.agent or "") if newest else ""
