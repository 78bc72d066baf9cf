"""The runs that this process conducts, and what each of them hears.

Takes over what processes that died have left behind, follows the runtime's events, and sees
to it that endings, requests and messages reach supervisors.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NotDelegable,
    RunElsewhere,
    RunLetGo,
    StoreUnavailable,
)
from background_agents.domain.notice import Notice
from background_agents.ports import (
    InputAsked,
    MessageChanged,
    Piece,
    RuntimeEvent,
    SessionDeleted,
    StreamRestored,
)
from background_agents.service.afterwards import Titles, tell
from background_agents.service.context import Context
from background_agents.service.journal import Journal
from background_agents.service.leases import Leaseholder
from background_agents.service.news import News
from background_agents.service.outbox import Outbox
from background_agents.service.recovery import adopt_orphans
from background_agents.service.run import Run
from background_agents.service.sessions import Sessions
from background_agents.service.signals import DELETION, Asked, StopAsked
from background_agents.service.slots import Slots
from background_agents.service.tasks import Tasks
from background_agents.service.waiting import Bell

log = logging.getLogger(__name__)

ORPHAN_SEARCH = timedelta(seconds=10)
"""How long an orphan may go unnoticed; a look is one indexed query."""


class Runs:
    """Conducts delegations of one project."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self.sessions = Sessions(context, lambda session: session in self._by_session)
        self.bell = Bell(context.clock)
        self.stir = Bell(context.clock)
        """Rings whenever a run may have written something."""
        self.news = News()
        self._titles = Titles(context, self.bell, lambda: not self._runs)
        self._context = context
        self._settings = settings
        self._tasks = Tasks()
        self._slots = Slots(
            settings.max_concurrent,
            per_provider=settings.max_concurrent_per_provider,
            per_model=settings.max_concurrent_per_model,
        )
        self._runs: dict[str, Run] = {}
        self._by_session: dict[str, Run] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self.lease = Leaseholder(context, self._abandon)
        self._outbox = Outbox(
            context,
            self._tasks,
            self.lease,
            companions=self._about_to_end,
            delivered=self._delivered,
        )
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Take over orphans, deliver notices that are due, and begin to follow events."""
        await self.lease.start()
        self._unsubscribe = self._context.runtime.subscribe(self._hear)
        await self._take_over()
        self._tasks.spawn(self.lease.work(), "heartbeat")
        self._tasks.spawn(self._keep_looking(), "search for orphans")
        self._tasks.spawn(Journal(self._context, self._unsaved).work(), "journal")

    async def close(self) -> None:
        """Let go; runs stay as they are stored, for the next process to take over."""
        unsubscribe, self._unsubscribe = self._unsubscribe, lambda: None
        unsubscribe()
        await self._tasks.close()
        for run in self.all():
            # Also those whose work had not begun.
            run.leave(RunElsewhere(run.delegation.id))

    def conduct(self, delegation: Delegation) -> None:
        """Bring a delegation to its end, behind."""
        run = Run(
            self._context,
            self._settings,
            self._slots,
            self.lease,
            delegation,
            launched=self._by_session.__setitem__,
            ended=self._after_end,
            left=self._forget,
            told=self._tell,
        )
        self._runs[delegation.id] = run
        self._working[delegation.id] = self._tasks.spawn(run.work(), delegation.id)

    def of(self, delegation: Delegation) -> Run:
        """Return the run of an active delegation. Raises ``RunElsewhere`` or ``RunLetGo``."""
        run = self._runs.get(delegation.id)
        if run is not None:
            return run
        is_ours = delegation.owner == self.lease.owner
        raise RunLetGo(delegation.id) if is_ours else RunElsewhere(delegation.id)

    async def now(self, run: Run) -> Delegation:
        """Return the delegation of a run as it is now, also if the run has let go of it."""
        if not run.over.is_set() or run.delegation.is_terminal:
            return run.timed()
        return await self._context.store.get(run.delegation.id) or run.delegation

    def of_root(self, root: str) -> list[Run]:
        """Return what runs for a root session, oldest first."""
        return [run for run in self._runs.values() if run.delegation.root_session == root]

    def above(self, session: str) -> Run | None:
        """Return the run that a session belongs to, as its own or as one below it."""
        for one in self._context.runtime.ancestors(session):
            if one in self._by_session:
                return self._by_session[one]
        return None

    async def trace(self, session: str) -> Run | None:
        """Return the run above a session, also if no event has told of its parents yet."""
        if (run := self.above(session)) is not None:
            return run
        try:
            await self._context.runtime.lineage(session)
        except DelegationError as error:
            log.info("nobody knows what is above %s: %s", session, error)
        return self.above(session)

    def all(self) -> list[Run]:
        """Return the runs of this process, oldest first."""
        return list(self._runs.values())

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

    # --- taking over -------------------------------------------------------

    async def _take_over(self) -> None:
        """Go on with what processes that died have left behind."""
        for delegation in await adopt_orphans(self._context, self.lease, self._runs.__contains__):
            self.conduct(delegation)
        await self._outbox.recover()

    async def _keep_looking(self) -> None:
        """Another process may die later, or may not be quite dead when this one starts."""
        while True:
            await self._context.clock.sleep(ORPHAN_SEARCH)
            try:
                await self._take_over()
            except StoreUnavailable as error:
                log.warning("orphans were not looked for: %s", error)

    # --- what runs tell ----------------------------------------------------

    def _after_end(self, run: Run, notice: Notice, result: str) -> None:
        delegation = run.delegation
        self.news.add(notice, delegation.root_session)
        self._forget(run)
        self._outbox.kick(delegation.parent_session)
        after = self._titles.tell_and_describe(delegation, notice, result)
        self._tasks.spawn(after, f"toast and title of {delegation.id}")

    def _forget(self, run: Run) -> None:
        """Let go of a run that has left, however that came about; twice is once."""
        if self._runs.get(run.delegation.id) is not run:
            return
        del self._runs[run.delegation.id], self._working[run.delegation.id]
        if self._by_session.get(run.session) is run:
            del self._by_session[run.session]
            self._context.runtime.release(run.session)
        self.bell.ring()
        self.stir.ring()

    def _abandon(self) -> None:
        """Let go of all runs: another process conducts them now, with a runtime of its own."""
        for name, run in tuple(self._runs.items()):
            self._working[name].cancel()
            run.leave(RunElsewhere(name))
            if run.session:
                self._tasks.spawn(self._silence(run.session), f"silence {run.session}")

    async def _silence(self, session: str) -> None:
        """Stop what our own runtime still does in a session that goes on elsewhere."""
        try:
            await self._context.runtime.abort(session)
        except DelegationError as error:
            log.warning("%s may go on twice: %s", session, error)

    def _delivered(self, notice: Notice) -> None:
        self.news.delivered(notice, self._context.mint("prt"))

    def _tell(self, run: Run, notice: Notice) -> None:
        self.news.add(notice, run.delegation.root_session)
        self._outbox.kick(notice.supervisor)
        self.bell.ring()
        toast = tell(self._context, notice, run.delegation.agent)
        self._tasks.spawn(toast, f"toast for {notice.delegation}")

    def _unsaved(self) -> list[Piece]:
        pieces = [run.unsaved() for run in self._runs.values()]
        return [piece for piece in pieces if piece is not None]

    def _about_to_end(self, supervisor: str) -> Sequence[asyncio.Event]:
        return [
            run.over
            for run in self._runs.values()
            if run.is_ending and run.delegation.parent_session == supervisor
        ]

    # --- what runs hear ----------------------------------------------------

    def _hear(self, event: RuntimeEvent) -> None:
        if isinstance(event, StreamRestored):
            for run in self._runs.values():
                run.hear(event)
        elif (run_above := self.above(event.session)) is not None:
            run_above.hear(event)
            self.stir.ring()
        elif isinstance(event, SessionDeleted):
            self._supervisor_deleted(event.session)
        elif isinstance(event, InputAsked):
            self._tasks.spawn(self._pass_on(event), f"request in {event.session}")
        elif isinstance(event, MessageChanged) and event.message.role == "user":
            self._outbox.nudge(event.session)
            if not self.sessions.is_known(event.session):
                self._tasks.spawn(self._prepare(event.session), f"look at {event.session}")

    def _supervisor_deleted(self, session: str) -> None:
        self.sessions.forget(session)
        for run in self._runs.values():
            if run.delegation.parent_session == session:
                run.hear(StopAsked(DELETION))

    async def _pass_on(self, asked: InputAsked) -> None:
        if (run := await self.trace(asked.session)) is not None:
            run.hear(asked)

    async def _prepare(self, session: str) -> None:
        """Ask what a delegation from this session will need, while its model still thinks."""
        try:
            await self.sessions.supervisors_root(session)
            await self._context.runtime.agents()
        except NotDelegable:
            return
        except DelegationError as error:
            log.info("%s is looked at when it delegates: %s", session, error)
