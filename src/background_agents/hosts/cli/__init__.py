"""The command line: one small file for each command, imported when it is called.

Says in words what the logic beside it decided. An error that is meant for people is one
sentence on stderr and exit code 2; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

import sys

from cyclopts import App

from background_agents import __version__
from background_agents.domain.errors import DelegationError

app = App(
    name="background-agents",
    help="Supervised background delegation for coding agents.",
    version=__version__,
)
# By name, so that each command imports no more than it needs, and `--help` none of them.
app.command(
    "background_agents.hosts.cli.install:install",
    help="Make OpenCode load background-agents.",
)
app.command(
    "background_agents.hosts.cli.uninstall:uninstall",
    help="Take background-agents out of OpenCode again.",
)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except DelegationError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
