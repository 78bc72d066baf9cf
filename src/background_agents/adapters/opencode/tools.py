"""Which tools agents can call beyond OpenCode's own: custom ones, plugins' and MCP servers'.

OpenCode tells their names and nothing of what they do, and those of an MCP server not even by
name: they begin with the server's. So all of them count as writing that nobody has named safe.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from background_agents.adapters.opencode.permissions import DENY, fits, is_denied
from background_agents.adapters.opencode.wire import PermissionRule

OWN = (
    *("invalid", "question", "read", "glob", "grep", "list", "lsp", "skill", "todoread"),
    *("todowrite", "webfetch", "websearch", "codesearch", "plan_enter", "plan_exit"),
    "task",  # which background agents do not get
    # Judged by the permissions for them, `edit` and `bash`.
    *("edit", "write", "patch", "apply_patch", "multiedit", "bash"),
    # OpenCode 2's names of `bash` and `task`; and what calls tools by code, each by its own rules.
    *("shell", "subagent", "execute"),
)
"""OpenCode's tools, of 1.15 to 1.18 and of 2."""

ANY_END = "\uffff"
"""Ends a name that no rule was written for."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
"""What OpenCode replaces by ``_`` in the name of a server."""


@dataclass(frozen=True)
class UnknownTools:
    """Tools of which it is not known that they only read."""

    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    """Wildcards, which matter where only a prefix is known."""

    @classmethod
    def among(cls, listed: Sequence[str], servers: Sequence[str], safe: Sequence[str]) -> Self:
        """Return those among the tools that OpenCode lists and the tools of MCP servers."""
        own = {one for one in OWN if listed.count(one) < 2}  # else a custom one has replaced it
        names = [one for one in dict.fromkeys(listed) if one not in own]
        prefixes = [_NOT_IN_NAMES.sub("_", server) + "_" for server in servers]
        return cls(
            tuple(one for one in names if not _is_named(one, safe)),
            tuple(one for one in prefixes if not _is_named(one + ANY_END, safe)),
            tuple(safe),
        )

    def given(self, rules: Sequence[PermissionRule]) -> tuple[str, ...]:
        """Return those that rules let somebody call; ``*`` stands for any end of a name."""
        named = [one for one in self.names if not is_denied(rules, one)]
        begun = [one for prefix in self.prefixes for one in self._begun(rules, prefix)]
        return tuple(dict.fromkeys([*named, *begun]))

    def _begun(self, rules: Sequence[PermissionRule], prefix: str) -> list[str]:
        found: list[str] = []
        for rule in reversed(rules):
            covers_all = fits(rule.permission, prefix + ANY_END)
            if rule.action == DENY:
                if covers_all and set(rule.pattern) == {"*"}:
                    return found
            elif covers_all:
                break
            elif _may_begin(rule.permission, prefix) and not _is_named(rule.permission, self.safe):
                found.append(rule.permission)
        return [f"{prefix}*"]


def _is_named(name: str, wildcards: Sequence[str]) -> bool:
    return any(fits(wildcard, name) for wildcard in wildcards)


def _may_begin(wildcard: str, prefix: str) -> bool:
    """Return whether some name that begins with the prefix is meant by a rule's."""
    head = re.split(r"[*?]", wildcard, maxsplit=1)[0]
    return head.startswith(prefix) or (head != wildcard and prefix.startswith(head))
