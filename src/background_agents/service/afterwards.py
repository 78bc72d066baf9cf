"""What follows an ending and may fail without harm: the toast, and a better title."""

from __future__ import annotations

import logging
from datetime import timedelta

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError, UnknownDelegation
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status
from background_agents.service import notices, views
from background_agents.service.context import Context

log = logging.getLogger(__name__)

GIVE_WAY = timedelta(milliseconds=50)
"""What is less urgent waits until the notice, which takes ~20 ms, has had the runtime to
itself."""


async def tell(context: Context, notice: Notice, agent: str) -> None:
    """Tell the human, a little after the model."""
    await context.clock.sleep(GIVE_WAY)
    try:
        await context.channel.toast(*notices.toast(notice, agent))
    except DelegationError as error:
        log.warning("a toast was not shown: %s", error)


async def tell_and_describe(
    context: Context, delegation: Delegation, notice: Notice, result: str
) -> None:
    """Tell the human of an ending, then improve the title; both give way to the notice."""
    await tell(context, notice, delegation.agent)
    if delegation.status is Status.COMPLETED:
        await _describe(context, delegation, result)


async def _describe(context: Context, delegation: Delegation, result: str) -> None:
    """Let a small model improve title and summary, where one is configured."""
    below = delegation.session or delegation.parent_session
    try:
        described = await context.runtime.describe(delegation.prompt, result, below)
        if described is None:
            return
        title, summary = described
        event = ev.Described(at=context.clock.now(), title=title, summary=summary)
        better = await context.amend(delegation, event)
        await context.artifacts.write(better, views.artifact_body(better, result))
    except UnknownDelegation:
        log.debug("%s was pruned before it had a better title", delegation.id)
    except (DelegationError, TimeoutError) as error:
        log.warning("%s keeps its first title: %s", delegation.id, error)
