"""The public operations: what hosts call, and the Python API of the package.

One ``Delegations`` serves one project of one runtime. Each operation checks what was
asked, changes durable state through the ports, and returns records; how they read is the
business of ``views``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import coolname

from background_agents.config import Settings
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NotDelegable,
    NotSteerable,
    RunElsewhere,
    StoreUnavailable,
    UnknownAgent,
    UnknownDelegation,
)
from background_agents.domain.ids import readable_ids
from background_agents.domain.notice import Notice
from background_agents.domain.text import title_of
from background_agents.ports import (
    IdTaken,
    MessageChanged,
    RuntimeEvent,
    SessionDeleted,
    StreamRestored,
)
from background_agents.service import requests, views
from background_agents.service.afterwards import tell_and_describe
from background_agents.service.context import Context
from background_agents.service.live import Live, StatusReport
from background_agents.service.outbox import Outbox
from background_agents.service.recovery import adopt_orphans
from background_agents.service.requests import DelegateRequest
from background_agents.service.run import Run
from background_agents.service.signals import SteerAsked, StopAsked
from background_agents.service.slots import Slots
from background_agents.service.tasks import Tasks
from background_agents.service.views import Listing, Reading

log = logging.getLogger(__name__)

ORPHAN_SEARCH = timedelta(seconds=10)
"""How long an orphan may go unnoticed; a look is one indexed query."""

DENIED_TOOLS = (
    "delegate",
    "delegation_read",
    "delegation_list",
    "delegation_status",
    "delegation_peek",
    "delegation_stop",
    "delegation_steer",
    "task",
)
"""What a background agent does not get: delegations do not spawn delegations."""


class Delegations:
    """Supervised background delegation for one project."""

    def __init__(self, context: Context, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._tasks = Tasks()
        self._slots = Slots(settings.max_concurrent)
        self._runs: dict[str, Run] = {}
        self._by_session: dict[str, Run] = {}
        self._roots: dict[str, str] = {}
        self._outbox = Outbox(context, self._tasks, companions=self._about_to_end)
        self._unsubscribe: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Take over orphans, deliver notices that are due, and begin to follow events."""
        self._unsubscribe = self._context.runtime.subscribe(self._hear)
        await self._take_over()
        self._tasks.spawn(self._keep_looking(), "search for orphans")

    async def close(self) -> None:
        """Let go; runs stay as they are stored, for the next process to take over."""
        unsubscribe, self._unsubscribe = self._unsubscribe, lambda: None
        unsubscribe()
        await self._tasks.close()

    # --- operations --------------------------------------------------------

    async def delegate(self, supervisor: str, request: DelegateRequest) -> Delegation:
        """Register a delegation for the session ``supervisor`` and return it; it runs behind.

        Raises:
            InvalidRequest: an argument cannot be meant, or the session may not delegate.
        """
        requests.check_prompt(request.prompt)
        model = requests.check_model(request.model)
        timeout = requests.check_timeout(request.timeout_minutes, self._settings.default_timeout)
        root = await self._root_of(supervisor)
        await self._check_agent(request.agent)
        delegation = await self._register(
            lambda name: ev.Registered(
                at=self._context.clock.now(),
                id=name,
                project=self._context.project,
                directory=self._context.directory,
                root_session=root,
                parent_session=supervisor,
                prompt=request.prompt,
                agent=request.agent,
                title=title_of(request.prompt),
                owner=self._context.owner,
                model=model,
                timeout=timeout,
            )
        )
        self._conduct(delegation)
        return delegation

    async def read(self, supervisor: str, given: str, offset: int | None = None) -> Reading:
        """Return the artifact of a delegation that has ended, and mark it read.

        Raises:
            InvalidRequest: the id or offset cannot be meant, or is not of this root session.
        """
        start = requests.check_offset(offset)
        delegation = await self._find(supervisor, given)
        path, now = self._context.artifacts.path(delegation), self._context.clock.now()
        if not delegation.is_terminal:
            return Reading(delegation, None, start, path, now)
        text = await self._context.artifacts.read(delegation)
        if delegation.read_at is None:
            delegation = await self._context.amend(delegation, ev.Read(at=now))
        return Reading(delegation, text, start, path, now)

    async def stop(self, supervisor: str, given: str) -> Delegation:
        """Stop a delegation and return it as it is once its session is quiet.

        What was written is kept. One that has ended already is returned as it is.

        Raises:
            InvalidRequest: the id cannot be meant, is not of this root session, or is run
                by another process.
        """
        delegation = await self._find(supervisor, given)
        if delegation.is_terminal:
            return delegation
        run = self._run_of(delegation)
        run.hear(StopAsked(views.SUPERVISOR, "Stopped by the supervisor."))
        await run.committed.wait()
        return run.delegation

    async def steer(self, supervisor: str, given: str, message: str) -> Delegation:
        """Put an instruction into a running delegation; return it once that is sent.

        The receipt comes later, when the agent has taken it up: ``steers`` shows it.

        Raises:
            InvalidRequest: as ``stop``; or the message is empty, or there is no run any more.
            RuntimeRefused, RuntimeUnreachable: the runtime did not take it.
        """
        requests.check_prompt(message)
        delegation = await self._find(supervisor, given)
        if delegation.is_terminal:
            raise NotSteerable(delegation.id, delegation.status)
        run = self._run_of(delegation)
        if run.is_closed:
            raise NotSteerable(delegation.id, "ending")
        asked = SteerAsked(message)
        run.hear(asked)
        return await asked.sent

    async def status(self, supervisor: str) -> StatusReport:
        """Return what runs for the supervisor's root session, from memory, and what is unread."""
        root = await self._root_of(supervisor, delegates=False)
        mine = [run for run in self._runs.values() if run.delegation.root_session == root]
        live = [await run.look() for run in mine]
        lines, _ = await self._context.store.page(root, views.LIST_LINES)
        return StatusReport(live, lines, self._context.clock.now())

    async def peek(self, supervisor: str, given: str) -> Live | Delegation:
        """Return what a running delegation has written so far; one that has ended as it is.

        Raises:
            InvalidRequest: as ``stop``.
        """
        delegation = await self._find(supervisor, given)
        return delegation if delegation.is_terminal else await self._run_of(delegation).look()

    async def list(self, supervisor: str) -> Listing:
        """Return the newest delegations of the supervisor's root session."""
        root = await self._root_of(supervisor, delegates=False)
        lines, total = await self._context.store.page(root, views.LIST_LINES)
        folder = self._context.artifacts.folder(root)
        return Listing(lines, total, folder, self._context.clock.now())

    # --- checks ------------------------------------------------------------

    async def _find(self, supervisor: str, given: str) -> Delegation:
        name = requests.check_id(given)
        root = await self._root_of(supervisor, delegates=False)
        delegation = await self._context.store.find(name, root)
        if delegation is None:
            raise UnknownDelegation(name)
        return delegation

    def _run_of(self, delegation: Delegation) -> Run:
        run = self._runs.get(delegation.id)
        if run is None:
            raise RunElsewhere(delegation.id)
        return run

    async def _root_of(self, session: str, *, delegates: bool = True) -> str:
        """Return the root of a session; refuse a background agent that would delegate."""
        if session not in self._roots:
            lineage = await self._context.runtime.lineage(session)
            if delegates and await self._is_below_a_delegation(lineage):
                raise NotDelegable
            if not delegates:
                return lineage[-1]
            self._roots[session] = lineage[-1]
        return self._roots[session]

    async def _is_below_a_delegation(self, lineage: Sequence[str]) -> bool:
        for session in lineage:
            if session in self._by_session:
                return True
            if await self._context.store.with_session(session) is not None:
                return True
        return False

    async def _check_agent(self, name: str) -> None:
        try:
            requests.check_agent(name, await self._context.runtime.agents())
        except UnknownAgent:
            # It may have been added since they were last asked for.
            requests.check_agent(name, await self._context.runtime.agents(refresh=True))

    async def _register(self, event: Callable[[str], ev.Registered]) -> Delegation:
        for name in readable_ids(lambda: coolname.generate(3)):
            try:
                return await self._context.store.register(event(name))
            except IdTaken:
                continue
        raise AssertionError("candidates for ids never end")

    # --- runs --------------------------------------------------------------

    async def _take_over(self) -> None:
        """Go on with what processes that died have left behind."""
        for delegation in await adopt_orphans(self._context):
            self._conduct(delegation)
        await self._outbox.recover()

    async def _keep_looking(self) -> None:
        """Another process may die later, or may not be quite dead when this one starts."""
        while True:
            await self._context.clock.sleep(ORPHAN_SEARCH)
            try:
                await self._take_over()
            except StoreUnavailable as error:
                log.warning("orphans were not looked for: %s", error)

    def _conduct(self, delegation: Delegation) -> None:
        run = Run(
            self._context,
            self._slots,
            delegation,
            denied_tools=DENIED_TOOLS,
            launched=self._by_session.__setitem__,
            ended=self._after_end,
        )
        self._runs[delegation.id] = run
        self._tasks.spawn(run.work(), delegation.id)

    def _after_end(self, run: Run, notice: Notice, result: str) -> None:
        delegation = run.delegation
        self._runs.pop(delegation.id, None)
        if delegation.session is not None:
            self._by_session.pop(delegation.session, None)
            self._context.runtime.release(delegation.session)
        self._outbox.kick(delegation.parent_session)
        after = tell_and_describe(self._context, delegation, notice, result)
        self._tasks.spawn(after, f"toast and title of {delegation.id}")

    def _about_to_end(self, supervisor: str) -> Sequence[asyncio.Event]:
        return [
            run.committed
            for run in self._runs.values()
            if run.is_ending and run.delegation.parent_session == supervisor
        ]

    def _hear(self, event: RuntimeEvent) -> None:
        if isinstance(event, StreamRestored):
            for run in self._runs.values():
                run.hear(event)
            return
        if event.session in self._by_session:
            self._by_session[event.session].hear(event)
        elif isinstance(event, SessionDeleted):
            self._supervisor_deleted(event.session)
        elif isinstance(event, MessageChanged) and event.message.role == "user":
            self._outbox.nudge(event.session)
            if event.session not in self._roots:
                self._tasks.spawn(self._prepare(event.session), f"look at {event.session}")

    def _supervisor_deleted(self, session: str) -> None:
        self._roots.pop(session, None)
        for run in self._runs.values():
            if run.delegation.parent_session == session:
                run.hear(StopAsked("deletion", "Its supervisor's session was deleted."))

    async def _prepare(self, session: str) -> None:
        """Ask what a delegation from this session will need, while its model still thinks."""
        try:
            await self._root_of(session)
            await self._context.runtime.agents()
        except NotDelegable:
            return
        except DelegationError as error:
            log.info("%s is looked at when it delegates: %s", session, error)
