"""What a service holds while it works, and whether that grows.

Measured from outside where the kernel tells (``/proc``, so on Linux alone), and judged on
medians, since a moment says little: a long text that streams just then, a batch of endings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from background_agents.config import DATABASE
from background_agents.service.delivery.titles import MOST_WAITING
from lab.faults.inside import Inside

MIB = 2**20

RSS_GROWTH = 8 * MIB
"""What the median of the last third may be above that of the first. A service that keeps nothing
grew by 1 to 3 MiB in 30,000 delegations: malloc's free lists and Python's arenas wear, more slowly
with time. What is really held is counted at rest, and that is the sharper test."""

TASKS_GROWTH = MOST_WAITING + 10
"""Under load the medians swing by how many delegations happen to be active, and by how many titles
wait, of which there are none at first. At rest no task may be left over, which is sharper."""

DESCRIPTORS_GROWTH = 2
"""An artifact that is being written has one open, and its folder."""

BLOCKS_AT_ALL, BLOCKS_EACH = 3_000, 0.1
"""Pieces of memory that may have been added at rest, at all and for each delegation. Whatever is
kept of every delegation is at least one; the caches are full when it is first counted, and what
they keep then swings by some hundred."""

HEAP_AT_ALL, HEAP_EACH = 3 * MIB, 20
"""Bytes of malloc's, likewise; SQLite's cache of 2 MiB is among them, which fills in its time."""

WAL_MOST = 16 * MIB
"""SQLite writes its log back into the database at 4 MiB, as soon as nobody reads it."""

THREADS_MOST = 2 + min(32, (os.cpu_count() or 1) + 4)
"""The loop's, the database's, and those that asyncio keeps for blocking calls."""


class Sample(msgspec.Struct):
    """A service at one moment under load."""

    at_s: float
    delegations: int
    """How many have ended so far."""
    rss: int
    """Bytes of memory that are really there."""
    descriptors: int
    threads: int
    tasks: int
    database: int
    """Bytes of the file."""
    wal: int
    """Bytes of the log beside it."""


class Rest(msgspec.Struct):
    """A service that has nothing to do."""

    delegations: int
    rss: int
    descriptors: int
    tasks: int
    blocks: int
    heap: int


class Series(msgspec.Struct):
    """One service from the end of its warm-up to its own end: at rest, under load, at rest."""

    before: Rest
    samples: list[Sample]
    after: Rest
    blocks_each: float = BLOCKS_EACH
    """How many pieces of memory each delegation may have left."""


class Row(msgspec.Struct):
    """One quantity: its median in the first and in the last third, and at rest before and after."""

    what: str
    first: str
    last: str
    before: str
    after: str
    allowed: str


def sample(pid: int, data: Path, inside: Inside, at_s: float, delegations: int) -> Sample:
    """Measure a process that works."""
    (database,) = data.glob(f"*/{DATABASE}")
    return Sample(
        at_s=round(at_s, 1),
        delegations=delegations,
        rss=resident(pid),
        descriptors=descriptors(pid),
        threads=len(os.listdir(f"/proc/{pid}/task")),
        tasks=inside.tasks,
        database=_size(database),
        wal=_size(database.with_name(f"{DATABASE}-wal")),
    )


def rest(pid: int, inside: Inside, delegations: int) -> Rest:
    """Measure a process that rests."""
    return Rest(
        delegations, resident(pid), descriptors(pid), inside.tasks, inside.blocks, inside.heap
    )


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has that are really there."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Return how many files, sockets and pipes a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def leaks(series: Series) -> list[str]:
    """Return a sentence for whatever has grown without reason."""
    before, after = series.before, series.after
    first, last = _thirds(series.samples)
    ended = after.delegations - before.delegations
    judged = (
        ("resident bytes", _median(last, _rss) - _median(first, _rss), RSS_GROWTH),
        ("tasks under load", _median(last, _tasks) - _median(first, _tasks), TASKS_GROWTH),
        (
            "descriptors under load",
            _median(last, _descriptors) - _median(first, _descriptors),
            DESCRIPTORS_GROWTH,
        ),
        ("tasks at rest", after.tasks - before.tasks, 0),
        ("descriptors at rest", after.descriptors - before.descriptors, 0),
        ("blocks at rest", after.blocks - before.blocks, _blocks(series)),
        ("heap at rest", after.heap - before.heap, HEAP_AT_ALL + HEAP_EACH * ended),
    )
    found = [
        f"{what} grew by {grown:,.0f} in {ended:,} delegations, {allowed:,.0f} are allowed"
        for what, grown, allowed in judged
        if grown > allowed
    ]
    threads, wal = (max(of(one) for one in series.samples) for of in (_threads, _wal))
    if threads > THREADS_MOST:
        found.append(f"there were {threads} threads, {THREADS_MOST} are allowed")
    if wal > WAL_MOST:
        found.append(f"the write-ahead log had {wal:,} bytes, {WAL_MOST:,} are allowed")
    return found


def rows(series: Series) -> list[Row]:
    """Return the series as a short table."""
    first, last = _thirds(series.samples)
    before, after = series.before, series.after

    def medians(of: Callable[[Sample], float], show: Callable[[float], str]) -> tuple[str, str]:
        return show(_median(first, of)), show(_median(last, of))

    ended = after.delegations - before.delegations
    rss = f"+{_mib(RSS_GROWTH)}"
    blocks = f"+{_blocks(series):,.0f}"
    heap = f"+{_mib(HEAP_AT_ALL + HEAP_EACH * ended)}"
    return [
        Row(
            "memory",
            *medians(_rss, _mib),
            _mib(before.rss),
            _mib(after.rss),
            rss,
        ),
        Row("of it held by malloc", "", "", _mib(before.heap), _mib(after.heap), heap),
        Row("Python's blocks", "", "", f"{before.blocks:,}", f"{after.blocks:,}", blocks),
        Row(
            "descriptors",
            *medians(_descriptors, _number),
            str(before.descriptors),
            str(after.descriptors),
            f"+{DESCRIPTORS_GROWTH}, at rest +0",
        ),
        Row(
            "asyncio tasks",
            *medians(_tasks, _number),
            str(before.tasks),
            str(after.tasks),
            f"+{TASKS_GROWTH}, at rest +0",
        ),
        Row("threads", *medians(_threads, _number), "", "", f"{THREADS_MOST} at most"),
        Row("database", *medians(_database, _mib), "", "", "grows with what it holds"),
        Row("write-ahead log", *medians(_wal, _mib), "", "", f"{_mib(WAL_MOST)} at most"),
    ]


def _thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    if len(samples) < 3:
        raise AssertionError(f"{len(samples)} samples are too few to judge")
    third = len(samples) // 3
    return samples[:third], samples[-third:]


def _blocks(series: Series) -> float:
    """Return how many pieces of memory may have been added."""
    ended = series.after.delegations - series.before.delegations
    return BLOCKS_AT_ALL + series.blocks_each * ended


def _median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return median(of(one) for one in samples)


def _rss(one: Sample) -> float:
    return one.rss


def _tasks(one: Sample) -> float:
    return one.tasks


def _descriptors(one: Sample) -> float:
    return one.descriptors


def _threads(one: Sample) -> float:
    return one.threads


def _database(one: Sample) -> float:
    return one.database


def _wal(one: Sample) -> float:
    return one.wal


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _mib(number: float) -> str:
    return f"{number / MIB:.1f} MiB"


def _number(number: float) -> str:
    return f"{number:g}"
