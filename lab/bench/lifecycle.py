"""Whole lives of delegations, durable, against bare commits on the same disk.

In one process, with the scripted runtime in the place of OpenCode, and with the real storage:
SQLite with every commit fsynced, and artifacts whose file and folder are fsynced.
"""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.adapters.system import processes
from background_agents.adapters.system.clock import SystemClock
from background_agents.adapters.system.processes import process_name
from background_agents.config import Settings
from background_agents.domain.ids import SortableIds
from background_agents.domain.order import Order
from background_agents.hosts.opencode.tools import NAMES
from background_agents.ports.storage import ArtifactStore, DelegationStore
from background_agents.service.context import Context
from background_agents.testing.memory import (
    MemoryArtifacts,
    MemoryJournal,
    MemoryStore,
    MemoryTrees,
)
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripts import script
from background_agents.testing.tries import MemoryTries
from lab.bench.figures import Findings, compared, judged
from lab.harness.service import Service

LIVES = 1_000
"""Service of one round: one second of what is to be reached."""

LIMIT_S = 120.0

LAST = re.compile("notices for|receipt of")
"""Names of the tasks that store the last of each delegation."""

PROMPT = "Look into it. " + script({"say": "It is done, and this is how. " * 10})


async def lifecycle(root: Path, rounds: int, lives: int = LIVES) -> Findings:
    """Measure rounds of lives by turns with as many bare commits, and with lives without a disk."""
    rates, bare, in_memory = [], [], []
    for number in range(rounds + 1):
        folder = root / str(number)
        bare.append(await asyncio.to_thread(commit_rate, folder / "bare", lives))
        rates.append(await durable_rate(folder / "lives", lives))
        in_memory.append(await life_rate(MemoryStore(), MemoryArtifacts(), lives))
    rates, bare, in_memory = rates[1:], bare[1:], in_memory[1:]  # the first loads code
    return Findings(
        [
            judged("full lifecycle, durable, scripted runtime", rates, "per s", least=1000),
            judged("the same with nothing on disk", in_memory, "per s"),
            judged("bare fsynced commits, one row each", bare, "per s"),
        ],
        [
            compared("durable lifecycles / bare commits", rates, bare, least=0.3),
            compared("lifecycles with nothing on disk / bare commits", in_memory, bare),
            compared("durable lifecycles / with nothing on disk", rates, in_memory),
        ],
    )


async def durable_rate(folder: Path, lives: int) -> float:
    """Return the rate of lives on the real storage."""
    store = await SqliteStore.open(folder / "delegations.db")
    try:
        return await life_rate(store, MarkdownArtifacts(folder), lives)
    finally:
        await store.close()


def commit_rate(folder: Path, count: int) -> float:
    """Return how many commits of one small row SQLite makes per second, each fsynced; blocks."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)")
        started = time.perf_counter()
        for number in range(count):
            connection.execute("INSERT INTO rows VALUES (?, ?)", (number, "A row."))
        return count / (time.perf_counter() - started)


async def life_rate(store: DelegationStore, artifacts: ArtifactStore, count: int) -> float:
    """Delegate so much at once; return how many per second have come to their receipt."""
    runtime = ScriptedRuntime()
    channel = ScriptedChannel(runtime)
    context = Context(
        runtime=runtime,
        channel=channel,
        store=store,
        artifacts=artifacts,
        journal=MemoryJournal(),
        trees=MemoryTrees(),
        tries=MemoryTries(),
        clock=SystemClock(),
        processes=processes,
        ids=SortableIds(random.Random(1)),
        project="bench",
        directory="/bench",
        owner=process_name(),
        tools=NAMES,
    )
    service = Service(context, Settings(max_concurrent=count))
    supervisor = runtime.add_session()

    def told() -> int:
        return sum(map(len, channel.delivered(supervisor)))

    await service.start()
    try:
        started = time.perf_counter()
        request = Order(PROMPT, "build")
        await asyncio.gather(*(service.delegate(supervisor, request) for _ in range(count)))
        await channel.changes.until(lambda: told() >= count, limit_s=LIMIT_S)
        while last := [task for task in asyncio.all_tasks() if LAST.match(task.get_name())]:
            await asyncio.wait(last)
        took = time.perf_counter() - started
    finally:
        await service.close()
    if told() != count or await store.unfinished() or await store.due():
        raise AssertionError(f"not all of {count} delegations have come to their end")
    return count / took
