"""What follows an ending and may fail without harm: a better title.

It costs the runtime as much as a small delegation. So titles come one after the other,
and while others run they wait: of many delegations at once none is held up by them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError, UnknownDelegation
from background_agents.domain.status import Status
from background_agents.ports.clock import Clock
from background_agents.service.context import Context
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.service.delivery.waits import Bell
from background_agents.views import model as for_model

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=60)
"""How long a title waits for other delegations to end. When none waited, fifty delegations at
once took 1.65 times as long as fifty bare children; without titles it was 1.02 times."""

MOST_WAITING = 50
"""Titles that wait at a time; what ends beyond that keeps its first one. Where work never ceases
and comes faster than titles are written, they would become more and more. As many as may run at
once in a large crowd, and a minute's work for a small model."""

MOST_HELD_CHARS = 16_000_000
"""Of results whose titles wait: twice the longest that is kept of a session."""


class Titles:
    """Better titles for what has ended; ``at_rest`` says whether nothing runs just now."""

    def __init__(self, clock: Clock, bell: Bell, at_rest: Callable[[], bool]) -> None:
        self._clock = clock
        self._bell = bell
        self._at_rest = at_rest
        self._turn = asyncio.Lock()
        self._held_chars = 0
        self._waiting = 0

    async def describe(self, context: Context, delegation: Delegation, result: str) -> None:
        """Improve the title of what has ended; this gives way to its notice and its toast."""
        await self._clock.sleep(GIVE_WAY)
        if delegation.status is not Status.COMPLETED:
            return
        is_too_much = self._held_chars + len(result) > MOST_HELD_CHARS
        if is_too_much or self._waiting >= MOST_WAITING:
            log.info("%s keeps its first title: too many wait for one", delegation.id)
            return
        self._held_chars += len(result)
        self._waiting += 1
        try:
            await self._when_it_is_quiet(context, delegation, result)
        finally:
            self._held_chars -= len(result)
            self._waiting -= 1

    async def _when_it_is_quiet(
        self, context: Context, delegation: Delegation, result: str
    ) -> None:
        until_s = self._clock.monotonic_s() + PATIENCE.total_seconds()

        async def quiet() -> bool:
            return self._at_rest()

        async with self._turn:
            left_s = max(until_s - self._clock.monotonic_s(), 0.0)
            await self._bell.until(quiet, timedelta(seconds=left_s))
            await _describe(context, delegation, result)


async def _describe(context: Context, delegation: Delegation, result: str) -> None:
    """Let a small model improve title and summary, where one is configured."""
    below = delegation.session or delegation.parent_session
    try:
        described = await context.runtime.describe(delegation.prompt, result, below)
        if described is None:
            return
        title, summary = described
        event = ev.Described(at=context.clock.now(), title=title, summary=summary)
        better = await context.amend(delegation, event)
        await context.artifacts.write(better, for_model.artifact_body(better, result))
    except UnknownDelegation:
        log.debug("%s was pruned before it had a better title", delegation.id)
    except (DelegationError, TimeoutError) as error:
        log.warning("%s keeps its first title: %s", delegation.id, error)
