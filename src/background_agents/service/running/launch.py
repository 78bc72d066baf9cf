"""How a delegation gets its session and its prompt, and which tools its agent is left with."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotPermitted, RuntimeRefused, RuntimeUnreachable
from background_agents.domain.transcript import Transcript
from background_agents.ports.runtime import SessionOrder
from background_agents.service.changes.isolated import tree_of
from background_agents.service.context import Context
from background_agents.service.running.ending import insist
from background_agents.service.running.steering import say
from background_agents.views import model as for_model
from background_agents.views import rules

log = logging.getLogger(__name__)

MOST_RELAUNCHES = 3
"""A run that takes its process down with it each time must not do so for ever."""

GO_ON = (
    "You were cut off: the program that runs you ended and was started again. Go on where you "
    "stopped; check what was done before you do it again. End with the complete result."
)

UNDONE = (
    "It was cut off, and its user has undone messages in its session since: it is not told to go "
    "on, which would delete them for good."
)

LOST_CHARS = 4_000
"""How much of its own unfinished text an agent gets to see again; OpenCode keeps none of it."""


async def session_for(context: Context, settings: Settings, delegation: Delegation) -> str:
    """Return a new child session, or the one that the delegation goes on in.

    Either has the rules of this moment, which may be others than when it was registered.

    Raises:
        NotPermitted: the host's rules deny it by now.
        NotIsolated: it has no tree of its own, and is to work in one.
    """
    await _make_sure_it_may(context, delegation)
    tree = await tree_of(context, delegation)
    order = SessionOrder(
        parent=delegation.parent_session,
        title=for_model.session_title(delegation),
        agent=delegation.agent,
        denied_tools=context.denied_tools(may_delegate=delegation.depth < settings.max_depth),
        allowed_tools=context.tools.children,
    )
    between = order
    if tree is not None:
        order = replace(order, directory=tree.directory, off_limits=tree.main)
    if delegation.continued_from is not None:
        earlier = delegation.continued_from
        before = await insist(context, delegation.id, lambda: context.store.get(earlier))
        if before is not None and before.session is not None:
            if tree is not None:
                context.runtime.works_in(before.session, tree.directory)
            await context.runtime.reopen_session(before.session, order)
            return before.session
    is_shown = context.runtime.shows_what_children_ask and not delegation.above
    if is_shown and not settings.ask_in_chat:
        # OpenCode shows what the sessions right below a conversation ask, and not those further
        # down. The one between hands the supervisor's rules on, and nobody works in it.
        title = f"{delegation.id}, which asks outside of the chat"
        parent = await context.runtime.open_session(replace(between, title=title))
        order = replace(order, parent=parent)
    return await context.runtime.open_session(order)


async def _make_sure_it_may(context: Context, delegation: Delegation) -> None:
    by, agent = delegation.supervisor_agent, delegation.agent
    if by:
        # The rules of a background agent's own session are ours.
        is_root = not delegation.above
        whose = delegation.parent_session if is_root else delegation.root_session
        leave = await context.runtime.leave(whose, by, agent, native=is_root)
        if leave.denied_by:
            raise NotPermitted(agent, leave.denied_by)


async def hand_over(context: Context, delegation: Delegation) -> None:
    """Give a launched delegation's prompt to its session; doing so again changes nothing."""
    message = delegation.prompt_message
    if delegation.session is None or message is None:
        raise AssertionError(f"{delegation.id} was not launched")
    if delegation.continued_from is not None:
        # The session's last model would come first, which was another delegation's alone.
        delegation = replace(delegation, model=await model_of(context, delegation))
    tree = await tree_of(context, delegation)
    about = f"\n\n{rules.isolated(tree)}" if tree else ""
    await say(context, delegation, message, delegation.prompt + about)


def why_not_again(delegation: Delegation, settings: Settings) -> str | None:
    """Say why a run that was cut off is not told to go on; None if it is."""
    if not settings.resume:
        return "The process that ran it ended before it had finished."
    if delegation.relaunches >= MOST_RELAUNCHES:
        return f"It was cut off {delegation.relaunches + 1} times; that is enough."
    return None


async def tell_to_go_on(
    context: Context, delegation: Delegation, message: str, transcript: Transcript
) -> None:
    """Tell a run that was cut off to go on; doing so again changes nothing."""
    lost = transcript.answers[-1].text[-LOST_CHARS:] if transcript.answers else ""
    reminder = f"\n\nYou were just writing this:\n\n{lost}" if lost.strip() else ""
    await say(context, delegation, message, GO_ON + reminder)


async def model_of(context: Context, delegation: Delegation) -> str | None:
    """Return the model that a delegation runs on, as far as that is told."""
    if delegation.model is not None:
        return delegation.model
    try:
        agents = await context.runtime.agents()
    except (RuntimeRefused, RuntimeUnreachable) as error:
        log.warning("%s: its model is not known: %s", delegation.id, error)
        return None
    return next((one.model for one in agents if one.name == delegation.agent), None)
