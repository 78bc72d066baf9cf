"""``background-agents undo``: take back what a delegation changed, and nothing of others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.changes import UNDO
from background_agents.hosts.cli import taking_back


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and whether also what is only likely."""
    parser.epilog = (
        "What would be done is shown first. What others have written since stays, in the same "
        "file, too; where that cannot be told apart, the file is left alone, and the exit code is "
        "1. Nothing in .git is written: index, stash, branches and HEAD stay as they are."
    )
    taking_back.add_arguments(parser)
    parser.add_argument(
        "--likely", action="store_true",
        help="also what changed while a command of the delegation ran",
    )  # fmt: skip


def run(given: Namespace) -> int:
    """Undo what is asked for."""
    return taking_back.run(given, UNDO, likely=given.likely)
