"""What its user may do with any delegation of a project, from outside of a conversation.

The supervisor's operations are in ``Delegations`` and see one root session; here are the same for
whoever sits at the machine, and what only people want: to watch a run as it writes. Knows
nothing of sockets, screens or commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from background_agents.domain.actor import Actor
from background_agents.domain.annotation import Annotation
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    HasEnded,
    NoResult,
    UnknownDelegation,
)
from background_agents.domain.events import Extended, Read
from background_agents.domain.order import Order, again
from background_agents.domain.text import title_of
from background_agents.ports.runtime import SessionOrder
from background_agents.service import checks
from background_agents.service.delegations import Delegations
from background_agents.service.panel import Panels
from background_agents.service.running.run import Run
from background_agents.service.running.signals import AnswerAsked, RecordAsked, SteerAsked
from background_agents.views.json import Sheet, sheet
from background_agents.views.live import BEGINNING, Live, Position, Tail, tail, whole
from background_agents.views.model import Answered
from background_agents.views.panel_actions import Page, page

if TYPE_CHECKING:
    from background_agents.service.project import Project
    from background_agents.service.workspace import Workspace

LOOK_LIMIT = timedelta(seconds=30)
"""How long a follower may hear nothing before it is looked at the run once more."""


class UserDelegations:
    """The user's side of one project, in a process that serves it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._context = project.context
        self._settings = project.settings
        self._runs = project.runs

    @property
    def project(self) -> str:
        """The project's id."""
        return self._context.project

    @property
    def directories(self) -> Sequence[str]:
        """The directories of the project that are open, in the order of their opening."""
        return self._project.directories

    @property
    def active(self) -> int:
        """How many runs there are."""
        return len(self._runs.all())

    def sheet(self, delegation: Delegation) -> Sheet:
        """Return what a program is told of a delegation now."""
        return sheet(delegation, self._context.clock.now())

    @property
    def panels(self) -> Panels:
        """What its screens inside the host are shown."""
        return self._project.panels

    async def live(self) -> list[Live]:
        """Return every run as it is now, oldest first."""
        return await self._project.live(self._runs.all())

    async def look(self, delegation: str) -> Live:
        """Return a run as it is now. Raises ``InvalidRequest``."""
        return await (await self._run(delegation)).look()

    async def read(self, delegation: str, offset: int = 0, *, is_person: bool) -> Page:
        """Return a part of a result; where a person had delegated it, theirs is the reading.

        Raises:
            InvalidRequest: there is no such delegation or offset, or no result yet.
            StoreUnavailable: the file cannot be read.
        """
        start = checks.check_offset(offset)
        one = await self._get(delegation)
        if not one.is_terminal:
            raise NoResult(one.id, one.status)
        result = await self._context.artifacts.result(one)
        if is_person and one.is_unread and not one.supervisor_agent:
            with suppress(UnknownDelegation):  # pruned meanwhile: the text is what was asked for
                await self._context.amend(one, Read(at=self._context.clock.now()))
        return page(one, result, start)

    async def steer(
        self, delegation: str, message: str, *, by: str = Actor.COMMAND_LINE
    ) -> Delegation:
        """Put the user's instruction into a run; return the delegation once that is sent.

        Raises:
            InvalidRequest: the message is empty, or there is no run here that could take it.
            RuntimeRefused, RuntimeUnreachable: the runtime did not take it.
        """
        checks.check_text(checks.INSTRUCTION, message)
        asked = SteerAsked(message, by=by)
        return await self._runs.ask(await self._get(delegation), asked)

    async def answer(
        self, delegation: str, reply: str, request: str = "", *, by: str = Actor.COMMAND_LINE
    ) -> Answered:
        """Answer the oldest request that a delegation waits for; return what that was.

        ``request`` is the id of the one that the user has seen, and no other is answered then.
        ``by`` is the supervisor where its model has run the program that answers.

        Raises:
            InvalidRequest: nothing is asked, or the reply is no answer to it.
            RuntimeRefused, RuntimeUnreachable: the runtime did not take it.
        """
        checks.check_reply(reply)
        asked = AnswerAsked(reply, by=by, request=request)
        after = await self._runs.ask(await self._get(delegation), asked)
        return Answered(after, asked.answered)

    async def extend(
        self, delegation: str, minutes: float, *, by: str = Actor.COMMAND_LINE
    ) -> Delegation:
        """Give a delegation so many minutes more, with 0 all that it needs; return it then.

        It takes none while it waits for an answer, and may not have begun.

        Raises:
            InvalidRequest: it has ended, or has no time limit, or the number cannot be meant.
        """
        more = checks.check_timeout(minutes, name="minutes")

        def extended(one: Delegation, at: datetime) -> Extended:
            checks.check_longer(one, more)
            return Extended(at=at, more=more, by=by)

        return await self._runs.ask(await self._get(delegation), RecordAsked(extended, by))

    async def annotate(
        self, delegation: str, change: Annotation, *, by: str = Actor.COMMAND_LINE
    ) -> Delegation:
        """Give a delegation that has not ended labels or a note. Raises ``InvalidRequest``."""
        asked = RecordAsked(lambda one, at: change.of(one, at, by), by)
        return await self._runs.ask(await self._get(delegation), asked)

    async def stop(self, delegation: str, *, by: str = Actor.COMMAND_LINE) -> Delegation:
        """Stop a delegation and return it as it is once its session is quiet.

        Raises:
            InvalidRequest: another process runs it.
        """
        return await self._runs.stop(await self._get(delegation), by)

    async def stop_all(
        self, ids: Sequence[str], *, by: str = Actor.COMMAND_LINE
    ) -> list[Delegation | DelegationError]:
        """Stop several delegations in one act; return each, or why it was not stopped.

        All are asked before one has ended, so that their supervisor is told of them together.
        """
        found = [await _or_error(self._get(one)) for one in ids]
        stops = {
            one.id: asyncio.ensure_future(_or_error(self._runs.stop(one, by)))
            for one in found
            if isinstance(one, Delegation)
        }
        return [await stops[one.id] if isinstance(one, Delegation) else one for one in found]

    async def delegate(self, directory: str, order: Order) -> Delegation:
        """Register a delegation in a directory that no conversation asked for; it runs behind.

        It gets a root session of its own as its supervisor, in which nobody's turn runs, so that
        its notices wake no model.

        Raises:
            InvalidRequest: an argument cannot be meant.
            NotServed: the directory is not open here.
            RuntimeRefused, RuntimeUnreachable: the runtime made no session.
        """
        workspace = self._project.workspace(directory)
        runtime = workspace.context.runtime
        if order.retry_id:
            order = again(order, await self._get(order.retry_id))
        checks.check_order(order, self._settings.default_timeout)
        checks.check_limits(order, self._settings.limits, may_exceed=True)
        await self._project.spending.check()
        agents = await runtime.agents(refresh=True)
        # Before there is a session that nobody would need.
        checks.check_agent(order.agent, agents, leave_to=workspace.context.left_to(self._settings))
        supervisor = await self._supervisor_of(order, workspace) or await runtime.open_session(
            SessionOrder(parent=None, title=title_of(order.prompt))
        )
        return await Delegations(workspace).delegate(supervisor, order)

    async def transcript(self, delegation: str) -> str:
        """Return all that was said in a run so far, or in one that has ended.

        Raises:
            InvalidRequest: another process runs it, or its runtime is another one.
            RuntimeRefused, RuntimeUnreachable: the runtime does not tell; the session may be gone.
        """
        found = await self._get(delegation)
        if not found.is_terminal:
            return whole(found, (await self._runs.of(found).look()).transcript).text
        return whole(found, await self._project.nearest(found.directory).transcript(found)).text

    async def follow(
        self,
        delegation: str,
        write: Callable[[Tail], None],
        seen: Position = BEGINNING,
        *,
        from_prompt: bool = False,
    ) -> Delegation:
        """Hand everything that a run writes to ``write``, until it has ended; return it then.

        Begins with what it has written since ``seen``, or with all of it as ``transcript`` tells
        it. Raises ``InvalidRequest``.
        """
        run = await self._run(delegation)
        shown = seen
        if from_prompt:
            begun = whole(run.delegation, (await run.look()).transcript)
            write(begun)
            shown = begun.position

        async def has_ended() -> bool:
            nonlocal shown
            if run.over.is_set():
                return True  # its transcript is let go of; the last word came before
            more = tail((await run.look()).transcript, shown)
            if more.text:
                write(more)
            shown = more.position
            return False

        while not run.over.is_set():
            await self._project.stir.until(has_ended, LOOK_LIMIT)
        return run.delegation

    async def change(self, delegation: str, version: int, limit: timedelta) -> Delegation:
        """Return a delegation once its run has stored more than ``version`` events, or has ended.

        Returns it earlier when ``limit`` is over. Raises ``InvalidRequest``.
        """
        found = await self._get(delegation)
        if found.is_terminal:
            return found
        run = self._runs.of(found)

        async def holds() -> bool:
            return run.over.is_set() or run.delegation.version > version

        await self._project.bell.until(holds, limit)
        return run.delegation if run.over.is_set() else (await run.look()).delegation

    async def wait(
        self,
        ids: Sequence[str],
        limit: timedelta,
        asks: Callable[[Delegation], None],
        *,
        for_any: bool,
    ) -> list[Delegation]:
        """Wait until one or all of some delegations have ended; return them as they then are.

        ``asks`` is called with one that waits for an answer, once for each request. Returns
        earlier when ``limit`` is over. Raises ``InvalidRequest``.
        """
        found: dict[str, Delegation] = {}
        runs: dict[str, Run] = {}
        for name in ids:
            one = found[name] = await self._get(name)
            if not one.is_terminal:
                # Before anything else is waited for: a run that ends meanwhile is forgotten.
                runs[name] = self._runs.of(one)
        told: set[str] = set()
        enough = any if for_any else all

        async def holds() -> bool:
            for name, run in runs.items():
                found[name] = now = await self._runs.now(run)
                new = {request.id for request in now.requests} - told
                if new:
                    told.update(new)
                    asks(now)
            return enough(one.is_terminal for one in found.values())

        await self._project.bell.until(holds, limit)
        for name, run in runs.items():
            if not found[name].is_terminal and not run.over.is_set():
                found[name] = (await run.look()).delegation
        return list(found.values())

    async def _supervisor_of(self, order: Order, workspace: Workspace) -> str | None:
        """Return who has what this one goes on with, or does once more; None for nobody."""
        earlier = order.retry_id or order.continue_id
        if not earlier:
            return None
        before = await self._get(earlier)
        # Of one below another the conversation, since that other one may have ended.
        supervisor = before.root_session if before.above else before.parent_session
        if order.continue_id:
            await workspace.check_reaches(before)
            return supervisor
        state = await workspace.context.runtime.state(supervisor)
        return supervisor if state.exists else None

    async def _run(self, delegation: str) -> Run:
        found = await self._get(delegation)
        if found.is_terminal:
            raise HasEnded(found.id, found.status)
        return self._runs.of(found)

    async def _get(self, delegation: str) -> Delegation:
        found = await self._context.store.get(checks.check_id(delegation))
        if found is None or found.project != self.project:
            raise UnknownDelegation(delegation)
        return found


async def _or_error(asked: Awaitable[Delegation]) -> Delegation | DelegationError:
    try:
        return await asked
    except DelegationError as error:
        return error
