"""Stopping a session for certain: abort, wait until it is quiet, abort once more.

Quiet means that the last text was flushed, so that partial output is complete. What the
session has started itself is stopped after it, when nothing starts anything new any more.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    LeaseLost,
    NotIsolated,
    NotPermitted,
    RuntimeRefused,
    RuntimeUnreachable,
    StaleVersion,
)
from background_agents.domain.status import Status
from background_agents.domain.text import span
from background_agents.domain.transcript import Transcript, Verdict
from background_agents.ports.runtime import Idle, MessageChanged, RuntimeEvent, SessionDeleted
from background_agents.service.context import Context, Record
from background_agents.service.running.asking import Asking
from background_agents.service.running.below import Below
from background_agents.service.running.ending import Outcome
from background_agents.service.running.findings import Findings
from background_agents.service.running.signals import Asked, Inbox, QuietLimit, Signal, StopAsked
from background_agents.service.running.steering import Steering
from background_agents.views import errors
from background_agents.views.model import why_stopped

_TOLD = (RuntimeRefused, RuntimeUnreachable, NotPermitted, NotIsolated)
"""What keeps a run from beginning or going on, and is said as it is."""

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
        record: Record,
        inbox: Inbox,
        asking: Asking,
        steering: Steering,
        findings: Findings,
        below: Below,
    ) -> None:
        self._below = below
        self._context = context
        self._record = record
        self._inbox = inbox
        self._asking = asking
        self._steering = steering
        self._findings = findings

    async def end(self, delegation: Delegation, wish: Signal) -> Outcome:
        """Stop the session; a run that had finished by then is completed all the same."""
        by, why = (wish.by, wish.why) if isinstance(wish, StopAsked) else (Actor.DEADLINE, "")
        if delegation.stop_requested_by is None:
            # First, should this process die meanwhile.
            now = self._context.clock.now()
            delegation = await self._record(ev.StopRequested(at=now, by=by, why=why))
        if delegation.session is not None:
            # Its newest answer is no result then, whatever it says.
            waited_for_below = await self._below.is_awaited(delegation.session)
            await self.quieten(delegation.session, may_rest=waited_for_below)
            try:
                transcript = await self._findings.transcript()
            except (RuntimeRefused, RuntimeUnreachable):
                transcript = Transcript()
            if transcript.verdict is Verdict.FINISHED and not waited_for_below:
                # What is still asked, below it or settled unheard while it was stopped.
                await self._asking.forget(delegation)
                await self._asking.dismiss_unheard(delegation.session)
                return Outcome.completed(transcript)
        if by != Actor.DEADLINE:
            return await self.cut_short(delegation, Status.STOPPED, why or why_stopped(by))
        limit = span(delegation.timeout or timedelta(0))
        error = f"Not finished within {limit}."
        return await self.cut_short(delegation, Status.TIMED_OUT, error)

    async def write_off(self, delegation: Delegation, signal: Signal) -> Outcome:
        """End a run whose session was deleted, as a signal has told, or a look after it."""
        if isinstance(signal, SessionDeleted):
            # OpenCode lets a deleted session run on until it is told to stop.
            await self.abort(delegation.session or "")
        return await self.cut_short(delegation, Status.STOPPED, "Its session was deleted.")

    async def give_up(self, delegation: Delegation, session: str, error: Exception) -> Outcome:
        """End a run that an error keeps from going on; what it began does not go on either.

        Whatever comes of that, it has an ending: without one it would be active for ever.
        """
        try:
            if session and isinstance(error, RuntimeUnreachable):
                # The prompt may have been taken all the same.
                await self.quieten(session)
            elif session:
                # An error of a server does not say that nothing was begun.
                await self.abort(session)
            if isinstance(error, _TOLD):
                return await self.cut_short(delegation, Status.FAILED, errors.for_model(error))
        except (LeaseLost, StaleVersion):
            raise
        except Exception as worse:
            error = worse
        log.error("%s: conducting it failed", delegation.id, exc_info=error)
        return Outcome.of_fault(error)

    async def cut_short(self, delegation: Delegation, status: Status, error: str) -> Outcome:
        """Return the outcome of a run that did not complete, with all that was written."""
        try:
            transcript = await self._findings.transcript()
        except (RuntimeRefused, RuntimeUnreachable) as failure:
            log.warning("%s: its partial output is lost: %s", delegation.id, failure)
            return Outcome(status, error=error)
        await self._steering.confirm(delegation, transcript.answers)
        return Outcome.cut_short(status, error, transcript)

    async def quieten(self, session: str, *, may_rest: bool = False) -> None:
        """Abort, and wait until the last text was flushed; the second abort is the last.

        ``may_rest``: it may be idle, and an abort of what is idle is answered by nothing.
        """
        for _ in range(2):
            if may_rest and await self._rests(session):
                break
            await self.abort(session)
            if await self._became_quiet(session):
                break
        else:
            log.warning("%s is not quiet after two aborts", session)
        await self.stop_below(session)

    async def _rests(self, session: str) -> bool:
        try:
            return not (await self._context.runtime.state(session)).busy
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("nobody can say whether %s rests: %s", session, error)
            return False

    async def stop_below(self, session: str) -> None:
        """Stop the sessions below, as far as they work; those with a run of their own first."""
        try:
            if await self._below.end(session):
                await self._stop_one(session)  # a notice about one of them may have woken it
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
                    self._inbox.refuse(signal)
                if not isinstance(signal, RuntimeEvent) or signal.session != session:
                    continue
                if isinstance(signal, SessionDeleted):
                    return True
                idle = idle or isinstance(signal, Idle)
                if idle and isinstance(signal, Idle | MessageChanged):
                    transcript = await self._findings.transcript()
                    if not transcript.answers or transcript.verdict is not Verdict.GOING_ON:
                        return True
            return False
        except (RuntimeRefused, RuntimeUnreachable) as error:
            log.warning("nobody can say whether %s is quiet: %s", session, error)
            return False
        finally:
            timer.cancel()
