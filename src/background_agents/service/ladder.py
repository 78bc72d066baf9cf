"""Stopping a session for certain: abort, wait until it is quiet, abort once more.

Quiet means that the last text was flushed, so that partial output is complete.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from background_agents.domain.errors import RuntimeRefused, RuntimeUnreachable
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports import Idle, MessageChanged, SessionDeleted
from background_agents.service.context import Context
from background_agents.service.signals import Inbox, QuietLimit, SteerAsked

log = logging.getLogger(__name__)

QUIET_LIMIT = timedelta(seconds=2)
"""After an abort OpenCode needs ~50 ms to flush the last text; forty times that is given
before the abort is repeated, and once more before the run is taken as it is."""


class StopLadder:
    """Stops the session of one run, whose signals it takes from the inbox meanwhile."""

    def __init__(
        self,
        context: Context,
        inbox: Inbox,
        transcript: Callable[[], Awaitable[Transcript]],
        refuse: Callable[[SteerAsked], None],
    ) -> None:
        self._context = context
        self._inbox = inbox
        self._transcript = transcript
        self._refuse = refuse

    async def quieten(self, session: str) -> None:
        """Abort, and wait until the last text was flushed; the second abort is the last."""
        for _ in range(2):
            await self.abort(session)
            if await self._became_quiet():
                return
        log.warning("%s is not quiet after two aborts", session)

    async def abort(self, session: str) -> None:
        """Ask for the end of what the session does, whether it listens or not."""
        try:
            await self._context.runtime.abort(session)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("%s could not be aborted: %s", session, error)

    async def _became_quiet(self) -> bool:
        limit = QuietLimit()
        timer = self._context.clock.call_later(QUIET_LIMIT, lambda: self._inbox.put(limit))
        idle = False
        try:
            while (signal := await self._inbox.get()) is not limit:
                if isinstance(signal, SteerAsked):
                    self._refuse(signal)
                if isinstance(signal, SessionDeleted):
                    return True
                idle = idle or isinstance(signal, Idle)
                if idle and isinstance(signal, Idle | MessageChanged):
                    transcript = await self._transcript()
                    if not transcript.answers or transcript.verdict is not Verdict.GOING_ON:
                        return True
            return False
        finally:
            timer.cancel()
