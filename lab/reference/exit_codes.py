"""The page about exit codes, made of ``hosts.cli.exits``."""

from __future__ import annotations

from background_agents.hosts.cli.exits import Exit
from lab.reference import markdown as md


def page() -> str:
    """Return the page."""
    told = md.told_of_members(Exit)
    rows = [
        [md.literal(one.value), md.literal(one.name), told.get(one.name, "It did what was asked.")]
        for one in Exit
    ]
    return md.page(
        "Exit codes",
        _HEAD,
        md.table(["code", "name", "meaning"], rows),
        _TAIL,
    )


_HEAD = """\
Scripts may depend on them: a code keeps its meaning. With `2` and `3`, one sentence on
standard error says what is wrong and what to do.
"""

_TAIL = """\
[Scripts and CI](../how-to/scripts-and-ci.md) shows them in use. A code that is not in this table,
with a Python traceback, is a bug.
"""
