"""``background-agents watch``: everything that runs, live, with keys to act on it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.arguments import add_place, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import hand_over, is_colourful
from background_agents.hosts.cli.query_arguments import add_all_projects

SIGNALLED = 128
"""Shells count an end by a signal from here."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take where to look."""
    parser.add_argument(
        "--bell", action="store_true", help="ring the terminal's bell when one ends or asks"
    )
    add_all_projects(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Show the board until the user leaves it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise InvalidRequest(
            "`watch` needs a terminal to draw on and to read keys from; `background-agents status` "
            "shows the same once."
        )
    place = place_of(given)
    hand_over()
    # Here, so that whoever is told that there is no terminal does not wait for what draws.
    from background_agents.hosts.cli.watching.loop import Watch
    from background_agents.hosts.cli.watching.terminal import Ended, Terminal

    try:
        with Terminal(colourful=is_colourful()) as terminal:
            watch = Watch(place, terminal, all_projects=given.all_projects, rings=given.bell)
            watch.run()
    except Ended as ended:
        return SIGNALLED + ended.number
    return Exit.DONE
