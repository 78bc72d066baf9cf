"""Who is told what: rules by the kind of session, and what a compaction carries over.

Knows which sessions supervise and which work in the background. How a runtime's hooks look,
and which of its calls are its own housekeeping, is the business of hosts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from background_agents.config import Settings
from background_agents.ports.runtime import Agent
from background_agents.service.context import Context
from background_agents.service.sessions import Sessions
from background_agents.views import model as for_model
from background_agents.views import rules
from background_agents.views.rules import TaskPolicy

RefusedTool = Callable[[str, str], Awaitable[str | None]]
"""Says why a tool is not to run that an answer calls, by its session and its id; None if it is."""


class Guidance:
    """What the models of one project's sessions are told."""

    def __init__(
        self, context: Context, settings: Settings, sessions: Sessions, refused: RefusedTool
    ) -> None:
        self._context = context
        self._sessions = sessions
        self.refused_tool = refused
        self._policy = TaskPolicy(
            settings.strict_readonly, settings.allow_task, context.runtime.native_tool
        )

    async def rules(self, session: str, *, has_tools: bool = True) -> str | None:
        """Return the rules for a session's model.

        ``has_tools`` says whether its agent is offered ``delegate``: a supervisor without it
        needs no rules, while a background agent has its own in any case.
        """
        standing = await self._sessions.standing(session)
        if standing.above is not None:
            is_given_any = has_tools and self._sessions.may_delegate(standing)
            return f"{rules.CHILD}\n{rules.DELEGATING_CHILD}" if is_given_any else rules.CHILD
        if not has_tools:
            return None
        ends_with_turn = self._context.runtime.ends_with_turn
        return rules.supervisor(self._policy, ends_with_turn=ends_with_turn)

    async def carried_over(self, session: str) -> str | None:
        """Return what the summary of a session must keep; None if there is nothing."""
        standing = await self._sessions.standing(session)
        if not self._sessions.may_delegate(standing):
            return None
        unfinished = await self._context.store.unfinished()
        lines, _ = await self._context.store.page(standing.root, for_model.LIST_LINES)
        active = [one for one in unfinished if one.root_session == standing.root]
        unread = [line for line in lines if line.is_unread]
        if standing.above is not None:
            active = [one for one in active if one.above == standing.above.id]
            unread = [line for line in unread if line.above == standing.above.id]
        return rules.carried_over(active, unread)

    async def is_background(self, session: str) -> bool:
        """Whether a session is a background agent's, or below one."""
        return (await self._sessions.standing(session)).above is not None

    async def hidden_tools(self, session: str) -> tuple[str, ...]:
        """Return the tools that a session's model is not to be offered."""
        standing = await self._sessions.standing(session)
        if standing.above is None:
            return self._context.tools.children
        may_delegate = self._sessions.may_delegate(standing)
        return self._context.denied_tools(may_delegate=may_delegate)

    async def refused_task(
        self, session: str, name: str, by: Callable[[], Awaitable[str]] | None = None
    ) -> str | None:
        """Say why a session's model may not run an agent by the native ``task``; None if it may.

        An agent that does not exist, that nobody can delegate to, or that the rules for the
        agent at work in the session deny to ``delegate``, is the runtime's affair. ``by`` returns
        that one; it costs the runtime a request, and is asked only if all else is for a refusal.
        """
        if self._policy.allowed or await self.is_background(session):
            return None
        agent = await self._agent(name)
        if agent is None or not agent.delegable:
            return None
        if self._policy.strict and not agent.read_only:
            return None
        worker = await by() if by else ""
        if worker and (await self._context.runtime.leave(session, worker, name)).denied_by:
            return None
        return rules.refused_task(name, self._policy)

    async def _agent(self, name: str) -> Agent | None:
        # Those known may be from before one was added.
        for refresh in (False, True):
            for agent in await self._context.runtime.agents(refresh=refresh):
                if agent.name == name:
                    return agent
        return None
