"""What one run has delegated itself: whether it waits for that, and that it ends with the run.

A run that is idle is not over while something below it is active, or while a notice about that is
still to come: it wakes the session, whose next turn decides anew. Its time window bounds that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from background_agents.domain.actor import Actor
from background_agents.service.context import ProjectContext
from background_agents.service.running.ending import insist
from background_agents.service.running.signals import StopAsked


class RunBelow(Protocol):
    """A run as the one above it sees it."""

    over: asyncio.Event

    def hear(self, signal: StopAsked) -> None:
        """Take a signal."""


class Below:
    """What is below one run; ``running`` returns the runs right below a session."""

    def __init__(
        self,
        context: ProjectContext,
        running: Callable[[str], Sequence[RunBelow]],
        *,
        may_be_any: bool,
    ) -> None:
        self.may_be_any = may_be_any
        """Something was delegated, maybe before this process; else nothing is looked up."""
        self.told = ""
        """The newest message that tells its agent of what that had delegated, maybe on its way."""
        self._context = context
        self._running = running

    async def is_awaited(self, session: str) -> bool:
        """Return whether what a session has delegated is active, or it is to be told of it."""
        if not self.may_be_any:
            return False
        store = self._context.store

        async def is_any() -> bool:
            return bool(await store.remaining(session) or await store.due(session))

        return await insist(self._context, session, is_any)

    async def end(self, session: str) -> bool:
        """Stop all that runs below, each in the same way; return once that has ended.

        Returns whether there was anything.
        """
        was_any = False
        while running := self._running(session):
            was_any = True
            for one in running:
                one.hear(StopAsked(Actor.END_ABOVE))
            for one in running:
                await one.over.wait()
        return was_any
