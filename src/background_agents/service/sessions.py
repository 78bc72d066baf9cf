"""Which root a session belongs to, and whether it may delegate.

Roots are remembered; a background agent's session is recognised each time, from the runs of
this process or from the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from background_agents.domain.errors import NotDelegable
from background_agents.service.context import Context


class Sessions:
    """The sessions of one project. ``is_child`` knows those of the runs of this process."""

    def __init__(self, context: Context, is_child: Callable[[str], bool]) -> None:
        self._context = context
        self._is_child = is_child
        self._roots: dict[str, str] = {}
        self._copied: dict[str, frozenset[str]] = {}

    def is_known(self, session: str) -> bool:
        """Return whether the session's root is remembered."""
        return session in self._roots

    def forget(self, session: str) -> None:
        """Forget a session that was deleted."""
        self._roots.pop(session, None)
        self._copied.pop(session, None)

    async def root_of(self, session: str) -> str:
        """Return the root of any session; a background agent's is that of its supervisor.

        The store tells of those, for not every runtime knows whose child a session is.
        """
        if session in self._roots:
            return self._roots[session]
        lineage = await self._context.runtime.lineage(session)
        for one in lineage:
            if (delegation := await self._context.store.with_session(one)) is not None:
                return delegation.root_session
        return lineage[-1]

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

    async def supervisors_root(self, session: str) -> str:
        """Return the root of a session that may delegate.

        Raises:
            NotDelegable: it is a background agent's, or below one.
        """
        if session not in self._roots:
            lineage = await self._context.runtime.lineage(session)
            if await self._is_below_a_delegation(lineage):
                raise NotDelegable
            self._roots[session] = lineage[-1]
        return self._roots[session]

    async def _is_below_a_delegation(self, lineage: Sequence[str]) -> bool:
        for session in lineage:
            if self._is_child(session):
                return True
            if await self._context.store.with_session(session) is not None:
                return True
        return False
