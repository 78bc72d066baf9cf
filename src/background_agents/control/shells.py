"""Whose shell a program was started from: a person's, or that of a model in a session.

A host marks the environment of each shell that a model's call of a tool starts. The mark is
inherited, and what a process was started with stays readable, so that a mark that was taken away
is still found at an ancestor. A guard rail and no wall: docs/explanation/authority.md says what
it cannot stop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from background_agents.adapters.system.processes import ENDED, MARK
from background_agents.domain.errors import OnlyByTool, OnlyPeople, OnlyReads

SHARED = {b"serve", b"--service"}
"""The words of a server that all terminals share: whoever happened to start it is nobody to those
who use it."""

TOOLS_FOR = {"delegate": "delegate", "retry": "delegate", "apply": "delegation_apply"}
"""Acts with a tool that obeys the rules of its host's user, and its name."""

PEOPLES = frozenset({"undo", "redo", "discard"})
"""Acts that no model decides."""

LOOKS = 3
"""Of a line in which a process ends between two looks, which is then adopted by another."""


class Starter(IntEnum):
    """Who started a program; of several the greatest counts."""

    PERSON = 0
    SUPERVISOR = 1
    """The model of a session that may delegate."""
    BACKGROUND = 2
    """A background agent, or somebody of whom no more is known than that it is a model."""


def mark_for(starter: Starter, delegation: str = "") -> str:
    """Return what the environment of a model's shell says of it, and of its delegation."""
    return f"{starter.name.lower()} {delegation}".rstrip()


def check(act: str, starter: Starter) -> None:
    """Refuse what changes something, by its command's name, to programs that a model has started.

    Raises:
        OnlyReads: a background agent has.
        OnlyByTool: a supervisor's model has, and there is a tool that asks its host's rules.
        OnlyPeople: the same, and no tool does it either.
    """
    if starter is Starter.BACKGROUND:
        raise OnlyReads(act)
    if starter is Starter.SUPERVISOR and act in TOOLS_FOR:
        raise OnlyByTool(act, TOOLS_FOR[act])
    if starter is Starter.SUPERVISOR and act in PEOPLES:
        raise OnlyPeople(act)


def starter_of(pid: int | None = None) -> Starter:
    """Return who started a process, or this one.

    One that has ended already cannot be looked at, and counts as a background agent's. Of one
    in another PID namespace, which is 0 here, and on systems without ``/proc`` nothing is known
    but our own environment.
    """
    own = _meant(os.environ.get(MARK)) if pid is None else Starter.PERSON
    if pid == 0 or not Path("/proc/self").exists():
        return own
    for _ in range(LOOKS):
        try:
            line = _line(os.getpid() if pid is None else pid)
            return max((own, *(_meant(_mark_of(one)) for one in line)))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Starter.BACKGROUND


def _line(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors. Raises ``OSError`` once one of them has ended."""
    yield pid
    while pid > 1:
        state, parent = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[:2]
        if state in ENDED:
            raise ProcessLookupError(pid)
        pid = int(parent)
        if pid > 0:
            yield pid


def _mark_of(pid: int) -> str | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if set(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")) >= SHARED:
            return None
    except PermissionError:
        return None  # another user's, such as the one that a person has logged in by
    beginning = f"{MARK}=".encode()
    marks = (one for one in variables if one.startswith(beginning))
    return next((one[len(beginning) :].decode(errors="replace") for one in marks), None)


def _meant(mark: str | None) -> Starter:
    if not mark:
        return Starter.PERSON
    return Starter.SUPERVISOR if mark == mark_for(Starter.SUPERVISOR) else Starter.BACKGROUND
