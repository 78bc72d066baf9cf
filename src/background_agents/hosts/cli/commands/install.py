"""``background-agents install``: make OpenCode load the plugin."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from background_agents.client.managed_server import registered
from background_agents.client.opencode_program import programs, version_of
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
    for sentence in _next_steps(change):
        print(sentence)


def _next_steps(change: Change) -> Iterator[str]:
    """Say which OpenCode loads it, and when."""
    found = _found()
    if change is not Change.UNCHANGED:
        yield f"OpenCode 1 and OpenCode 2 load it at their next start; {found}"
        managed = registered(os.environ)
        if managed is not None and managed.is_there:
            yield "OpenCode 2's managed server runs; start it again by `opencode service restart`."
    else:
        yield found[:1].upper() + found[1:]
    yield "Whether all is well says `background-agents doctor`."


def _found() -> str:
    program = next(iter(programs(os.environ)), None)
    if program is None:
        return "none is installed here, or its folder is not in PATH."
    version = version_of(program, os.environ)
    if version is None:
        return f"yours is {program}, which does not tell its version."
    return f"yours is OpenCode {version.line} ({version.text}, {program})."


_SAID = {
    Change.WRITTEN: "Installed: {file}",
    Change.REFRESHED: "Refreshed: {file}",
    Change.UNCHANGED: "Already there: {file}",
}
