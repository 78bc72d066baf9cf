"""Delegations in a tree of their own: prepared before they begin, summed up when they have ended.

Trees are copied and compared on worker threads. What fails fails the delegation: it never works in
the project's own folder instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from background_agents.domain.change_sums import sum_of
from background_agents.domain.changes import Changes, Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NotIsolated,
    StillActive,
    UnknownDelegation,
)
from background_agents.domain.events import ChangesMade
from background_agents.domain.isolation import Applied, Isolated
from background_agents.ports.changes import ChangeJournal
from background_agents.service.context import Context, ProjectContext

log = logging.getLogger(__name__)


async def tree_of(context: ProjectContext, delegation: Delegation) -> Isolated | None:
    """Return what a delegation works in, made now if it is the first there; None if in no tree.

    Raises:
        NotIsolated: it cannot be made, or the one to go on in was discarded.
    """
    if not delegation.tree:
        return None
    if delegation.tree == delegation.id:
        return await asyncio.to_thread(context.tries.prepare, delegation.id, delegation.directory)
    found = await asyncio.to_thread(context.tries.find, delegation.tree)
    if found is None:
        raise NotIsolated(f"that of {delegation.tree} was discarded")
    return found


async def learn_place(context: Context, delegation: Delegation) -> None:
    """Tell the runtime where an isolated delegation's session works; it may be a new one."""
    if not (delegation.tree and delegation.session):
        return
    found = await asyncio.to_thread(context.tries.find, delegation.tree)
    if found is not None:
        context.runtime.works_in(delegation.session, found.directory)


async def close_place(context: Context, delegation: Delegation) -> None:
    """Let the runtime forget the tree of a delegation that has ended, if nobody goes on there."""
    if not delegation.tree:
        return
    try:
        others = await context.store.unfinished()
        found = await asyncio.to_thread(context.tries.find, delegation.tree)
        if found is not None and not any(one.tree == delegation.tree for one in others):
            await context.runtime.close_directory(found.directory)
    except DelegationError as error:
        log.info("the tree of %s stays open: %s", delegation.id, error)


async def changes_of(context: ProjectContext, delegation: Delegation) -> Changes:
    """Return the sum of what an isolated delegation has changed, which is kept from now on."""
    try:
        return await asyncio.to_thread(_changes, context, delegation)
    except DelegationError as error:
        log.warning("what %s has changed is not known: %s", delegation.id, error)
        return Changes(strayed=f"What it has changed is not known: {error}")


def _changes(context: ProjectContext, delegation: Delegation) -> Changes:
    tries, tree = context.tries, delegation.tree
    segments = tries.changes(tree, delegation.id)
    found = sum_of(segments, tries.kept(tree).content)
    return replace(found, apart=tries.state(tree), strayed=tries.moved(tree))


async def note_state(context: ProjectContext, tree: str) -> None:
    """Store what has become of a tree, for all that have ended there."""
    state = await asyncio.to_thread(context.tries.state, tree)
    for one in await context.store.ended_in(tree):
        if one.changes.apart != state:
            changes = replace(one.changes, apart=str(state))
            with suppress(UnknownDelegation):  # pruned meanwhile
                await context.amend(one, ChangesMade(at=context.clock.now(), changes=changes))


async def apply(context: ProjectContext, delegation: Delegation, paths: Sequence[str]) -> Applied:
    """Write what a delegation that has ended has changed in its tree to the project's folder.

    Raises:
        InvalidRequest: it runs, has no tree, or what it has changed does not fit.
    """
    if not delegation.is_terminal:
        raise StillActive(delegation.id, delegation.status)
    if not delegation.tree:
        raise NotIsolated("it has worked in the project itself, where its changes are")
    for other in await context.store.unfinished():
        if other.tree == delegation.tree:
            raise StillActive(other.id, other.status)

    def applied() -> Applied:
        plan = context.tries.plan(delegation.tree, paths)
        segments = context.tries.apply(plan, delegation.id)
        return Applied(delegation.id, segments, context.tries.state(delegation.tree))

    done = await asyncio.to_thread(applied)
    await note_state(context, delegation.tree)
    return done


def seen(
    context: ProjectContext, delegation: Delegation
) -> tuple[Sequence[Segment], ChangeJournal]:
    """Return what a delegation has changed, wherever it works, and what keeps that. Blocks."""
    if delegation.tree:
        return context.tries.seen(delegation.tree, delegation.id)
    return context.journal.segments(delegation.id), context.journal
