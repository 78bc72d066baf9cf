"""What ``GET /agent`` tells of OpenCode's agents, as the service needs it.

What an agent may do is read from its effective permissions, which OpenCode reports as one
list of rules after everything was merged; neither its name nor its file is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from background_agents.adapters.opencode import wire
from background_agents.ports import Agent

CHANGES_THINGS = ("edit", "bash")
"""The permissions with which OpenCode's own tools change files or run commands: ``write`` and
``apply_patch`` ask for ``edit`` as well, and ``tools: {write: false}`` is reported as a rule
for ``edit`` (seen on 1.15, 1.17 and 1.18)."""


def agents_of(infos: Sequence[wire.AgentInfo], config: wire.Config) -> list[Agent]:
    """Return the agents as the service knows them."""
    return [
        Agent(
            info.name,
            info.description or "",
            delegable=not info.hidden,
            model=_model(info) or config.model,
            read_only=all(is_denied(info, permission) for permission in CHANGES_THINGS),
        )
        for info in infos
    ]


def is_denied(info: wire.AgentInfo, permission: str) -> bool:
    """Whether the agent gets ``permission`` for nothing, not even after a question.

    The last rule that fits counts. So it is denied when a rule denies it for every pattern
    and no rule after that one allows or asks for any.
    """
    for rule in reversed(info.permission):
        if not _fits(rule.permission, permission):
            continue
        if rule.action != "deny":
            return False
        if set(rule.pattern) == {"*"}:
            return True
    return False


def whose_prompt(infos: Sequence[wire.AgentInfo], system: str) -> wire.AgentInfo | None:
    """Return the agent whose own prompt a system prompt begins with.

    None for the agents that have none, which use OpenCode's prompt for their model. OpenCode
    does not tell a plugin which agent a system prompt is for.
    """
    speaking = [info for info in infos if info.prompt and system.startswith(info.prompt)]
    return max(speaking, key=lambda info: len(info.prompt or ""), default=None)


def _model(info: wire.AgentInfo) -> str | None:
    return f"{info.model.provider_id}/{info.model.model_id}" if info.model else None


def _fits(wildcard: str, name: str) -> bool:
    pattern = re.escape(wildcard).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, name, re.DOTALL) is not None
