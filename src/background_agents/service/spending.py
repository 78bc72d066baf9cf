"""What a project spends in a day, all its processes together, and what that keeps from beginning.

A delegation counts for the day on which it ends, as a whole; one that runs counts for today. Of
those that other processes run the store tells, a little late.
"""

from __future__ import annotations

from datetime import timedelta

from background_agents.config import Settings
from background_agents.domain.errors import DayIsSpent
from background_agents.service.context import ProjectContext
from background_agents.service.running.registry import Runs


class Spending:
    """Counts what one project spends."""

    def __init__(self, context: ProjectContext, settings: Settings, runs: Runs) -> None:
        self._context = context
        self._limit = settings.day_cost_usd
        self._runs = runs

    async def check(self) -> None:
        """Raise ``DayIsSpent`` where nothing new may begin today."""
        if not self._limit:
            return
        spent = await self.today()
        if spent >= self._limit:
            now = self._context.clock.now()
            tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise DayIsSpent(spent, self._limit, tomorrow - now)

    async def today(self) -> float:
        """Return what was spent since 00:00 UTC, in US dollars, as far as prices are known."""
        midnight = self._context.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        stored = dict(await self._context.store.spent(midnight))
        for run in self._runs.all():
            stored[run.delegation.id] = await run.cost()
        return sum(stored.values())
