"""The lines of OpenCode, and what a harness must know to start one: all of it in one table.

How their servers are spoken to is ``lab.harness.client``'s; what their tools are called is
``lab.harness.dialect``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Line(StrEnum):
    """A line of OpenCode: the programs that load the same plugins and have the same server."""

    ONE = "1"
    TWO = "2"

    @property
    def ways(self) -> Ways:
        return _WAYS[self]


@dataclass(frozen=True)
class Ways:
    """How a line's server is started, asked whether it is there, and locked."""

    serve: tuple[str, ...]
    """After the program's name; ``--port`` follows."""
    health: str
    password: str
    """The variable that gives a server its password."""
    log: dict[str, str]
    """The variables with which it prints what it logs."""
    always_locked: bool
    """Its server takes nobody without a password."""


_WAYS = {
    Line.ONE: Ways(
        serve=("serve", "--print-logs"),
        health="/global/health",
        password="OPENCODE_SERVER_PASSWORD",
        log={},
        always_locked=False,
    ),
    Line.TWO: Ways(
        serve=("serve", "--hostname", "127.0.0.1"),
        health="/api/health",
        password="OPENCODE_PASSWORD",
        log={"OPENCODE_PRINT_LOGS": "1"},
        always_locked=True,
    ),
}


def line_of(version: str) -> Line:
    """Return the line that a version belongs to; previews of OpenCode 2 begin with ``0.0.0-``."""
    return Line.ONE if version.startswith("1.") else Line.TWO
