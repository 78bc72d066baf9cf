"""``background-agents uninstall``: take the plugin out of OpenCode again."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from background_agents.config.sources import config_path, data_root
from background_agents.hosts.cli.installing import panel, plugin_files
from background_agents.hosts.cli.installing.plugin_files import Scope


def add_arguments(parser: ArgumentParser) -> None:
    """Take from where."""
    parser.add_argument(
        "--project", action="store_true", help="out of the project of the current folder"
    )


def run(given: Namespace) -> None:
    """Remove the plugin's file and the panel's entry. Results and records stay where they are."""
    scope = Scope.PROJECT if given.project else Scope.GLOBAL
    places = plugin_files.Places.of(Path.cwd(), os.environ)
    was_there = plugin_files.uninstall(places, scope)
    print(f"{'Removed' if was_there else 'There was none'}: {places.file(scope)}")
    root = data_root(os.environ)
    if scope is Scope.GLOBAL and (aside := plugin_files.remove_aside(root)):
        print(f"Removed: {aside}")
    for what in panel.uninstall(places, scope):
        print(f"Removed: {what}")
    stays = {"results and records": root, "settings": config_path(os.environ)}
    for name, path in stays.items():
        if scope is Scope.GLOBAL and path.exists():
            print(f"Your {name} stay in {path}")
