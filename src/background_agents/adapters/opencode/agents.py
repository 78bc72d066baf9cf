"""What ``GET /agent`` tells of OpenCode's agents, as the service needs it.

What an agent may do is read from its effective permissions, which OpenCode reports as one
list of rules after everything was merged; neither its name nor its file is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from background_agents.adapters.opencode import wire
from background_agents.adapters.opencode.permissions import ASK, DENY, action, is_denied
from background_agents.adapters.opencode.tools import UnknownTools
from background_agents.ports.runtime import Agent, Leave

CHANGES_THINGS = ("edit", "bash")
"""The permissions with which OpenCode's own tools change files or run commands: ``write`` and
``apply_patch`` ask for ``edit`` as well, and ``tools: {write: false}`` is reported as a rule
for ``edit`` (seen on 1.15, 1.17 and 1.18)."""

GOVERNING = ("task", "delegate")
"""The permissions that decide whether an agent may be delegated to."""

OWN = ("delegate",)
"""The same for a background agent, which has no native tool: OpenCode 2's own ``general`` denies
itself ``subagent``, so that no agent would ever get deeper than one."""

ALLOW_ALL = wire.PermissionRule("*", "*", "allow")
"""What OpenCode gives to agents of which nothing is said."""

ANY_FILE = "*"
"""Stands for a file that no rule names: OpenCode's own ``plan`` may edit the files of plans."""

NOTHING_UNKNOWN = UnknownTools()

PLAN = "plan"
"""The agent that is plan mode; OpenCode itself knows it by this name."""


def agents_of(
    infos: Sequence[wire.AgentInfo],
    config: wire.Config,
    unknown: UnknownTools = NOTHING_UNKNOWN,
    changing: Sequence[str] = CHANGES_THINGS,
) -> list[Agent]:
    """Return the agents as the service knows them; ``changing`` is as ``CHANGES_THINGS``."""
    return [_agent(info, config, unknown, changing) for info in infos]


def _agent(
    info: wire.AgentInfo, config: wire.Config, unknown: UnknownTools, changing: Sequence[str]
) -> Agent:
    tools = unknown.given(info.permission)
    changes = not all(is_denied(info.permission, one) for one in changing)
    return Agent(
        info.name,
        info.description or "",
        delegable=not info.hidden,
        model=_model(info) or config.model,
        read_only=not changes and not tools,
        unknown_tools=() if changes else tools,
        may_edit=action(info.permission, "edit", ANY_FILE) != DENY,
    )


def leave_of(
    infos: Sequence[wire.AgentInfo],
    session: Sequence[wire.PermissionRule],
    by: str,
    agent: str,
    governing: Sequence[str] = GOVERNING,
) -> Leave:
    """Return what the rules say when the agent ``by`` wants to run ``agent`` from a session.

    As OpenCode's ``task`` is judged: by the rules of ``by`` and then the session's own, with the
    agent's name for a pattern. ``delegate`` is judged by rules of its own as well; ``governing``
    is as ``GOVERNING``.
    """
    own = next((info.permission for info in infos if info.name == by), [ALLOW_ALL])
    rules = [*own, *session]
    actions = {one: action(rules, one, agent) for one in governing}
    return Leave(
        denied_by=next((one for one in governing if actions[one] == DENY), ""),
        # One dialogue is enough; "always" for the native tool's then holds for both.
        ask=next((one for one in governing if actions[one] == ASK), ""),
        planning=by == PLAN and action(rules, "edit", ANY_FILE) == DENY,
        may_edit=action(rules, "edit", ANY_FILE) != DENY,
        ask_to_edit=action(rules, "edit", ANY_FILE) == ASK,
    )


def whose_prompt(infos: Sequence[wire.AgentInfo], system: str) -> wire.AgentInfo | None:
    """Return the agent whose own prompt a system prompt begins with.

    None for the agents that have none, which use OpenCode's prompt for their model. OpenCode
    does not tell a plugin which agent a system prompt is for.
    """
    speaking = [info for info in infos if info.prompt and system.startswith(info.prompt)]
    return max(speaking, key=lambda info: len(info.prompt or ""), default=None)


def _model(info: wire.AgentInfo) -> str | None:
    return f"{info.model.provider_id}/{info.model.model_id}" if info.model else None
