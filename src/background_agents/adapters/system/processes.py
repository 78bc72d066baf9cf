"""Processes as the store knows them: a pid, and when it began, so that a reused pid is no match.

``<pid>:<start>``, and in a container ``<pid>:<start>@<PID namespace>``. A pid says something only
in its own namespace: of a process of another one nobody here can tell whether it lives.

The module itself is a ``ports.processes.Processes``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

from background_agents.ports.processes import Fate

FIRST_NAMESPACE = "4026531836"
"""The PID namespace that a machine begins with: ``PROC_PID_INIT_INO`` of Linux."""

MARK = "BACKGROUND_AGENTS_SHELL"
"""What the environment of a model's shell is marked by; its last word is the delegation's id."""

COMMAND_CHARS = 80
"""Of a command, where processes are named."""

ENDED = ("Z", "X")
"""States of processes that have ended, whether their parents ever notice or not."""

FROZEN = ("T", "t")
"""States of processes that were stopped and may go on."""


def process_name(pid: int | None = None) -> str:
    """Return the name of a process, this one's by default: its pid and when it began."""
    number = os.getpid() if pid is None else pid
    space = "" if _namespace() == FIRST_NAMESPACE else f"@{_namespace()}"
    return f"{number}:{_look(number)[1]}{space}"


def host_name() -> str:
    """Return the name of the process that started this one: OpenCode, by its bridge."""
    return process_name(os.getppid())


def boot_id() -> str:
    """Return what tells this run of the machine from others; empty where it is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def fate_of(name: str) -> Fate:
    """Return whether the process of that name has ended; a reused pid does not count."""
    pid, _, rest = name.partition(":")
    started, _, space = rest.partition(":")[0].partition("@")
    if (space or FIRST_NAMESPACE) != _namespace():
        return Fate.ELSEWHERE
    is_there = pid.isdigit() and _look(int(pid))[1] == started != ""
    return Fate.ALIVE if is_there else Fate.ENDED


def is_alive(name: str) -> bool:
    """Return whether the process of that name is one of ours to judge, and has not ended."""
    return fate_of(name) is Fate.ALIVE


def has_ended(name: str) -> bool:
    """Return whether the process of that name has ended for certain."""
    return fate_of(name) is Fate.ENDED


def is_running(name: str) -> bool:
    """Return whether the process of that name is alive and not frozen."""
    pid = name.partition(":")[0]
    return is_alive(name) and _look(int(pid))[0] not in FROZEN


def left_running(delegation: str) -> list[str]:
    """Return what runs of what a delegation's shells have started, a sentence for each.

    Nothing where the system does not tell what a process was started with.
    """
    wanted = f"{MARK}=".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            mark = next((one for one in variables if one.startswith(wanted)), b"")
            if mark.decode(errors="replace").split(" ")[-1] != delegation:
                continue
            words = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        except OSError:
            continue  # it has ended, or is another user's
        if _look(int(folder.name))[0] not in (*ENDED, ""):
            command = " ".join(words.decode(errors="replace").split())
            shown = command if len(command) <= COMMAND_CHARS else f"{command[:COMMAND_CHARS]}…"
            found.append(f"Process {folder.name} of it still runs: {shown}")
    return found


async def hand(command: Sequence[str], content: bytes, limit: timedelta) -> str:
    """Run a command as the user would at home; return why it failed, or nothing."""
    import asyncio  # here, since commands ask about processes as well and have no loop
    from asyncio.subprocess import DEVNULL, PIPE

    env = {name: value for name, value in os.environ.items() if name != MARK}
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, cwd=Path.home(), env=env,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"cannot be run: {error}"
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await process.communicate(content)
    except TimeoutError:
        return f"was killed after {limit.total_seconds():g} seconds"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return f"ended with {process.returncode}" if process.returncode else ""


@cache
def _namespace() -> str:
    """Return the PID namespace that our pids belong to; systems without any are one."""
    try:
        told = os.readlink("/proc/self/ns/pid")
    except OSError:
        return FIRST_NAMESPACE
    return told.removeprefix("pid:[").removesuffix("]")


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
