"""``background-agents uninstall``: take the plugin out of OpenCode again."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.plugin_files import Scope


def add_arguments(parser: ArgumentParser) -> None:
    """Take from where."""
    parser.add_argument(
        "--project", action="store_true", help="out of the project of the current folder"
    )


def run(given: Namespace) -> None:
    """Remove the plugin's file. Results and records stay where they are."""
    scope = Scope.PROJECT if given.project else Scope.GLOBAL
    places = plugin_files.Places.of(Path.cwd(), os.environ)
    was_there = plugin_files.uninstall(places, scope)
    print(f"{'Removed' if was_there else 'There was none'}: {places.file(scope)}")
