"""What the lines call their own tools and the arguments of those.

Tests speak as OpenCode 1 does, in scripts and when they look at what a model was offered;
here alone stands what that is called on OpenCode 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.harness.line import Line


@dataclass(frozen=True)
class Dialect:
    """A line's names for what OpenCode 1 has names for; what is missing is called the same."""

    tools: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the tool's name on OpenCode 1."""

    def tool(self, name: str) -> str:
        """Return what the line calls a tool of OpenCode 1."""
        return self.tools.get(name, name)

    def call(self, tool: str, args: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """Return a call in the line's words."""
        names = self.arguments.get(tool, {})
        return self.tool(tool), {names.get(name, name): args[name] for name in args}

    def offered(self, tool: str) -> str:
        """Return what OpenCode 1 calls a tool of the line's."""
        return {theirs: ours for ours, theirs in self.tools.items()}.get(tool, tool)


PLAIN = Dialect()

_DIALECTS = {
    Line.ONE: PLAIN,
    Line.TWO: Dialect(
        tools={"bash": "shell", "task": "subagent"},
        arguments={
            "task": {"subagent_type": "agent"},
            **{tool: {"filePath": "path"} for tool in ("read", "write", "edit")},
        },
    ),
}


def dialect(line: Line) -> Dialect:
    """Return how a line talks of its tools."""
    return _DIALECTS[line]
