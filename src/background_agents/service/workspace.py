"""One directory of a project: its runtime, its channel, its sessions, and what is heard of them.

Conducts the runs of its delegations and hands them the runtime's events. What the directories of a
project share is in ``Project``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from background_agents.domain.actor import Actor
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NotContinuable,
    NotDelegable,
    RunElsewhere,
)
from background_agents.domain.ids import SortableIds
from background_agents.domain.notice import Notice
from background_agents.domain.transcript import Transcript
from background_agents.ports.runtime import (
    AgentRuntime,
    Busy,
    InputAsked,
    MessageChanged,
    RuntimeEvent,
    SessionDeleted,
    StreamRestored,
    UndoChanged,
)
from background_agents.ports.supervisor import SupervisorChannel
from background_agents.service.changes import isolated
from background_agents.service.changes.attribution import NOBODY
from background_agents.service.changes.calls import Call
from background_agents.service.delivery.toasts import Toasts
from background_agents.service.running.below import Below
from background_agents.service.running.run import Run
from background_agents.service.running.signals import StopAsked
from background_agents.service.sessions import Sessions

if TYPE_CHECKING:
    from background_agents.service.project import Project

log = logging.getLogger(__name__)


class Workspace:
    """A directory that this process has open."""

    def __init__(
        self, project: Project, directory: str, runtime: AgentRuntime, channel: SupervisorChannel
    ) -> None:
        self.project = project
        self.directory = directory
        self.context = project.context.within(directory, runtime, channel)
        self.sessions = Sessions(self.context, project.settings, self._running)
        self._runs = project.runs
        self._tasks = project.tasks
        self._working: dict[str, asyncio.Task[None]] = {}
        self._toasts = Toasts(self.context, project.tasks)
        self._unsubscribe: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Begin to follow what the runtime tells."""
        self._unsubscribe = self.context.runtime.subscribe(self._hear)

    def close(self) -> None:
        """Hear nothing any more."""
        self._toasts.close()
        unsubscribe, self._unsubscribe = self._unsubscribe, lambda: None
        unsubscribe()

    def conduct(self, delegation: Delegation) -> None:
        """Bring a delegation to its end, behind."""
        if (above := self._runs.in_session(delegation.parent_session)) is not None:
            above.has_delegated()
        run = Run(
            self.context,
            self.project.settings,
            self.project.slots,
            self.project.lease,
            delegation,
            Below(self.context, self._runs.below, may_be_any=bool(delegation.resumes)),
            self,
        )
        self._runs.add(run)
        self._working[delegation.id] = self._tasks.spawn(run.work(), delegation.id)

    def _running(self, session: str) -> Delegation | None:
        run = self._runs.in_session(session)
        return run.delegation if run else None

    async def lost_above(self, delegation: Delegation) -> bool:
        """Return whether the delegation above another one has ended, or is about to."""
        if not delegation.above:
            return False
        if (run := self._runs.in_session(delegation.parent_session)) is not None:
            return run.is_to_end
        above = await self.context.store.get(delegation.above)
        return above is None or above.is_terminal

    async def reaches(self, delegation: Delegation) -> bool:
        """Return whether a delegation is our runtime's: it ran it, or took over its sessions."""
        runtime = self.context.runtime
        if delegation.runtime == runtime.name:
            return True
        try:
            return (await runtime.state(delegation.parent_session)).exists
        except DelegationError as error:
            log.info("whether %s is ours is asked again: %s", delegation.id, error)
            return False

    async def check_reaches(self, delegation: Delegation, wish: str = "continued") -> None:
        """Raise ``NotContinuable`` where a delegation's sessions are another runtime's."""
        if not await self.reaches(delegation):
            where = f"its session stayed with {delegation.runtime}"
            anew = "; delegate anew and name its result" if wish == "continued" else ""
            raise NotContinuable(delegation.id, f"{where}{anew}", wish)

    async def transcript(self, delegation: Delegation) -> Transcript:
        """Return what was said in a run that has ended, as the runtime keeps it.

        Raises:
            NotContinuable: it is another runtime's.
            RuntimeRefused, RuntimeUnreachable: the runtime does not tell; the session may be gone.
        """
        runtime, session, end = self.context.runtime, delegation.session, delegation.ended_at
        if session is None or end is None:
            return Transcript()
        await self.check_reaches(delegation, "read")
        await isolated.learn_place(self.context, delegation)
        found = await runtime.transcript(session, refresh=True)
        if self._runs.in_session(session) is None:
            runtime.release(session)
            await isolated.close_place(self.context, delegation)
        # What was said there later is another delegation's, or its user's own.
        return found.since(delegation.prompt_message).until(SortableIds(Random()).mint("msg", end))

    def abandon(self) -> None:
        """Let go of all runs: another process conducts them now, with a runtime of its own."""
        for run in self._runs.within(self.directory):
            self._working[run.delegation.id].cancel()
            run.leave(RunElsewhere(run.delegation.id))
            if run.session:
                self._tasks.spawn(self._silence(run.session), f"silence {run.session}")

    async def trace(self, session: str) -> Run | None:
        """Return the run above a session, also if no event has told of its parents yet."""
        if (run := self._above(session)) is not None:
            return run
        try:
            await self.context.runtime.lineage(session)
        except DelegationError as error:
            log.info("nobody knows what is above %s: %s", session, error)
        return self._above(session)

    async def refused_tool(self, session: str, answer: str) -> str | None:
        """Say why a tool is not to run that an ``answer`` of a session calls; None if it is."""
        await self.trace(session)
        for run in self._all_above(session):
            if (why := await run.refused_tool(session, answer)) is not None:
                return why
        return None

    async def may_write(self, call: Call) -> None:
        """Note that a call is about to run that may write."""
        run = await self._run_of(call.session)
        if run is not None and run.delegation.tree:
            return  # it writes elsewhere, and what it has changed is seen at its end
        owner = NOBODY if run is None else run.delegation.id
        await self.project.recorder.before(call, self.directory, owner)

    async def changes_of(self, delegation: Delegation) -> Changes:
        """Return the sum of what a delegation has changed, which is kept from now on."""
        if delegation.tree:
            return await isolated.changes_of(self.context, delegation)
        return await self.project.recorder.finish(delegation)

    async def owner_of(self, session: str) -> str:
        """Return the delegation that a session belongs to; ``NOBODY`` if it is no one's."""
        run = await self._run_of(session)
        return NOBODY if run is None else run.delegation.id

    async def _run_of(self, session: str) -> Run | None:
        run = self._above(session)
        if run is None and not self.sessions.is_known(session):
            run = await self.trace(session)
        return run

    def _above(self, session: str) -> Run | None:
        """Return the run that a session belongs to, as its own or as one below it."""
        return next(self._all_above(session), None)

    def _all_above(self, session: str) -> Iterator[Run]:
        """Yield that run and those of the delegations above it, the nearest first."""
        found = map(self._runs.in_session, self.context.runtime.ancestors(session))
        run = next(filter(None, found), None)
        while run is not None:
            yield run
            run = self._runs.in_session(run.delegation.parent_session)

    # --- what runs ask and tell, as ``Surroundings`` says -----------------

    def launched(self, session: str, run: Run) -> None:
        self._runs.launched(session, run)

    def recorded(self) -> None:
        self.project.bell.ring()

    def is_conducted(self, session: str) -> bool:
        return self._runs.in_session(session) is not None

    def ended(self, run: Run, notice: Notice, result: str) -> None:
        delegation = run.delegation
        self.project.recent.add(notice, delegation.circle)
        self.left(run)
        self.project.outbox.kick(delegation.parent_session, self.context.channel)
        self._toasts.tell(notice)
        described = self.project.titles.describe(self.context, delegation, result)
        self._tasks.spawn(described, f"title of {delegation.id}")
        self._tasks.spawn(self.project.hooks.tell(delegation, notice), f"hooks of {delegation.id}")

    def told(self, run: Run, notice: Notice) -> None:
        self.project.recent.add(notice, run.delegation.circle)
        self.project.outbox.kick(notice.supervisor, self.context.channel)
        asked = notice.ask.id if notice.ask else ""
        self._toasts.tell(
            notice, lambda: not asked or asked in [one.id for one in run.delegation.requests]
        )
        hooks = self.project.hooks.tell(run.delegation, notice)
        self._tasks.spawn(hooks, f"hooks of {notice.delegation}")

    def left(self, run: Run) -> None:
        """Let go of a run that has left, however that came about; twice is once."""
        has_session = self._runs.in_session(run.session) is run
        if not self._runs.remove(run):
            return
        del self._working[run.delegation.id]
        if has_session:
            self.context.runtime.release(run.session)
        self.project.bell.ring()
        self.project.stir.ring()

    async def _silence(self, session: str) -> None:
        """Stop what our own runtime still does in a session that goes on elsewhere."""
        try:
            await self.context.runtime.abort(session)
        except DelegationError as error:
            log.warning("%s may go on twice: %s", session, error)

    # --- what runs hear ----------------------------------------------------

    def _hear(self, event: RuntimeEvent) -> None:
        if isinstance(event, StreamRestored):
            for run in self._runs.within(self.directory):
                run.hear(event)
            self.project.outbox.nudge_all()
        elif isinstance(event, UndoChanged):
            self.project.outbox.nudge(event.session)
        elif (run_above := self._above(event.session)) is not None:
            run_above.hear(event)
            if isinstance(event, Busy | MessageChanged):
                for run in islice(self._all_above(event.session), 1, None):
                    run.note_below(event)
            self.project.stir.ring()
        elif isinstance(event, SessionDeleted):
            self._supervisor_deleted(event.session)
        elif isinstance(event, InputAsked):
            self._tasks.spawn(self._pass_on(event), f"request in {event.session}")
        elif isinstance(event, MessageChanged) and event.message.role == "user":
            self.project.outbox.nudge(event.session)
            if not self.sessions.is_known(event.session):
                self._tasks.spawn(self._prepare(event.session), f"look at {event.session}")

    def _supervisor_deleted(self, session: str) -> None:
        self.sessions.forget(session)
        self.project.outbox.nudge(session)
        for run in self._runs.below(session):
            run.hear(StopAsked(Actor.DELETION))

    async def _pass_on(self, asked: InputAsked) -> None:
        if (run := await self.trace(asked.session)) is not None:
            run.hear(asked)

    async def _prepare(self, session: str) -> None:
        """Ask what a delegation from this session will need, while its model still thinks."""
        try:
            await self.sessions.supervising(session)
            await self.context.runtime.agents()
        except NotDelegable:
            return
        except DelegationError as error:
            log.info("%s is looked at when it delegates: %s", session, error)
