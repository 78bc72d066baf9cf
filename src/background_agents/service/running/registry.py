"""The runs of one project in this process: which there are, and how to ask one for something.

Who conducts them, and what they hear, is the business of the ``Workspace`` of their directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RunElsewhere, RunLetGo
from background_agents.ports.storage import DelegationStore, Piece
from background_agents.service.running.run import Run
from background_agents.service.running.signals import Asked, StopAsked


class Runs:
    """A registry; ``owner`` returns the name under which this process owns what begins now."""

    def __init__(self, store: DelegationStore, owner: Callable[[], str]) -> None:
        self._store = store
        self._owner = owner
        self._runs: dict[str, Run] = {}
        self._by_session: dict[str, Run] = {}

    def __contains__(self, delegation: str) -> bool:
        return delegation in self._runs

    def add(self, run: Run) -> None:
        """Register a run that begins."""
        self._runs[run.delegation.id] = run

    def launched(self, session: str, run: Run) -> None:
        """Register the session of a run."""
        self._by_session[session] = run

    def remove(self, run: Run) -> bool:
        """Forget a run that has left; return False if it is forgotten already."""
        if self._runs.get(run.delegation.id) is not run:
            return False
        del self._runs[run.delegation.id]
        if self._by_session.get(run.session) is run:
            del self._by_session[run.session]
        return True

    def of(self, delegation: Delegation) -> Run:
        """Return the run of an active delegation. Raises ``RunElsewhere`` or ``RunLetGo``."""
        run = self._runs.get(delegation.id)
        if run is not None:
            return run
        is_ours = delegation.owner == self._owner()
        raise RunLetGo(delegation.id) if is_ours else RunElsewhere(delegation.id)

    async def now(self, run: Run) -> Delegation:
        """Return the delegation of a run as it is now, also if the run has let go of it."""
        if not run.over.is_set() or run.delegation.is_terminal:
            return run.timed()
        return await self._store.get(run.delegation.id) or run.delegation

    def all(self) -> list[Run]:
        """Return all runs, oldest first."""
        return list(self._runs.values())

    def within(self, directory: str) -> list[Run]:
        """Return what runs in a directory, oldest first."""
        return [run for run in self._runs.values() if run.delegation.directory == directory]

    def below(self, supervisor: str) -> list[Run]:
        """Return what runs for a supervisor's session, oldest first."""
        return [run for run in self._runs.values() if run.delegation.parent_session == supervisor]

    def in_session(self, session: str) -> Run | None:
        """Return the run whose own session it is."""
        return self._by_session.get(session)

    def about_to_end(self, supervisor: str) -> Sequence[asyncio.Event]:
        """Return what tells the end of each run of a supervisor that is about to end."""
        return [run.over for run in self.below(supervisor) if run.is_about_to_end]

    def unsaved(self) -> list[Piece]:
        """Return what runs have streamed since this was asked last."""
        pieces = [run.unsaved() for run in self._runs.values()]
        return [piece for piece in pieces if piece is not None]

    async def ask(self, delegation: Delegation, asked: Asked) -> Delegation:
        """Have the run of a delegation do something; return the delegation when it has.

        Raises:
            InvalidRequest: it has ended, is just ending, or is run by another process.
            RunLetGo: an internal error kept the run from going on.
        """
        if delegation.is_terminal:
            raise asked.too_late(delegation.id, delegation.status)
        self.of(delegation).hear(asked)
        return await asked.done

    async def stop(self, delegation: Delegation, by: str) -> Delegation:
        """Stop a delegation and return it as it is once its session is quiet.

        One that has ended already is returned as it is. Raises ``RunElsewhere`` or ``RunLetGo``.
        """
        if delegation.is_terminal:
            return delegation
        run = self.of(delegation)
        run.hear(StopAsked(by))
        await run.over.wait()
        if not run.delegation.is_terminal:
            raise run.left_by or RunLetGo(delegation.id)
        return run.delegation
