"""Takes over what a process that died, or was frozen, has left behind.

An orphan is a delegation that is not terminal and whose owner does nothing any more. It becomes
ours by a commit that names us as its owner, so that of two processes only one wins; the
claim of a frozen owner is taken away first, so that it notices when it is thawed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StaleVersion
from background_agents.ports import Change, Lease
from background_agents.service.context import Context
from background_agents.service.leases import Leaseholder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Finding:
    """Whether a delegation is an orphan, and the claim of its owner as it was then."""

    is_orphan: bool
    claim: Lease | None = None


async def is_orphan(delegation: Delegation, context: Context, lease: Leaseholder) -> bool:
    """Return whether a delegation of this directory has lost the process that owned it."""
    return (await _look_at(delegation, context, lease)).is_orphan


async def adopt_orphans(context: Context, lease: Leaseholder) -> list[Delegation]:
    """Make every orphan ours and return them, oldest first."""
    adopted = []
    for delegation in await context.store.unfinished():
        found = await _look_at(delegation, context, lease)
        if not found.is_orphan:
            continue
        if found.claim is not None and not await context.store.revoke(found.claim):
            continue  # its owner has come back to life, and renewed its claim
        event = ev.Resumed(at=context.clock.now(), owner=lease.owner)
        change = Change(after=apply(delegation, event), events=(event,))
        try:
            await context.store.commit(change)
        except StaleVersion:
            log.info("%s was adopted by another process", delegation.id)
            continue
        adopted.append(change.after)
    return adopted


async def _look_at(delegation: Delegation, context: Context, lease: Leaseholder) -> _Finding:
    if delegation.directory != context.directory or delegation.owner == lease.owner:
        return _Finding(is_orphan=False)
    claims = {one.owner: one for one in await context.store.leases()}
    claim = claims.get(delegation.owner)
    if claim is None:
        # Dead, or alive and without a claim: lost, to somebody who did not adopt this one.
        return _Finding(is_orphan=True)
    return _Finding(await lease.has_expired(claim), claim)
