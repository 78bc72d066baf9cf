"""Brings notices to supervisors, each exactly once.

A notice exists because its row was committed with the ending. What is sent, and under
which ids, is committed before it is sent, so that a retry repeats it to the letter and
leaves one copy. One gate per supervisor: its notices never interleave, and those that are
due together travel as one message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    MessagesUndone,
    SupervisorGone,
    UnknownDelegation,
)
from background_agents.domain.notice import Notice, NoticeKind, NoticeState
from background_agents.ports.supervisor import OutgoingMessage, SupervisorChannel
from background_agents.service.context import ProjectContext
from background_agents.service.ownership.leases import Leaseholder
from background_agents.service.ownership.recovery import is_orphan
from background_agents.service.tasks import Tasks
from background_agents.views import notices as texts

log = logging.getLogger(__name__)

COMPANIONS_LIMIT_S = 1.0
"""How long a notice waits for delegations that have said their last word. OpenCode takes
one snapshot of a project at a time, so of two that end together the second goes idle 60 to
200 ms after the first, and on a busy machine more than 300."""

UNHURRIED_LIMIT_S = 5.0
"""The same for notices that wake nobody, as of what a person stops: longer than a session takes
that is quiet only after the second abort."""

MOST_PER_MESSAGE = 25
"""Notices that travel as one message: some 6,000 tokens at most; the rest follows in the next."""

RETRY_FIRST, RETRY_MOST = timedelta(seconds=0.25), timedelta(seconds=30)
"""Pauses between attempts to reach a supervisor; its next message cuts a pause short."""


class Outbox:
    """Delivers what the store holds as due.

    ``companions`` returns an event for each delegation of a supervisor that is about
    to end; ``delivering`` hears of each message before it is sent, and returns what it becomes;
    ``delivered`` hears of each notice that has its receipt.
    """

    def __init__(
        self,
        context: ProjectContext,
        tasks: Tasks,
        lease: Leaseholder,
        *,
        companions: Callable[[str], Sequence[asyncio.Event]],
        delivering: Callable[[OutgoingMessage], Awaitable[OutgoingMessage]],
        delivered: Callable[[Notice], None],
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._lease = lease
        self._companions = companions
        self._delivering = delivering
        self._delivered = delivered
        self._gates: dict[str, asyncio.Event] = {}

    def kick(self, supervisor: str, channel: SupervisorChannel) -> None:
        """See to it that the supervisor's due notices are delivered, now if possible.

        ``channel`` is that of the directory in which it has delegated.
        """
        gate = self._gates.get(supervisor)
        if gate is not None:
            gate.set()
            return
        self._gates[supervisor] = asyncio.Event()
        self._tasks.spawn(self._drain(supervisor, channel), f"notices for {supervisor}")

    def nudge(self, supervisor: str) -> None:
        """Try again at once, if a delivery to this supervisor is pausing or held."""
        if gate := self._gates.get(supervisor):
            gate.set()

    def nudge_all(self) -> None:
        """Try again at once: what would have told to do so may have been lost."""
        for gate in self._gates.values():
            gate.set()

    async def recover(
        self, channel_of: Callable[[Delegation], Awaitable[SupervisorChannel | None]]
    ) -> None:
        """Deliver what a process that ended had not delivered, of those that it can reach."""
        for notice in await self._context.store.due():
            delegation = await self._context.store.get(notice.delegation)
            if delegation is None or (channel := await channel_of(delegation)) is None:
                continue
            ours = delegation.owner == self._lease.owner
            if ours or await is_orphan(delegation, self._context, self._lease):
                self.kick(notice.supervisor, channel)

    async def _drain(self, supervisor: str, channel: SupervisorChannel) -> None:
        gate = self._gates[supervisor]
        pause = RETRY_FIRST
        try:
            while True:
                gate.clear()
                try:
                    if not await self._deliver_due(supervisor, channel) and not gate.is_set():
                        return
                    pause = RETRY_FIRST
                except MessagesUndone as error:
                    log.info("notices for %s are held: %s", supervisor, error)
                    await gate.wait()
                except Exception as error:
                    foreseen = isinstance(error, DelegationError)
                    log.warning(
                        "notices for %s are not delivered yet: %s",
                        supervisor,
                        error if foreseen else repr(error),
                        exc_info=None if foreseen else error,
                    )
                    await self._pause(gate, pause)
                    pause = min(pause * 2, RETRY_MOST)
        finally:
            del self._gates[supervisor]

    async def _pause(self, gate: asyncio.Event, pause: timedelta) -> None:
        timer = self._context.clock.call_later(pause, gate.set)
        try:
            await gate.wait()
        finally:
            timer.cancel()

    async def _deliver_due(self, supervisor: str, channel: SupervisorChannel) -> bool:
        """Deliver what is due, message by message; return False when nothing is."""
        due = await self._context.store.due(supervisor)
        if due and due[0].message is None and await self._companions_came(supervisor, due):
            due = await self._context.store.due(supervisor)
        is_any = False
        # What is due meanwhile is asked for again afterwards, and not for each message.
        while due := [notice for notice in due if await self._is_topical(notice)]:
            is_any = True
            if due[0].message is None:
                # Before it has an id: ids sort by time, and what is held comes after whatever the
                # user says next.
                await channel.make_sure_nothing_is_undone(supervisor)
            batch = await self._assigned(supervisor, due)
            await self._deliver(batch, channel)
            sent = {notice.id for notice in batch}
            due = [notice for notice in due if notice.id not in sent]
        return is_any

    async def _deliver(self, batch: Sequence[Notice], channel: SupervisorChannel) -> None:
        """Deliver one message and store its receipt."""
        try:
            await channel.deliver(await self._delivering(_outgoing(batch)))
        except SupervisorGone as error:
            log.warning("notices dropped: %s", error)
            await self._context.store.settle(_in_state(batch, NoticeState.DROPPED))
            return
        await self._context.store.settle(_in_state(batch, NoticeState.CONFIRMED))
        for notice in batch:
            self._delivered(notice)
            self._tasks.spawn(self._confirm(notice), f"receipt of {notice.id}")

    async def _is_topical(self, notice: Notice) -> bool:
        """Return whether a notice still holds; a request that was answered meanwhile is dropped."""
        if notice.kind is not NoticeKind.REQUEST:
            return True
        delegation = await self._context.store.get(notice.delegation)
        asked = notice.ask.id if notice.ask else ""
        if delegation is not None and any(one.id == asked for one in delegation.requests):
            return True
        await self._context.store.settle(_in_state([notice], NoticeState.DROPPED))
        return False

    async def _companions_came(self, supervisor: str, due: Sequence[Notice]) -> bool:
        """Wait for delegations that are about to end; return whether any was."""
        is_urgent = any(notice.wakes for notice in due)
        limit = COMPANIONS_LIMIT_S if is_urgent else UNHURRIED_LIMIT_S
        ending = [asyncio.ensure_future(one.wait()) for one in self._companions(supervisor)]
        if ending:
            _, late = await asyncio.wait(ending, timeout=limit)
            for waiter in late:
                waiter.cancel()
        return bool(ending)

    async def _assigned(self, supervisor: str, due: Sequence[Notice]) -> list[Notice]:
        """Return the notices of the next message, with its id and their text stored."""
        if due[0].message is not None:
            # Perhaps sent already: repeated as it was, and alone.
            return [notice for notice in due if notice.message == due[0].message]
        remaining = await self._context.store.remaining(supervisor)
        message = self._context.mint("msg")
        batch = [
            msgspec.structs.replace(
                notice,
                message=message,
                text=texts.text(notice, remaining),
                state=NoticeState.ASSIGNED,
            )
            for notice in [one for one in due if one.message is None][:MOST_PER_MESSAGE]
        ]
        stored = await self._context.store.assign(batch)
        # Another process may have been first with some of them: those go by themselves.
        return [notice for notice in stored if notice.message == stored[0].message]

    async def _confirm(self, notice: Notice) -> None:
        """Write the receipt into the delegation's own history, once nobody else writes there."""
        if notice.kind is not NoticeKind.ENDED:
            return
        delegation = await self._context.store.get(notice.delegation)
        if delegation is None:
            return
        event = ev.NoticeConfirmed(at=self._context.clock.now(), notice=notice.id)
        try:
            await self._context.amend(delegation, event)
        except UnknownDelegation:
            log.debug("%s was pruned before its receipt was stored", notice.delegation)
        except DelegationError as error:
            log.error("the receipt of %s is not stored: %s", notice.delegation, error)


def _outgoing(batch: Sequence[Notice]) -> OutgoingMessage:
    parts = tuple((notice.id, notice.text or "") for notice in batch)
    return OutgoingMessage(
        session=batch[0].supervisor,
        message=batch[0].message or "",
        parts=parts,
        description=texts.description(batch),
        wakes=any(notice.wakes for notice in batch),
    )


def _in_state(batch: Sequence[Notice], state: NoticeState) -> list[Notice]:
    return [msgspec.structs.replace(notice, state=state) for notice in batch]
