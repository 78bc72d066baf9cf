"""The promise, checked on what is left when all is over: database, files, transcript, processes.

Reads nothing that the service says of itself while it runs.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from background_agents.adapters.files.artifacts import parse
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.config import DATABASE
from background_agents.domain.delegation import Delegation, replay
from background_agents.domain.errors import IllegalTransition
from background_agents.domain.events import Ended, Event, Registered
from background_agents.domain.status import Status

EVERYTHING = 1_000
"""More delegations than any supervisor makes."""

END_LIMIT_S = 5.0
"""The service gives itself two seconds to end once its socket is closed."""


@dataclass
class Verdict:
    """What is wrong after a case; nothing, if the promise was kept."""

    lost: list[str] = field(default_factory=list)
    """What never ended, was never told, or is without its whole artifact."""
    duplicated: list[str] = field(default_factory=list)
    """What ended, was told, or was stored more than once."""
    zombies: list[str] = field(default_factory=list)
    """Processes, runs, requests and notices that are left over."""

    @property
    def is_kept(self) -> bool:
        return not (self.lost or self.duplicated or self.zombies)

    def add(self, other: Verdict, prefix: str = "") -> None:
        """Take over what is wrong elsewhere."""
        self.lost += [prefix + text for text in other.lost]
        self.duplicated += [prefix + text for text in other.duplicated]
        self.zombies += [prefix + text for text in other.zombies]

    def __str__(self) -> str:
        return "; ".join([*self.lost, *self.duplicated, *self.zombies]) or "kept"


class Evidence:
    """What is left of a project on disk: its database, if there is one, and its artifacts."""

    def __init__(self, store: SqliteStore | None, artifacts: Mapping[str, Sequence[Path]]) -> None:
        self._store = store
        self._artifacts = artifacts

    async def judge(
        self, root: str, told: Collection[str], allowed: Collection[Status], expected: int
    ) -> Verdict:
        """Check one root session's delegations; ``told`` names the delegation of each notice.

        Where somebody has deleted the database, the artifacts are all there is to check.
        """
        verdict = Verdict()
        names = set(told)
        if self._store is not None:
            names = await _judge_records(verdict, self._store, root, allowed)
        if len(names) != expected:
            verdict.lost.append(f"{expected} were delegated and {len(names)} are known")
        for name in names:
            _judge_artifact(verdict, name, self._artifacts.get(name, ()), allowed)
        counts = Counter(told)
        verdict.lost += [f"{one} was never told" for one in names if not counts[one]]
        verdict.duplicated += [f"{one} was told {n} times" for one, n in counts.items() if n > 1]
        return verdict

    async def due(self) -> list[str]:
        """Return what says of each notice that is still due that it is."""
        found = await self._store.due() if self._store is not None else ()
        return [f"notice {one.id} is still due" for one in found]


@asynccontextmanager
async def evidence(data: Path) -> AsyncIterator[Evidence]:
    """Look at what is left in a data folder; no service may run there any more."""
    databases, artifacts = _found(data)
    store = await SqliteStore.open(databases[0]) if databases else None
    try:
        yield Evidence(store, artifacts)
    finally:
        if store is not None:
            await store.close()


def _found(data: Path) -> tuple[Sequence[Path], Mapping[str, Sequence[Path]]]:
    artifacts: dict[str, list[Path]] = defaultdict(list)
    for path in data.rglob("*.md"):
        artifacts[path.stem].append(path)
    return list(data.glob(f"*/{DATABASE}")), artifacts


async def judge_project(
    data: Path, root: str, told: Collection[str], allowed: Collection[Status], expected: int
) -> Verdict:
    """Check the only root session of a project, as ``Evidence.judge`` does, and its outbox."""
    async with evidence(data) as found:
        verdict = await found.judge(root, told, allowed, expected)
        verdict.zombies += await found.due()
    return verdict


async def _judge_records(
    verdict: Verdict, store: SqliteStore, root: str, allowed: Collection[Status]
) -> set[str]:
    """Check the records, and return their names."""
    lines, _ = await store.page(root, EVERYTHING)
    for line in lines:
        delegation = await store.get(line.id)
        if delegation is None:
            raise AssertionError(f"{line.id} is listed and not stored")
        _judge_record(verdict, delegation, await store.history(line.id), allowed)
    return {line.id for line in lines}


def judge_dead(verdict: Verdict, pids: Collection[int]) -> None:
    """Check that no process that was killed still waits for its parent to notice."""
    verdict.zombies += [f"process {pid} was not reaped" for pid in pids if _is_zombie(pid)]


async def judge_ended(verdict: Verdict, pids: Collection[int]) -> None:
    """Check that no process of ours goes on running."""
    for pid in pids:
        if not await asyncio.to_thread(_ends, pid):
            verdict.zombies.append(f"process {pid} runs")


def _ends(pid: int) -> bool:
    """Return whether a process has ended, or does so soon; by an event, so only on Linux."""
    if not hasattr(os, "pidfd_open"):
        return True
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], END_LIMIT_S)[0])
    finally:
        os.close(descriptor)


def _judge_record(
    verdict: Verdict, one: Delegation, history: list[Event], allowed: Collection[Status]
) -> None:
    endings = [event for event in history if isinstance(event, Ended)]
    if not one.is_terminal or not endings:
        verdict.lost.append(f"{one.id} is {one.status}")
        return
    if len(endings) > 1:
        verdict.duplicated.append(f"{one.id} ended {len(endings)} times")
    if one.status not in allowed:
        verdict.lost.append(f"{one.id} is {one.status}: {one.error}")
    if one.requests:
        verdict.zombies.append(f"{one.id} has open requests")
    if not _leads_to(history, one):
        verdict.lost.append(f"the history of {one.id} does not lead to its record")


def _leads_to(history: list[Event], one: Delegation) -> bool:
    first, *later = history
    try:
        return isinstance(first, Registered) and replay(first, later) == one
    except IllegalTransition:
        return False


def _judge_artifact(
    verdict: Verdict, name: str, found: Sequence[Path], allowed: Collection[Status]
) -> None:
    if len(found) > 1:
        verdict.duplicated.append(f"{name} has {len(found)} artifacts")
    if not found:
        verdict.lost.append(f"{name} has no artifact")
        return
    try:
        front, _ = parse(found[0].read_bytes().decode())
    except ValueError as error:
        verdict.lost.append(f"the artifact of {name} is broken: {error}")
        return
    if front["id"] != name or front["state"] not in allowed:
        verdict.lost.append(f"the artifact of {name} is {front['id']}'s, {front['state']}")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
