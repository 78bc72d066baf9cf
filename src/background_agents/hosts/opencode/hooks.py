"""OpenCode's hooks, as the bridge hands them over, turned into questions to ``Guidance``.

Knows which calls are OpenCode's own and none of the session's model. What cannot be found
out is left unsaid: no hook keeps OpenCode from going on.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import msgspec

from background_agents.adapters.opencode.agents import GOVERNING, whose_prompt
from background_agents.adapters.opencode.permissions import is_denied
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.control.shells import Starter, mark_for
from background_agents.domain.errors import DelegationError, InvalidRequest
from background_agents.service.guidance import Guidance
from background_agents.service.tasks import Tasks

log = logging.getLogger(__name__)

BY_COMMAND = "prt_"
"""How the call id begins when a command with ``subtask: true`` runs the ``task`` tool, which is
the user's wish; a model's calls have the ids that its provider gave them."""


class HookCall(msgspec.Struct):
    """A hook that OpenCode has run. Each has the members that it needs."""

    instance: int
    hook: str
    session: str
    system: str = ""
    """The system prompt as it was before us."""
    agent: str = ""
    """Which agent a ``task`` is for."""
    call: str = ""


class Hooks:
    """The hooks of one project."""

    def __init__(self, runtime: OpenCodeRuntime) -> None:
        self._runtime = runtime
        self._tasks = Tasks()
        self._preparing: asyncio.Task[None] | None = None
        self._without_delegate: set[str] = set()
        """Sessions whose agent is not offered it, as far as its last step told."""

    def prepare(self) -> None:
        """Ask for the agents already now: OpenCode takes its time for that, and a hook has none."""
        self.close()
        self._preparing = self._tasks.spawn(self._prepare(), "asking for the agents")

    def close(self) -> None:
        """Ask for nothing more."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def run(self, call: HookCall, guidance: Guidance) -> str | None:
        """Return what the hook has to say, or None."""
        try:
            return await self._run(call, guidance)
        except DelegationError as error:
            log.warning("the hook %s said nothing for %s: %s", call.hook, call.session, error)
            return None

    async def _prepare(self) -> None:
        try:
            await self._runtime.infos()
        except DelegationError as error:
            log.info("the agents are asked for when a hook needs them: %s", error)

    async def _run(self, call: HookCall, guidance: Guidance) -> str | None:
        match call.hook:
            case "system":
                return await self._rules(call, guidance)
            case "compacting":
                return await guidance.carried_over(call.session)
            case "shell":
                is_background = await guidance.is_background(call.session)
                return mark_for(Starter.BACKGROUND if is_background else Starter.SUPERVISOR)
            case "task":
                if call.call.startswith(BY_COMMAND) or call.session in self._without_delegate:
                    return None
                by = partial(self._at_work_in, call.session)
                return await guidance.refused_task(call.session, call.agent, by)
            case _:
                raise InvalidRequest("there is no such hook; the plugin is of another version.")

    async def _rules(self, call: HookCall, guidance: Guidance) -> str | None:
        # Titles and summaries are written by hidden agents in the name of the session.
        agent = whose_prompt(await self._runtime.infos(), call.system)
        if agent is not None and agent.hidden:
            return None
        has_tools = agent is None or not any(is_denied(agent.permission, one) for one in GOVERNING)
        remember = self._without_delegate.discard if has_tools else self._without_delegate.add
        remember(call.session)
        return await guidance.rules(call.session, has_tools=has_tools)

    async def _at_work_in(self, session: str) -> str:
        """Return the agent that calls a tool just now, which this hook is not told."""
        newest = await self._runtime.api.messages(session, limit=1)
        return (newest[-1].info.agent or "") if newest else ""
