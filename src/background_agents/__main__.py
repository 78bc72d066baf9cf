"""``python -m background_agents``: the bridge's other end, or the command line.

OpenCode's start waits for nothing here, but its first tool call does: ``bridge`` must
not import what only the command line needs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Serve the bridge when that is the first argument; else run the command line."""
    if sys.argv[1:2] == ["bridge"]:
        from background_agents.hosts.opencode.server import main as serve

        serve()
    else:
        from background_agents.hosts.cli import main as command_line

        command_line()


if __name__ == "__main__":
    main()
