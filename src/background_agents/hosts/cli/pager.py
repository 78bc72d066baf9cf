"""Long text at a terminal, through the program that its user reads with."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from background_agents.hosts.cli import output

_USUAL = "less"

_LESS = "FRX"
"""Git's choice, too: colours, and no full screen for what fits."""

_ROWS = 24
"""Of a terminal that does not say."""


def show(lines: Iterable[str]) -> None:
    """Print lines; where they are more than the terminal has, let its user page through them."""
    if not output.is_terminal():
        for line in lines:
            output.show(line)
        return
    rest = iter(lines)
    screen = list(islice(rest, _rows()))
    if len(screen) < _rows() or not _paged(chain(screen, rest)):
        for line in chain(screen, rest):
            output.show(line)


def _rows() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines
    except OSError:
        return _ROWS


def _paged(lines: Iterator[str]) -> bool:
    """Let a pager show lines; return whether there was one."""
    import subprocess

    command = shlex.split(os.environ.get("PAGER", _USUAL))
    if not command or os.environ.get("TERM") == "dumb":
        return False
    sys.stdout.flush()
    try:
        pager = subprocess.Popen(
            command, stdin=subprocess.PIPE, env={"LESS": _LESS, **os.environ}, text=True,
            encoding=sys.stdout.encoding, errors="replace",
        )  # fmt: skip
    except OSError:
        return False
    try:
        with pager:
            if pager.stdin is not None:
                pager.stdin.writelines(f"{output.safe(line)}\n" for line in lines)
    except BrokenPipeError:
        pass  # its user has seen enough
    except KeyboardInterrupt:
        pager.wait()  # it takes the key for itself, and puts the terminal right
    return True
