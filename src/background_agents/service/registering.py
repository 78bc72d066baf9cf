"""How a delegation comes to be: an order is checked against all that rules it out, and stored.

What it goes on with, does again, or is below says a part of what it is; the rest is in the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import coolname
from msgspec.structs import replace

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    IdTaken,
    NotContinuable,
    NotPermitted,
    StillActive,
    UnknownAgent,
    UnknownDelegation,
)
from background_agents.domain.ids import readable_ids
from background_agents.domain.isolation import State
from background_agents.domain.limits import Limits
from background_agents.domain.order import Order, again
from background_agents.domain.text import title_of
from background_agents.service import checks
from background_agents.service.sessions import Standing
from background_agents.service.workspace import Workspace


class _Meant(NamedTuple):
    """What the arguments of an order come to, by the settings of its user."""

    model: str | None
    timeout: timedelta | None
    limits: Limits
    apart: bool


class Registering:
    """Registers what the sessions of one directory delegate.

    ``find_own`` returns a delegation on which a session may act, or raises ``InvalidRequest``.
    """

    def __init__(
        self, workspace: Workspace, find_own: Callable[[str, str], Awaitable[Delegation]]
    ) -> None:
        self._workspace = workspace
        self._project = workspace.project
        self._context = workspace.context
        self._settings = workspace.project.settings
        self._sessions = workspace.sessions
        self._find_own = find_own

    async def register(self, supervisor: str, order: Order, by: str, granted: str) -> Delegation:
        """Store what is to be done, and return it; as ``Delegations.delegate`` says."""
        if order.retry_id:
            order = await self._again(supervisor, order, by)
        meant = self._meant(order, by)
        await self._project.spending.check()
        standing = await self._sessions.supervising(supervisor)
        await self._check_agent(order.agent)
        await self._check_leave(supervisor, standing, order.agent, by, granted)
        registered = partial(self._registered, supervisor, standing, order, meant, by)
        if not order.continue_id:
            return await self._store(partial(registered, None))
        async with self._project.continuing:
            before = await self._continuable(supervisor, order)
            return await self._store(partial(registered, before))

    def _meant(self, order: Order, by: str) -> _Meant:
        settings, is_persons = self._settings, not by
        model, timeout = checks.check_order(order, settings.default_timeout)
        limits = checks.check_limits(order, settings.limits, may_exceed=is_persons)
        apart = checks.check_isolation(
            order.isolation, order.agent, settings.isolation, may_loosen=is_persons
        )
        return _Meant(model, timeout, limits, apart)

    def _registered(
        self,
        supervisor: str,
        standing: Standing,
        order: Order,
        meant: _Meant,
        by: str,
        before: Delegation | None,
        name: str,
    ) -> ev.Registered:
        beside = before or standing.above
        own_tree = name if meant.apart and before is None else ""
        return ev.Registered(
            at=self._context.clock.now(),
            id=name,
            project=self._context.project,
            directory=self._context.directory,
            root_session=standing.root,
            parent_session=supervisor,
            prompt=order.prompt,
            agent=order.agent,
            title=title_of(order.prompt),
            owner=self._project.lease.owner,
            model=meant.model,
            timeout=meant.timeout,
            continued_from=before.id if before else None,
            retry_of=order.retry_id,
            supervisor_agent=by,
            runtime=self._context.runtime.name,
            limits=meant.limits,
            depth=standing.depth,
            above=standing.above.id if standing.above else "",
            # Who works in a tree has what it delegates work there too, and not beside it.
            tree=(beside.tree if beside else "") or own_tree,
        )

    async def _check_leave(
        self, supervisor: str, standing: Standing, agent: str, by: str, granted: str
    ) -> None:
        """Refuse what the host's rules keep from whoever asks."""
        if standing.above is not None:
            await self._check_leave_above(standing.above, by, agent)
        elif by:
            leave = await self._context.runtime.leave(supervisor, by, agent)
            agents = await self._context.runtime.agents()
            checks.check_leave(agent, granted, leave, agents)

    async def _check_leave_above(self, above: Delegation, by: str, agent: str) -> None:
        """Refuse what the rules keep from any of those on whose behalf a background agent asks.

        Nobody can be asked for it there, and what a conversation may not do no agent does for it.
        """
        asking = [by]
        one: Delegation | None = above
        while one is not None:
            asking.append(one.supervisor_agent)
            one = await self._context.store.get(one.above) if one.above else None
        runtime, conversations = self._context.runtime, len(asking) - 1
        for place, name in enumerate(asking):
            if name:
                is_root = place == conversations
                leave = await runtime.leave(above.root_session, name, agent, native=is_root)
                checks.check_leave(agent, leave.ask, leave, await runtime.agents())
                if leave.ask:
                    raise NotPermitted(agent, leave.ask)

    async def _check_agent(self, name: str) -> None:
        leave_to = self._context.left_to(self._settings)
        if not leave_to:
            with suppress(UnknownAgent):
                return checks.check_agent(name, await self._context.runtime.agents())
        # It may have been added since they were last asked for; in strict mode, an MCP server too.
        agents = await self._context.runtime.agents(refresh=True)
        return checks.check_agent(name, agents, leave_to=leave_to)

    async def _again(self, supervisor: str, order: Order, by: str) -> Order:
        """Return an order for what another delegation was to do, but for what it says itself.

        A person may name any; for a model there are those of its own conversation.
        """
        given = order.retry_id or ""
        if by:
            before = await self._find_own(supervisor, given)
            # A person may have given it more than a model can.
            before = replace(before, limits=before.limits.within(self._settings.limits))
        elif (found := await self._context.store.get(checks.check_id(given))) is not None:
            before = found
        else:
            raise UnknownDelegation(given)
        if not before.is_terminal:
            raise StillActive(before.id, before.status, "done once more")
        return again(order, before)

    async def _continuable(self, supervisor: str, order: Order) -> Delegation:
        """Return the delegation in whose session another one may go on."""
        before = await self._find_own(supervisor, order.continue_id or "")
        if not before.is_terminal:
            raise StillActive(before.id, before.status)
        if not before.session:
            raise NotContinuable(before.id, "it has ended before it began; delegate anew")
        await self._workspace.check_reaches(before)
        await self._check_tree(before, order)
        for other in await self._context.store.unfinished():
            if before.session == await self._session_of(other):
                raise NotContinuable(before.id, f"{other.id} goes on with it already; steer that")
        state = await self._context.runtime.state(before.session)
        if not state.exists:
            raise NotContinuable(before.id, "its session was deleted; delegate anew")
        if state.busy:
            raise NotContinuable(before.id, "its session is at work for its user; try later")
        if state.undone:
            why = "its user has undone messages there; let them redo these or go on there first"
            raise NotContinuable(before.id, why)
        return before

    async def _check_tree(self, before: Delegation, order: Order) -> None:
        """Refuse to go on where files are not what they were: a session stays in its folder."""
        if order.isolation:
            apart = checks.check_isolation(order.isolation, "", {}, may_loosen=True)
            if apart != bool(before.tree):
                where = "a tree of its own" if before.tree else "the project itself"
                why = f"it worked in {where}; leave isolation out, or delegate anew"
                raise NotContinuable(before.id, why)
        if before.tree:
            state = await asyncio.to_thread(self._context.tries.state, before.tree)
            if state in (State.DISCARDED, State.GONE):
                raise NotContinuable(before.id, f"its tree is {state}; delegate anew")

    async def _session_of(self, delegation: Delegation) -> str | None:
        """Return the session that a delegation has, or will go on in."""
        if delegation.session is not None or delegation.continued_from is None:
            return delegation.session
        before = await self._context.store.get(delegation.continued_from)
        return before.session if before else None

    async def _store(self, event: Callable[[str], ev.Registered]) -> Delegation:
        for name in readable_ids(lambda: coolname.generate(3)):
            try:
                return await self._context.store.register(event(name))
            except IdTaken:
                continue
        raise AssertionError("candidates for ids never end")
