"""Processes as the store knows them: a pid, and when it began, so that a reused pid is no match."""

from __future__ import annotations

import os
from pathlib import Path

ENDED = ("Z", "X")
"""States of processes that have ended, whether their parents ever notice or not."""

FROZEN = ("T", "t")
"""States of processes that were stopped and may go on."""


def process_name(pid: int | None = None) -> str:
    """Return the name of a process, this one's by default: its pid and when it began."""
    number = os.getpid() if pid is None else pid
    return f"{number}:{_look(number)[1]}"


def is_alive(name: str) -> bool:
    """Return whether the process of that name has not ended; a reused pid does not count."""
    pid, _, rest = name.partition(":")
    started = rest.partition(":")[0]
    return pid.isdigit() and _look(int(pid))[1] == started != ""


def is_running(name: str) -> bool:
    """Return whether the process of that name is alive and not frozen."""
    pid = name.partition(":")[0]
    return is_alive(name) and _look(int(pid))[0] not in FROZEN


def _look(pid: int) -> tuple[str, str]:
    """Return the state of a process and when it began, in the kernel's own ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ("", _started_elsewhere(pid))
    return (fields[0], "" if fields[0] in ENDED else fields[19])


def _started_elsewhere(pid: int) -> str:
    """Say no more than whether the process runs, on systems without ``/proc``."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"
