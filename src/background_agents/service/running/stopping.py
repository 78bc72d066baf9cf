"""Stopping a session for certain: abort, wait until it is quiet, abort once more.

Quiet means that the last text was flushed, so that partial output is complete. What the
session has started itself is stopped after it, when nothing starts anything new any more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from background_agents.domain.errors import RuntimeRefused, RuntimeUnreachable
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import Idle, MessageChanged, RuntimeEvent, SessionDeleted
from background_agents.service.context import Context
from background_agents.service.running.signals import Asked, Inbox, QuietLimit

log = logging.getLogger(__name__)

QUIET_LIMIT = timedelta(seconds=2)
"""After an abort OpenCode needs ~50 ms to flush the last text; forty times that is given
before the abort is repeated, and once more before the run is taken as it is."""

BELOW_LOOKS, BELOW_PAUSE = 5, timedelta(seconds=0.1)
"""How often a session below is looked at, and how long after an abort. Its text goes into no
result, so that it is asked whether it rests rather than waited for."""


class Stopping:
    """Stops the session of one run, whose signals it takes from the inbox meanwhile."""

    def __init__(
        self,
        context: Context,
        inbox: Inbox,
        transcript: Callable[[], Awaitable[Transcript]],
        refuse: Callable[[Asked], None],
    ) -> None:
        self._context = context
        self._inbox = inbox
        self._transcript = transcript
        self._refuse = refuse

    async def quieten(self, session: str) -> None:
        """Abort, and wait until the last text was flushed; the second abort is the last."""
        for _ in range(2):
            await self.abort(session)
            if await self._became_quiet(session):
                break
        else:
            log.warning("%s is not quiet after two aborts", session)
        await self.stop_below(session)

    async def stop_below(self, session: str) -> None:
        """Stop the sessions below, as far as they work."""
        try:
            for below in await self._context.runtime.below(session):
                await self._stop_one(below)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("what runs below %s was not looked at: %s", session, error)

    async def _stop_one(self, session: str) -> None:
        for _ in range(BELOW_LOOKS):
            if not (await self._context.runtime.state(session)).busy:
                return
            await self.abort(session)
            await self._context.clock.sleep(BELOW_PAUSE)
        log.warning("%s is not quiet after %s aborts", session, BELOW_LOOKS)

    async def abort(self, session: str) -> None:
        """Ask for the end of what the session does, whether it listens or not."""
        try:
            await self._context.runtime.abort(session)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("%s could not be aborted: %s", session, error)

    async def _became_quiet(self, session: str) -> bool:
        limit = QuietLimit()
        timer = self._context.clock.call_later(QUIET_LIMIT, lambda: self._inbox.put(limit))
        idle = False
        try:
            while (signal := await self._inbox.get()) is not limit:
                if isinstance(signal, Asked):
                    self._refuse(signal)
                if not isinstance(signal, RuntimeEvent) or signal.session != session:
                    continue
                if isinstance(signal, SessionDeleted):
                    return True
                idle = idle or isinstance(signal, Idle)
                if idle and isinstance(signal, Idle | MessageChanged):
                    transcript = await self._transcript()
                    if not transcript.answers or transcript.verdict is not Verdict.GOING_ON:
                        return True
            return False
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("nobody can say whether %s is quiet: %s", session, error)
            return False
        finally:
            timer.cancel()
