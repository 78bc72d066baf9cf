"""OpenCode's hooks, as the bridge hands them over, turned into questions to ``Guidance``.

What both lines ask is here; each line's room has what only its hooks tell. What cannot be found
out is left unsaid: no hook keeps OpenCode from going on.
"""

from __future__ import annotations

import logging
from functools import partial

import msgspec

from background_agents.control.shells import Starter, mark_for
from background_agents.domain.errors import DelegationError, InvalidRequest
from background_agents.hosts.opencode.writes import ToolCall
from background_agents.service.changes.calls import Written
from background_agents.service.delegations import Delegations
from background_agents.service.guidance import Guidance

log = logging.getLogger(__name__)


class HookCall(msgspec.Struct):
    """A hook that OpenCode has run. Each has the members that it needs."""

    instance: int
    hook: str
    session: str
    system: str = ""
    """The system prompt as it was before us."""
    agent: str = ""
    """Which agent the native tool is to run."""
    by: str = ""
    """Which agent calls it, if the hook is told."""
    call: str = ""
    tools: tuple[str, ...] = ()
    """What the model is offered in this step."""
    message: str = ""
    """The answer that calls a tool, if the hook is told."""
    tool: str = ""
    """What is called, if it may write."""
    args: dict[str, object] = {}
    written: tuple[Written, ...] = ()
    """What the tool tells of the files that it wrote."""
    failed: bool = False
    """It did not end as it should, so that it may have written anything or nothing."""
    checkpoint: str = ""
    """The message that stands for what was before the newest compaction."""


class Told(msgspec.Struct):
    """What a step of a session is changed by."""

    system: str | None
    """What its system prompt ends with."""
    hide: tuple[str, ...]
    """The tools that its model is not offered."""


class Hooks:
    """The hooks of one project."""

    def __init__(self) -> None:
        self._without_delegate: set[str] = set()
        """Sessions whose agent is not offered it, as far as its last step told."""

    def prepare(self) -> None:
        """Find out already now what a hook would have no time for."""

    def close(self) -> None:
        """Find out nothing more."""

    async def run(self, call: HookCall, delegations: Delegations) -> str | Told | None:
        """Return what the hook has to say, or None."""
        try:
            match call.hook:
                case "shell":
                    return await _mark(call, delegations)
                case "writing":
                    await delegations.may_write(_tool_call(call))
                    return None
                case "wrote":
                    await delegations.wrote(
                        call.session, call.call, call.written, failed=call.failed
                    )
                    return None
                case _:
                    pass
            return await self._run(call, delegations.guidance)
        except DelegationError as error:
            log.warning("the hook %s said nothing for %s: %s", call.hook, call.session, error)
            return None

    async def _run(self, call: HookCall, guidance: Guidance) -> str | Told | None:
        match call.hook:
            case "compacting":
                return await guidance.carried_over(call.session)
            case "guard":
                return await guidance.refused_tool(call.session, call.message)
            case "task":
                if self._is_users(call) or call.session in self._without_delegate:
                    return None
                by = partial(self._at_work_in, call)
                return await guidance.refused_task(call.session, call.agent, by)
            case _:
                raise InvalidRequest("there is no such hook; the plugin is of another version.")

    def _is_users(self, _call: HookCall) -> bool:
        """Whether the user, and no model, calls the native tool."""
        return False

    async def _at_work_in(self, call: HookCall) -> str:
        """Return the agent that calls a tool just now."""
        return call.by

    def _remember(self, session: str, *, has_tools: bool) -> None:
        remember = self._without_delegate.discard if has_tools else self._without_delegate.add
        remember(session)


async def _mark(call: HookCall, delegations: Delegations) -> str:
    """Return how a shell is marked: by whose it is, and by which delegation's, if it is known."""
    if not await delegations.guidance.is_background(call.session):
        return mark_for(Starter.SUPERVISOR)
    return mark_for(Starter.BACKGROUND, await delegations.owner_of(call.session))


def _tool_call(call: HookCall) -> ToolCall:
    return ToolCall(session=call.session, id=call.call, tool=call.tool, args=call.args)
