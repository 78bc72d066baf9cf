"""``background-agents install``: make OpenCode load the plugin."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.plugin_files import Change, Scope


def add_arguments(parser: ArgumentParser) -> None:
    """Take where to install, and whether to show it only."""
    parser.add_argument(
        "--project",
        action="store_true",
        help="only in the project of the current folder, not for all of yours",
    )
    parser.add_argument(
        "--print",
        dest="show",
        action="store_true",
        help="show what would be written and where; write nothing",
    )


def run(given: Namespace) -> None:
    """Write the plugin's file, or show it."""
    scope = Scope.PROJECT if given.project else Scope.GLOBAL
    places = plugin_files.Places.of(Path.cwd(), os.environ)
    if given.show:
        print(f"{places.file(scope)}\n\n{plugin_files.shim(scope)}", end="")
        return
    change = plugin_files.install(places, scope)
    print(_SAID[change].format(file=places.file(scope)))


_NEXT = "OpenCode loads it at its next start; `background-agents doctor` says whether all is well."

_SAID = {
    Change.WRITTEN: f"Installed: {{file}}\n{_NEXT}",
    Change.REFRESHED: f"Refreshed: {{file}}\n{_NEXT}",
    Change.UNCHANGED: "Already there: {file}\nWhether all is well says `background-agents doctor`.",
}
