"""Takes over what a process that died has left behind.

An orphan is a delegation that is not terminal and whose owner no longer runs. It becomes
ours by a commit that names us as its owner, so that of two processes only one wins.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StaleVersion
from background_agents.ports import Change
from background_agents.service.context import Context

log = logging.getLogger(__name__)


def owner_name(pid: int | None = None) -> str:
    """Return this process's name in the store: its pid and when it began."""
    number = os.getpid() if pid is None else pid
    return f"{number}:{_started(number)}"


def is_alive(owner: str) -> bool:
    """Return whether the process of that name still runs; a reused pid does not count."""
    pid, _, started = owner.partition(":")
    return pid.isdigit() and _started(int(pid)) == started != ""


async def is_orphan(delegation: Delegation, context: Context) -> bool:
    """Return whether a delegation of this directory has lost the process that owned it."""
    if delegation.directory != context.directory or delegation.owner == context.owner:
        return False
    return not await asyncio.to_thread(is_alive, delegation.owner)


async def adopt_orphans(context: Context) -> list[Delegation]:
    """Make every orphan ours and return them, oldest first."""
    adopted = []
    for delegation in await context.store.unfinished():
        if not await is_orphan(delegation, context):
            continue
        event = ev.Resumed(at=context.clock.now(), owner=context.owner)
        change = Change(after=apply(delegation, event), events=(event,))
        try:
            await context.store.commit(change)
        except StaleVersion:
            log.info("%s was adopted by another process", delegation.id)
            continue
        adopted.append(change.after)
    return adopted


def _started(pid: int) -> str:
    """Return when a process began, in the kernel's own ticks; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return _started_elsewhere(pid)
    # A zombie has ended, whether its parent ever notices or not (in a container: often not).
    return "" if fields[0] in ("Z", "X") else fields[19]


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
