"""Takes over what a process that died, or was frozen, has left behind.

An orphan is a delegation that is not terminal and whose owner does nothing any more, or is this
process, which has no run of it. It becomes
ours by a commit that names us as its owner, so that of two processes only one wins; the
claim of a frozen owner is taken away first, so that it notices when it is thawed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StaleVersion, StoreUnavailable
from background_agents.ports.storage import Change, Lease
from background_agents.service.context import ProjectContext
from background_agents.service.ownership.leases import Leaseholder

log = logging.getLogger(__name__)


async def is_orphan(delegation: Delegation, context: ProjectContext, lease: Leaseholder) -> bool:
    """Return whether a delegation has lost the process that owned it."""
    if delegation.owner == lease.owner:
        return False
    claim = (await _claims(context)).get(delegation.owner)
    return claim is None or await lease.has_expired(claim)


async def adopt_orphans(
    context: ProjectContext,
    lease: Leaseholder,
    serves: Callable[[Delegation], Awaitable[bool]],
    conducts: Callable[[str], bool],
) -> list[Delegation]:
    """Make every orphan ours that we can serve and return them, oldest first.

    ``conducts`` says whether what is ours already has a run; without one it is an orphan, too.

    Raises:
        StoreUnavailable: none could be stored as ours.
    """
    unfinished = await context.store.unfinished()
    theirs = [
        one
        for one in unfinished
        if not (one.owner == lease.owner and conducts(one.id)) and await serves(one)
    ]
    if not theirs:
        return []
    claims = await _claims(context)
    dead = {
        owner
        for owner in dict.fromkeys(one.owner for one in theirs)
        if owner == lease.owner
        or await _has_lost_its_claim(owner, claims.get(owner), context, lease)
    }
    orphans = [one for one in theirs if one.owner in dead]
    adopted: list[Delegation] = []
    elsewhere = {one.id for one in unfinished if one.owner != lease.owner}
    # What is below another one goes with it, for both are conducted by one process.
    while level := [one for one in orphans if one.above not in elsewhere]:
        ours = await _adopted(level, context, lease, is_first=not adopted)
        adopted += ours
        elsewhere -= {one.id for one in ours}
        orphans = [one for one in orphans if one not in level]
    return adopted


async def _adopted(
    orphans: Sequence[Delegation], context: ProjectContext, lease: Leaseholder, *, is_first: bool
) -> list[Delegation]:
    """Make orphans ours and return those that now are; fail only where none ever was."""
    # Together, since what waits together is committed together: a few fsyncs for a hundred.
    found = await asyncio.gather(
        *(_adopt(one, context, lease) for one in orphans), return_exceptions=True
    )
    adopted = [one for one in found if isinstance(one, Delegation)]
    for error in (one for one in found if isinstance(one, BaseException)):
        if (is_first and not adopted) or not isinstance(error, StoreUnavailable):
            raise error
        # What is ours by now is to be conducted; the rest is looked at again soon.
        log.warning("an orphan was not adopted: %s", error)
    return adopted


async def _claims(context: ProjectContext) -> dict[str, Lease]:
    return {one.owner: one for one in await context.store.leases()}


async def _has_lost_its_claim(
    owner: str, claim: Lease | None, context: ProjectContext, lease: Leaseholder
) -> bool:
    """Return whether nobody claims what ``owner`` owned; a claim that has expired is taken away."""
    if claim is None:
        # Dead, or alive and without a claim: lost, to somebody who did not adopt this one.
        return True
    # Unless its owner has come back to life meanwhile, and renewed it.
    return await lease.has_expired(claim) and await context.store.revoke(claim)


async def _adopt(
    delegation: Delegation, context: ProjectContext, lease: Leaseholder
) -> Delegation | None:
    event = ev.Resumed(at=context.clock.now(), owner=lease.owner)
    change = Change(after=apply(delegation, event), events=(event,))
    try:
        await context.store.commit(change)
    except StaleVersion:
        log.info("%s was adopted by another process", delegation.id)
        return None
    return change.after
