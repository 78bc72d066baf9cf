"""Which root a session belongs to, which delegation it is below, and whether it may delegate.

Roots are remembered; a background agent's session is recognised each time, from the runs of
this process or from the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotDelegable
from background_agents.service.context import Context


class Standing(NamedTuple):
    """Where a session stands in the tree that begins with a conversation."""

    root: str
    """The conversation's root session."""
    above: Delegation | None = None
    """The delegation that works in it or above it; None in a conversation."""
    is_agents: bool = False
    """It is that delegation's own session, and not one below that."""

    @property
    def circle(self) -> str:
        """The session that has what is delegated here among its own, as ``Delegation.circle``."""
        return (self.above.session or "") if self.above else self.root

    @property
    def depth(self) -> int:
        """How deep that is what is delegated here."""
        return self.above.depth + 1 if self.above else 1

    def why_not(self, max_depth: int) -> str | None:
        """Say why the session may not delegate; None if it may."""
        if self.above is None:
            return None
        if self.above.depth >= max_depth or not self.is_agents:
            if max_depth == 1:
                return "A background agent cannot delegate."
            return f"A background agent as deep as this cannot delegate (max_depth = {max_depth})."
        if self.above.is_terminal:
            # Nothing would bound what it leaves behind.
            return f"{self.above.id} has ended, and what has ended delegates no more."
        return None


class Sessions:
    """The sessions of one project. ``running`` returns the delegation that runs here in one."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        running: Callable[[str], Delegation | None],
    ) -> None:
        self._context = context
        self._max_depth = settings.max_depth
        self._running = running
        self._roots: dict[str, str] = {}
        self._copied: dict[str, frozenset[str]] = {}

    def is_known(self, session: str) -> bool:
        """Return whether the session's root is remembered."""
        return session in self._roots

    def forget(self, session: str) -> None:
        """Forget a session that was deleted."""
        self._roots.pop(session, None)
        self._copied.pop(session, None)

    async def standing(self, session: str) -> Standing:
        """Return where any session stands; a background agent's has its supervisor's root.

        The store tells of those, for not every runtime knows whose child a session is.
        """
        if session in self._roots:
            return Standing(self._roots[session])
        lineage = await self._context.runtime.lineage(session)
        for one in lineage:
            found = self._running(one) or await self._context.store.with_session(one)
            if found is not None:
                return Standing(found.root_session, found, is_agents=one == session)
        self._roots[session] = lineage[-1]
        return Standing(lineage[-1])

    def may_delegate(self, standing: Standing) -> bool:
        """Return whether a session that stands so gets the tools for it, and their use."""
        return standing.why_not(self._max_depth) is None

    async def supervising(self, session: str) -> Standing:
        """Return where a session stands that may delegate.

        Raises:
            NotDelegable: it is a background agent's that is as deep as any may be, or below one.
        """
        standing = await self.standing(session)
        if (why := standing.why_not(self._max_depth)) is not None:
            raise NotDelegable(why)
        return standing

    async def has(self, standing: Standing, delegation: Delegation) -> bool:
        """Return whether a delegation of the same root is the business of a session.

        All are that of the conversation, and a background agent's are those below it.
        """
        if standing.above is None:
            return True
        one: Delegation | None = delegation
        while one is not None and one.above:
            if one.parent_session == standing.circle:
                return True
            one = await self._context.store.get(one.above)
        return False

    async def copied_into(self, root: str) -> frozenset[str]:
        """Return what a root session's transcript names of others: it is a fork of theirs.

        Asked for once: a fork has all that was copied from the moment on in which it exists.
        """
        if root not in self._copied:
            named = await self._context.runtime.delegated_in(root)
            found = await asyncio.gather(*map(self._context.store.get, named))
            self._copied[root] = frozenset(
                one.id
                for one in found
                if one and one.root_session != root and one.project == self._context.project
            )
        return self._copied[root]
