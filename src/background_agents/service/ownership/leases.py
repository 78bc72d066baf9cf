"""A process's claim to the delegations that it owns, renewed by a heartbeat.

Who has not renewed its claim for a while may be frozen, and loses it to whoever takes over. So
before anything with an effect a process makes sure that its claim still holds; one that
was frozen and thawed finds out before it has written a word.

Of a process in another container, or on another machine that shares the folder, neither pid nor
clock says anything here. Its claim has expired when it has not changed for the time of a lease by
our clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from background_agents.domain.errors import LeaseLost
from background_agents.ports.processes import Fate, Processes
from background_agents.ports.storage import Lease
from background_agents.service.context import ProjectContext

log = logging.getLogger(__name__)

HEARTBEAT = timedelta(seconds=3)
"""One small commit; four may be missed before the claim is in doubt."""

LEASE = timedelta(seconds=15)
"""How long a claim holds without a heartbeat. With the search for orphans every 10 s, what a
frozen process owned goes on within 30 s."""

TRUSTED = LEASE - HEARTBEAT
"""How long its owner trusts it without looking: less, so that no two trust theirs at once."""


class Leaseholder:
    """The claim of this process in one store.

    ``lost`` is called when the claim was taken away; from then on there is a new one, under
    another name, for whatever begins later.
    """

    def __init__(self, context: ProjectContext, lost: Callable[[], None]) -> None:
        self.owner = context.owner
        self._context = context
        self._lost = lost
        self._host = self._boot = ""
        self._renewed_s: float | None = None
        self._losses = 0
        self._elsewhere: dict[str, tuple[float, float]] = {}
        """Claims that are not ours to judge: how they were renewed last, and when we saw that."""

    async def start(self) -> None:
        """Make the claim, and clear away those of processes that have ended."""
        processes = self._context.processes
        self._host = await asyncio.to_thread(processes.host_name)
        self._boot = await asyncio.to_thread(processes.boot_id)
        await self.renew()
        await self._clear()

    async def clear(self) -> None:
        """Clear away what has expired of the claims that could not be judged before.

        Raises:
            StoreUnavailable: they are as they were.
        """
        if self._elsewhere:
            await self._clear()

    async def _clear(self) -> None:
        found = [one for one in await self._context.store.leases() if one.owner != self.owner]
        for gone in self._elsewhere.keys() - {one.owner for one in found}:
            del self._elsewhere[gone]
        for lease in found:
            if await asyncio.to_thread(self._is_dead, lease):
                await self._context.store.revoke(lease)

    async def renew(self) -> None:
        """Store a heartbeat, and find out whether the claim was taken away.

        Raises:
            StoreUnavailable: neither was done.
        """
        now_s = self._context.clock.monotonic_s()
        lease = Lease(owner=self.owner, host=self._host, boot=self._boot, renewed_s=now_s)
        if await self._held(lease):
            self._renewed_s = now_s
            return
        log.warning("%s has lost what it owned: it did not run for a while", self.owner)
        self._losses += 1
        self.owner = f"{self._context.owner}:{self._losses}"
        self._renewed_s = None
        self._lost()
        await self.renew()

    async def _held(self, lease: Lease) -> bool:
        if self._renewed_s is not None:
            return await self._context.store.renew(lease)
        await self._context.store.claim(lease)
        return True

    async def make_sure(self, owner: str) -> None:
        """Return if what ``owner`` owns is ours.

        Raises:
            LeaseLost: it is another process's now.
            StoreUnavailable: nobody can say.
        """
        if self._renewed_s is None or self._age_s(self._renewed_s) > TRUSTED.total_seconds():
            await self.renew()
        if owner != self.owner:
            raise LeaseLost(owner)

    async def has_expired(self, lease: Lease) -> bool:
        """Return whether whoever holds a claim does nothing any more.

        A service that is frozen alone keeps its claim: its host goes on, with the agents in
        it, and nobody else could follow them.
        """
        if await asyncio.to_thread(self._is_dead, lease):
            return True
        if lease.owner in self._elsewhere:
            return False
        running = await asyncio.to_thread(self._context.processes.is_running, lease.host)
        return self._is_old(lease) and not running

    def _is_dead(self, lease: Lease) -> bool:
        """Return whether a claim is of a process that has ended for good, or tells of no life.

        A host whose service has died starts the next one at once, which is the better heir: the
        agents live in that host. Others leave it the time of a lease.
        """
        processes = self._context.processes
        fate = fate_of_owner(lease, self._boot, self._context.clock.monotonic_s(), processes)
        # Also when, without a boot id, our clock has passed the claim's meanwhile.
        if fate is Fate.ELSEWHERE or lease.owner in self._elsewhere:
            return self._is_silent(lease)
        if fate is Fate.ALIVE:
            return False
        has_heir = lease.host != self._host and processes.fate_of(lease.host) is Fate.ALIVE
        return self._is_old(lease) or not has_heir

    def _is_silent(self, lease: Lease) -> bool:
        """Return whether a claim has not changed for the time of a lease since we saw it first."""
        now_s = self._context.clock.monotonic_s()
        renewed_s, seen_s = self._elsewhere.get(lease.owner, (None, now_s))
        if renewed_s != lease.renewed_s:
            seen_s = now_s
        self._elsewhere[lease.owner] = (lease.renewed_s, seen_s)
        return now_s - seen_s > LEASE.total_seconds()

    def _is_old(self, lease: Lease) -> bool:
        return self._age_s(lease.renewed_s) > LEASE.total_seconds()

    def _age_s(self, renewed_s: float) -> float:
        return self._context.clock.monotonic_s() - renewed_s


def fate_of_owner(lease: Lease, boot: str, now_s: float, processes: Processes) -> Fate:
    """Return what can be said here of whoever holds a claim; ``boot`` is this machine's."""
    if is_of_another_boot(lease, boot, now_s):
        return Fate.ELSEWHERE
    return processes.fate_of(lease.owner)


def is_of_another_boot(lease: Lease, boot: str, now_s: float) -> bool:
    """Return whether a claim is of another machine, or of this one before it began anew.

    Where the machine does not tell, its clock does.

    With a boot id the clock proves nothing: time namespaces of one boot differ in it.
    """
    if lease.boot or boot:
        return lease.boot != boot
    return lease.renewed_s > now_s
