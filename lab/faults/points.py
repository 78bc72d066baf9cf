"""Failpoints: named moments around calls, at any of which the process can kill itself.

They are wrapped around the ports' implementations in the process under test, so that the
code that ships holds nothing of them. Every point that is passed goes into a trace, which
tells the driver where a process can be killed and where one was.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path

from background_agents.adapters.files import artifacts
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.store import SqliteStore, operation
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import Notice
from background_agents.ports.runtime import AgentRuntime
from background_agents.ports.storage import ArtifactStore, Change, DelegationStore
from background_agents.ports.supervisor import OutgoingMessage, SupervisorChannel

LOOKS = frozenset(
    {
        *("agents", "lineage", "below", "requests", "state", "transcript", "describe"),
        *("find", "get", "with_session", "page", "unfinished", "remaining", "history", "due"),
        *("kept", "leases", "read", "close", "make_sure_nothing_is_undone", "delegated_in"),
    }
)
"""Calls that change nothing: what dies there dies between two of the others. Whatever else a
port has, or gets one day, is a failpoint."""

KILLED = "killed"


class Failpoints:
    """Those of one process. ``armed`` is the label at which it ends."""

    def __init__(self, trace: Path, armed: str = "") -> None:
        self._armed = armed
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()
        # Appended without a buffer: what is written is there, whatever follows.
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._write(f"life {os.getpid()} {armed}".rstrip())

    def reach(self, name: str) -> None:
        """Note that a point was reached; at the armed one the process ends here, as by kill -9."""
        with self._lock:
            self._passed[name] += 1
            label = f"{name}#{self._passed[name]}"
            self._write(label)
            if label == self._armed:
                self._write(KILLED)
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, where: str, port: type, implementation: type) -> None:
        """Put a point before and after each call of ``port`` that may change something."""
        for name, _ in inspect.getmembers(port, inspect.iscoroutinefunction):
            if name not in LOOKS:
                original = getattr(implementation, name)
                setattr(implementation, name, self._guarded(f"{where}.{name}", original))

    def inside_storage(self) -> None:
        """Put points inside transactions, and between the steps that replace a file."""
        for name, job in inspect.getmembers(rows, inspect.isfunction):
            is_ours = job.__module__ == rows.__name__ and not name.startswith("_")
            if is_ours and name not in LOOKS:
                armed = self._in_transaction(name, job)
                setattr(rows, name, armed)
                if hasattr(SqliteStore, name):
                    setattr(SqliteStore, name, operation(armed, writes=True))
        steps = ((os, "replace", "rename"), (artifacts, "sync_folder", "folder fsync"))
        for module, name, told in steps:
            setattr(module, name, self._between(told, getattr(module, name)))

    def _guarded(
        self, name: str, original: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        @wraps(original)
        async def guarded(*args: object, **named: object) -> object:
            what = name + carried([*args[1:], *named.values()])
            self.reach(f"{what} before")
            result = await original(*args, **named)
            self.reach(f"{what} after")
            return result

        return guarded

    def _in_transaction(self, name: str, job: Callable[..., object]) -> Callable[..., object]:
        @wraps(job)
        def done(*args: object, **named: object) -> object:
            result = job(*args, **named)
            what = carried([*args[1:], *named.values()])
            self.reach(f"transaction of {name}{what} before its COMMIT")
            return result

        return done

    def _between(self, name: str, step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def noted(*args: object, **named: object) -> None:
            self.reach(f"artifact {name} before")
            step(*args, **named)
            self.reach(f"artifact {name} after")

        return noted

    def _write(self, line: str) -> None:
        os.write(self._trace, f"{line}\n".encode())


def arm(
    plan: Path, runtimes: Iterable[type[AgentRuntime]], channels: Iterable[type[SupervisorChannel]]
) -> None:
    """Arm this process with the next line of ``plan``; every life takes one."""
    lines = plan.read_text("utf-8").splitlines()
    plan.write_text("\n".join(lines[1:]), "utf-8")
    points = Failpoints(trace_of(plan), lines[0] if lines else "")
    points.inside_storage()
    points.around("store", DelegationStore, SqliteStore)
    points.around("artifacts", ArtifactStore, MarkdownArtifacts)
    for runtime in runtimes:
        points.around("runtime", AgentRuntime, runtime)
    for channel in channels:
        points.around("channel", SupervisorChannel, channel)


def trace_of(plan: Path) -> Path:
    """Return where the processes of a plan write what they pass."""
    return plan.with_suffix(".trace")


def lives(plan: Path) -> list[list[str]]:
    """Return what each process of a plan has passed; a killed one ends with ``KILLED``."""
    trace = trace_of(plan)
    found: list[list[str]] = []
    for line in trace.read_text("utf-8").splitlines() if trace.exists() else ():
        if line.startswith("life "):
            found.append([])
        else:
            found[-1].append(line)
    return found


def pids(plan: Path) -> list[int]:
    """Return the processes of a plan, oldest first."""
    trace = trace_of(plan)
    lines = trace.read_text("utf-8").splitlines() if trace.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith("life ")]


def carried(arguments: Sequence[object]) -> str:
    """Name a call by what it carries, as far as that tells calls apart."""
    match arguments[0] if arguments else None:
        case Change(events=events):
            return f"({' + '.join(type(event).__name__ for event in events)})"
        case Delegation(status=status):
            return f"({status})"
        case OutgoingMessage(parts=parts):
            return f"({parts[0][1].partition('>')[0].lstrip('<')})"
        case [Notice(state=state), *_]:
            return f"({state})"
        case _:
            return ""
