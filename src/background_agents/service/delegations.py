"""The public operations: what hosts call, and the Python API of the package.

One ``Delegations`` serves one ``Workspace``. Each operation checks what was
asked, changes durable state through the ports, and returns records; how they read is the
business of ``views``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NoSupervisor,
    NotIsolated,
    UnknownDelegation,
)
from background_agents.domain.isolation import Applied
from background_agents.domain.notice import NoticeKind
from background_agents.domain.order import Order
from background_agents.ports.storage import Line
from background_agents.service import checks
from background_agents.service.changes import isolated
from background_agents.service.changes.calls import Call, Written
from background_agents.service.guidance import Guidance
from background_agents.service.registering import Registering
from background_agents.service.running.run import Run
from background_agents.service.running.signals import AnswerAsked, NotifyAsked, SteerAsked
from background_agents.service.sessions import Standing
from background_agents.service.workspace import Workspace
from background_agents.views import diffs
from background_agents.views import model as for_model
from background_agents.views.diffs import Diff
from background_agents.views.live import Live, StatusReport
from background_agents.views.model import Answered, Listing, Reading, Waited

log = logging.getLogger(__name__)


class Delegations:
    """Supervised background delegation in one directory of a project."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._project = workspace.project
        self._context = workspace.context
        self._settings = self._project.settings
        self._runs = self._project.runs
        self._sessions = workspace.sessions
        self.guidance = Guidance(
            self._context, self._settings, self._sessions, workspace.refused_tool
        )
        """What the models of the directory's sessions are told."""
        self._registering = Registering(workspace, self._find_own)

    async def may_write(self, call: Call) -> None:
        """Note that a session is about to call a tool that may write."""
        await self._workspace.may_write(call)

    async def wrote(
        self, session: str, call: str, told: Sequence[Written] = (), *, failed: bool = False
    ) -> None:
        """Note that such a call has ended, and what its tool tells of what it wrote."""
        await self._project.recorder.after(session, call, told, failed=failed)

    async def owner_of(self, session: str) -> str:
        """Return the delegation that a session belongs to; empty if it is no one's."""
        return await self._workspace.owner_of(session)

    @property
    def ends_with_turn(self) -> bool:
        """Whether what is delegated here is cut off when the turn ends that delegates it."""
        return self._context.runtime.ends_with_turn

    # --- operations --------------------------------------------------------

    async def delegate(
        self, supervisor: str, order: Order, *, by: str = "", granted: str = ""
    ) -> Delegation:
        """Register a delegation for the session ``supervisor`` and return it; it runs behind.

        ``by`` is the agent whose model asks; empty for a person, whom no rule for agents binds.
        ``granted`` is the permission that the host's user was asked for before, and gave.

        Raises:
            InvalidRequest: an argument cannot be meant, or the session may not delegate.
            LeaveNeeded: the host's user is to be asked before.
            RuntimeRefused, RuntimeUnreachable: what the host's rules say is not known.
        """
        delegation = await self._registering.register(supervisor, order, by, granted)
        self._workspace.conduct(delegation)
        return delegation

    async def read(self, supervisor: str, given: str, offset: int | None = None) -> Reading:
        """Return the artifact of a delegation that has ended, and mark it read.

        Raises:
            InvalidRequest: the id or offset cannot be meant, or is not of this root session.
        """
        start = checks.check_offset(offset)
        delegation = await self._find(supervisor, given)
        path, now = self._context.artifacts.path(delegation), self._context.clock.now()
        if not delegation.is_terminal:
            return Reading(delegation, None, start, path, now)
        text = await self._context.artifacts.read(delegation)
        if delegation.read_at is None:
            # Pruned by its human meanwhile: the text is what was asked for.
            with suppress(UnknownDelegation):
                delegation = await self._context.amend(delegation, ev.Read(at=now))
        return Reading(delegation, text, start, path, now)

    async def stop(self, supervisor: str, given: str) -> Delegation:
        """Stop a delegation and return it as it is once its session is quiet.

        What was written is kept. One that has ended already is returned as it is.

        Raises:
            InvalidRequest: the id cannot be meant, is not of this root session, or is run
                by another process.
        """
        delegation = await self._find_own(supervisor, given)
        return await self._runs.stop(delegation, Actor.SUPERVISOR)

    async def steer(self, supervisor: str, given: str, message: str) -> Delegation:
        """Put an instruction into a running delegation; return it once that is sent.

        The receipt comes later, when the agent has taken it up: ``steers`` shows it.

        Raises:
            InvalidRequest: as ``stop``; or the message is empty, or there is no run any more.
            RuntimeRefused, RuntimeUnreachable: the runtime did not take it.
        """
        checks.check_text(checks.INSTRUCTION, message)
        delegation = await self._find_own(supervisor, given)
        return await self._runs.ask(delegation, SteerAsked(message))

    async def answer(
        self, supervisor: str, given: str, reply: str, *, since: str | None = None
    ) -> Answered:
        """Answer the oldest request that a delegation waits for; return what that was.

        Granting a permission is for people: ``UserDelegations.answer``.

        Raises:
            InvalidRequest: as ``stop``; or nothing is asked, the reply is no answer to it or
                one that no model may give, or the session is a background agent's.
            RuntimeRefused, RuntimeUnreachable: the runtime did not take it.
        """
        checks.check_reply(reply)
        await self._sessions.supervising(supervisor)
        delegation = await self._find_own(supervisor, given)
        asked = AnswerAsked(reply, since or "")
        after = await self._runs.ask(delegation, asked)
        return Answered(after, asked.answered)

    async def apply(
        self,
        supervisor: str,
        given: str,
        paths: Sequence[str] = (),
        *,
        by: str = "",
        granted: str = "",
    ) -> Applied:
        """Write what an isolated delegation has changed, or some paths of it, to its project.

        ``by`` and ``granted`` are as of ``delegate``.

        Raises:
            InvalidRequest: as ``read``; or it still runs, has no tree, does not fit, or ``by`` may
                not edit files. Nothing was written.
            LeaveNeeded: the host's user is to be asked before.
        """
        standing = await self._sessions.supervising(supervisor)
        delegation = await self._find_own(supervisor, given)
        if standing.above is not None and standing.above.tree:
            raise NotIsolated("you work in the same tree, where its changes are")
        if by:
            leave = await self._context.runtime.leave(supervisor, by, delegation.agent)
            checks.check_edit(by, granted, leave)
        return await isolated.apply(self._context, delegation, paths)

    async def notify(self, child: str, message: str) -> Delegation:
        """Tell the supervisor of a background agent something; its run goes on.

        Raises:
            InvalidRequest: the message is empty, or ``child`` is no running delegation's session.
        """
        checks.check_text(checks.MESSAGE, message)
        run = await self._workspace.trace(child)
        if run is None:
            raise NoSupervisor
        return await self._runs.ask(run.delegation, NotifyAsked(message))

    async def wait(
        self,
        supervisor: str,
        ids: Sequence[str] | None = None,
        timeout_seconds: float | None = None,
        mode: str | None = None,
        *,
        since: str | None = None,
    ) -> Waited:
        """Wait until one or all of some delegations have ended; without ids, of those that run.

        Returns before that when one of them asks something or has said something, which only
        the supervisor can deal with, and in any case when the time is over. What ended or was
        said after the message ``since`` is news to whoever waits, even if it is past.

        Raises:
            InvalidRequest: an argument cannot be meant, or an id is not of this root session
                or run by another process.
        """
        limit, chosen = checks.check_wait(timeout_seconds, mode)
        checks.check_ids(ids)
        begun = since or self._context.mint("msg")
        standing = await self._sessions.standing(supervisor)
        watched = await self._watched(supervisor, standing, ids, begun)
        enough = any if chosen == "any" else all
        found: list[Delegation] = []

        def spoke() -> list[str]:
            said = self._project.recent.since(begun, NoticeKind.MESSAGE, standing.circle)
            return [name for name, run in watched.items() if run and name in said]

        async def holds() -> bool:
            found[:] = [await self._now(name, run) for name, run in watched.items()]
            ended = enough(one.is_terminal for one in found)
            return not found or ended or any(one.requests for one in found) or bool(spoke())

        await self._project.bell.until(holds, limit)
        return Waited(found, spoke(), limit, self._context.clock.now())

    async def status(self, supervisor: str) -> StatusReport:
        """Return what runs for the supervisor's root session, from memory; else what is there."""
        standing = await self._sessions.standing(supervisor)
        live = await self._project.live(await self._runs_of(standing))
        lines: Sequence[Line] = ()
        if not live:
            lines, _ = await self._page(standing)
        return StatusReport(live, lines, self._context.clock.now())

    async def peek(self, supervisor: str, given: str) -> Live | Delegation:
        """Return what a running delegation has written so far; one that has ended as it is.

        Raises:
            InvalidRequest: as ``stop``.
        """
        delegation = await self._find(supervisor, given)
        return delegation if delegation.is_terminal else await self._runs.of(delegation).look()

    async def diff(self, supervisor: str, given: str, path: str = "") -> Diff:
        """Return what a delegation has changed, of one that runs: so far.

        Raises:
            InvalidRequest: as ``stop``; or it has not changed ``path``, or that is kept no more.
        """
        delegation = await self._find(supervisor, given)

        def looked() -> str:
            segments, journal = isolated.seen(self._context, delegation)
            return diffs.for_model(delegation, segments, journal.content, path)

        return Diff(delegation, await asyncio.to_thread(looked))

    async def list(self, supervisor: str) -> Listing:
        """Return the newest delegations of the supervisor's root session."""
        standing = await self._sessions.standing(supervisor)
        lines, total = await self._page(standing)
        folder = self._context.artifacts.folder(standing.root)
        return Listing(lines, total, folder, self._context.clock.now())

    # --- checks ------------------------------------------------------------

    async def _find(self, supervisor: str, given: str) -> Delegation:
        name = checks.check_id(given)
        standing = await self._sessions.standing(supervisor)
        delegation = await self._context.store.find(name, standing.root)
        if delegation is None:
            delegation = await self._copied(name, standing.root)
        if delegation is None:
            raise UnknownDelegation(name)
        return delegation

    async def _find_own(self, supervisor: str, given: str) -> Delegation:
        """Return a delegation on which the session may act; what it may read are more."""
        delegation = await self._find(supervisor, given)
        standing = await self._sessions.standing(supervisor)
        if not await self._sessions.has(standing, delegation):
            raise UnknownDelegation(delegation.id)
        return delegation

    async def _copied(self, name: str, root: str) -> Delegation | None:
        """Return a delegation of the conversation that this one is a fork of, if it names it."""
        if name not in await self._sessions.copied_into(root):
            return None
        return await self._context.store.get(name)

    async def _copied_into(self, root: str) -> frozenset[str]:
        """Return what a fork names of others; what is its own is shown in any case."""
        try:
            return await self._sessions.copied_into(root)
        except DelegationError as error:
            log.info("what %s may be a fork of is not known: %s", root, error)
            return frozenset()

    async def _page(self, standing: Standing) -> tuple[Sequence[Line], int]:
        """Return the newest lines of what a session sees, and how many there are in all."""
        root = standing.root
        lines, total = await self._context.store.page(root, for_model.LIST_LINES)
        if standing.above is not None:
            stored = [await self._context.store.get(one.id) for one in lines if one.above]
            seen = [one for one in stored if one and await self._sessions.has(standing, one)]
            return [Line.of(one) for one in seen], len(seen)
        found = [await self._context.store.get(one) for one in await self._copied_into(root)]
        copied = [Line.of(one) for one in found if one is not None]
        copied.sort(key=lambda line: line.registered_at, reverse=True)
        return [*lines, *copied][: for_model.LIST_LINES], total + len(copied)

    async def _runs_of(self, standing: Standing) -> Sequence[Run]:
        """Return what runs of all that a session sees."""
        running = [r for r in self._runs.all() if r.delegation.root_session == standing.root]
        if standing.above is not None:
            return [r for r in running if await self._sessions.has(standing, r.delegation)]
        copied = await self._copied_into(standing.root)
        return [*running, *(run for run in self._runs.all() if run.delegation.id in copied)]

    async def _watched(
        self, supervisor: str, standing: Standing, ids: Sequence[str] | None, begun: str
    ) -> dict[str, Run | None]:
        """Return what to wait for; a delegation that has ended has no run.

        Without ids nothing that another delegation waits for itself.
        """
        if ids is None:
            news = self._project.recent.since(begun, NoticeKind.ENDED, standing.circle)
            ended = dict.fromkeys(news)
            seen = await self._runs_of(standing)
            runs = [run for run in seen if run.delegation.depth == standing.depth]
            return ended | {run.delegation.id: run for run in runs}
        found = [await self._find_own(supervisor, given) for given in ids]
        return {one.id: None if one.is_terminal else self._runs.of(one) for one in found}

    async def _now(self, name: str, run: Run | None) -> Delegation:
        if run is not None:
            return await self._runs.now(run)
        stored = await self._context.store.get(name)
        if stored is None:
            raise UnknownDelegation(name)
        return stored
