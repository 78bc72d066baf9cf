"""OpenCode's permission rules: lists in which the last rule that fits counts.

An agent's rules come first and its session's after them, as OpenCode merges them for each call
of a tool. Both names of a rule may have the wildcards ``*`` and ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from background_agents.adapters.opencode.wire import PermissionRule

DENY, ASK = "deny", "ask"

EXTERNAL = "external_directory"


def action(rules: Sequence[PermissionRule], permission: str, pattern: str) -> str:
    """Return what happens to a request; what no rule speaks of is asked."""
    for rule in reversed(rules):
        if fits(rule.permission, permission) and fits(rule.pattern, pattern):
            return rule.action
    return ASK


def is_denied(rules: Sequence[PermissionRule], permission: str) -> bool:
    """Whether ``permission`` is given for nothing, not even after a question.

    So it is when a rule denies it for every pattern and no rule after that one allows or asks
    for any.
    """
    for rule in reversed(rules):
        if not fits(rule.permission, permission):
            continue
        if rule.action != DENY:
            return False
        if set(rule.pattern) == {"*"}:
            return True
    return False


def handed_on(rules: Sequence[PermissionRule]) -> list[PermissionRule]:
    """Return those of a session's rules that OpenCode's ``task`` gives to the session of a child.

    Grants are not among them: the child's agent has its own.
    """
    return [rule for rule in rules if rule.action == DENY or rule.permission == EXTERNAL]


def fits(wildcard: str, name: str) -> bool:
    """Whether a name is meant by a rule's."""
    pattern = re.escape(wildcard).replace(r"\*", ".*").replace(r"\?", ".")
    # As with OpenCode's own: "git *" means "git" as well.
    if pattern.endswith(r"\ .*"):
        pattern = pattern[: -len(r"\ .*")] + r"(\ .*)?"
    return re.fullmatch(pattern, name, re.DOTALL) is not None
