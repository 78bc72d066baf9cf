"""``background-agents install``: make OpenCode load the plugin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.plugin_files import Change, Scope


def install(
    *,
    project: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    show: Annotated[bool, Parameter(name="--print", negative=(), show_default=False)] = False,
) -> None:
    """Make OpenCode load background-agents from its next start on.

    Args:
        project: Only in the project of the current folder, not for all of yours.
        show: Show what would be written and where; write nothing.
    """
    scope = Scope.PROJECT if project else Scope.GLOBAL
    places = plugin_files.Places.of(Path.cwd(), os.environ)
    if show:
        print(f"{places.file(scope)}\n\n{plugin_files.shim(scope)}", end="")
        return
    outcome = plugin_files.install(places, scope)
    print(_SAID[outcome.change].format(file=outcome.file))


_SAID = {
    Change.WRITTEN: "Installed: {file}\nOpenCode loads it at its next start.",
    Change.REFRESHED: "Refreshed: {file}\nOpenCode loads it at its next start.",
    Change.UNCHANGED: "Already there: {file}",
}
