"""``background-agents uninstall``: take the plugin out of OpenCode again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.plugin_files import Change, Scope


def uninstall(
    *, project: Annotated[bool, Parameter(negative=(), show_default=False)] = False
) -> None:
    """Take background-agents out of OpenCode. Results and records stay where they are.

    Args:
        project: Out of the project of the current folder.
    """
    scope = Scope.PROJECT if project else Scope.GLOBAL
    places = plugin_files.Places.of(Path.cwd(), os.environ)
    outcome = plugin_files.uninstall(places, scope)
    if outcome.change is Change.REMOVED:
        print(f"Removed: {outcome.file}")
    else:
        print(f"There was none: {outcome.file}")
