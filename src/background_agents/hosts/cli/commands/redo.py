"""``background-agents redo``: do again what was undone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.changes import REDO
from background_agents.hosts.cli import taking_back


def add_arguments(parser: ArgumentParser) -> None:
    """Take which."""
    parser.epilog = (
        "What others have written since the undo stays, as with undo; a file where that cannot be "
        "told apart is left alone, and the exit code is 1."
    )
    taking_back.add_arguments(parser)


def run(given: Namespace) -> int:
    """Redo what is asked for."""
    return taking_back.run(given, REDO)
