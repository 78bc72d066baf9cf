"""The processes that live in a test's home, whoever started them, and their ends. Linux only."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from lab.harness.home import Home

LIMIT_S = 40.0
"""How long an end may take that takes a second: OpenCode disposes its plugins first."""


def members(home: Home) -> list[int]:
    """Return the processes that have the home in their environment."""
    mark = f"XDG_DATA_HOME={home.root / 'data'}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def words(pid: int) -> list[str]:
    """Return a process's command line; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def serving(home: Home) -> set[int]:
    """Return the processes of the home that serve; others, such as ``git``, come and go.

    One of those looks like who starts it, until it has become another program.
    """
    told = {pid: words(pid) for pid in members(home)}
    return {pid for pid, said in told.items() if "serve" in said and not _is_copy(pid, said)}


def _is_copy(pid: int, said: list[str]) -> bool:
    try:
        return words(parent(pid)) == said
    except OSError:
        return True  # it has ended


def parent(pid: int) -> int:
    """Return who started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def gone(pid: int) -> None:
    """Return once a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(LIMIT_S):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def empty(home: Home) -> None:
    """Return once no process lives in a home."""
    while pids := members(home):
        for pid in pids:
            await gone(pid)


async def end(home: Home) -> None:
    """Kill whoever is left in a home."""
    for pid in members(home):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        await gone(pid)
