"""Asking whoever types a command whether it is meant."""

from __future__ import annotations

import sys
from argparse import Namespace

from background_agents.domain.errors import InvalidRequest


def confirm(question: str, given: Namespace, otherwise: str) -> None:
    """Ask unless ``--yes`` was said.

    Raises:
        InvalidRequest: the answer is not yes, or nobody can be asked; ``otherwise`` says what that
            means.
    """
    if given.yes:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{otherwise} Nobody can be asked; --yes says that it is meant.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest(otherwise)
