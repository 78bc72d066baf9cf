"""The SQLite store keeps what it promised through crashes, crowds and bad luck."""

import asyncio
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from importlib import resources
from pathlib import Path

import pytest

from background_agents.adapters import sqlite
from background_agents.adapters.sqlite.schema import QUERIES, migrations
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.domain.delegation import apply
from background_agents.domain.errors import IdTaken, StaleVersion, StoreUnavailable
from background_agents.ports.storage import Change, DelegationStore, Lease, Piece
from background_agents.testing.contracts import DelegationStoreContract
from background_agents.testing.contracts.samples import (
    ROOT,
    completed,
    launched,
    notice,
    registered,
)

FullDisk = Callable[[int], AbstractContextManager[None]]


class TestSqliteStore(DelegationStoreContract):
    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[DelegationStore]:
        async with opened(folder / "project" / "delegations.db") as store:
            yield store


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / "delegations.db"


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """Keep every writer of the database waiting."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def name(number: int) -> str:
    return f"brave-amber-otter-{number}"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def commits(path: Path) -> int:
    """Count the transactions in the write-ahead log: frames that end one carry a size."""
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    (page_size,) = struct.unpack_from(">I", wal, 8)
    frames = range(32, len(wal), 24 + page_size)
    return sum(struct.unpack_from(">I", wal, frame + 4)[0] != 0 for frame in frames)


# --- durability --------------------------------------------------------------------


async def test_everything_is_there_after_reopening(path: Path) -> None:
    async with opened(path) as store:
        before = await store.register(registered())
        running = apply(before, launched())
        events = (launched(), completed())
        step = Change(after=apply(running, completed()), events=events, notices=(notice("prt_1"),))
        await store.commit(step)
        await store.register(registered(name(1)))
    async with opened(path) as store:
        assert await store.find(before.id, ROOT) == step.after
        assert await store.history(before.id) == [registered(), *events]
        assert await store.due() == [notice("prt_1")]
        assert [one.id for one in await store.unfinished()] == [name(1)]


DIES_AFTER_REGISTERING = """
import asyncio, os, signal, sys
from pathlib import Path
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.testing.contracts.samples import registered

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await store.register(registered())
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_returned_survives_a_kill(path: Path) -> None:
    command = [sys.executable, "-c", DIES_AFTER_REGISTERING, str(path)]
    died = await asyncio.to_thread(subprocess.run, command, timeout=30, check=False)
    assert died.returncode == -signal.SIGKILL
    async with opened(path) as store:
        assert await store.find(registered().id, ROOT) is not None


async def test_on_a_full_disk_nothing_is_half_stored_and_work_goes_on_later(
    path: Path, full_disk: FullDisk
) -> None:
    async with opened(path) as store:
        large = registered(prompt="x" * 1_000_000)
        with full_disk(200_000), pytest.raises(StoreUnavailable, match=re.escape(str(path))):
            await store.register(large)
        assert await store.find(registered().id, ROOT) is None
        assert await store.history(registered().id) == []
        await store.register(registered())
        assert await store.find(registered().id, ROOT) is not None


# --- one thread, one transaction for all that wait ---------------------------------


async def test_what_waits_together_is_committed_together(path: Path) -> None:
    async with opened(path) as store:
        with held_by_another(path):
            burst = [
                asyncio.create_task(store.register(registered(name(number))))
                for number in [*range(99), 0]
            ]
            await asyncio.sleep(0)
            earlier = commits(path)
        outcomes = await asyncio.gather(*burst, return_exceptions=True)
        assert isinstance(outcomes[-1], IdTaken)
        assert (await store.page(ROOT, 1))[1] == 99
        # The first call may have gone alone, before the rest were there.
        assert commits(path) - earlier <= 2


async def test_a_cancelled_caller_does_not_undo_what_was_asked(path: Path) -> None:
    async with opened(path) as store:
        with held_by_another(path):
            impatient = asyncio.create_task(store.register(registered()))
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.wait([impatient])
        assert impatient.cancelled()
        assert await store.find(registered().id, ROOT) is not None


async def test_closing_finishes_what_was_begun(path: Path) -> None:
    store = await SqliteStore.open(path)
    begun = [asyncio.create_task(store.register(registered(name(number)))) for number in range(9)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert len(await asyncio.gather(*begun)) == 9
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.page(ROOT, 1)


async def test_an_unexpected_error_reaches_its_caller_alone(path: Path) -> None:
    async with opened(path) as store:
        half_a_pair = store.register(registered(name(1), prompt="\ud83e"))
        whole = store.register(registered(name(2)))
        outcomes = await asyncio.gather(half_a_pair, whole, return_exceptions=True)
        assert isinstance(outcomes[0], UnicodeEncodeError)
        assert (await store.page(ROOT, 9))[1] == 1


async def test_a_change_that_fails_half_way_is_undone_and_its_neighbours_are_not(
    path: Path,
) -> None:
    async with opened(path) as store:
        before = await store.register(registered())
        same_twice = (notice("prt_1"), notice("prt_1"))
        step = Change(after=apply(before, launched()), events=(launched(),), notices=same_twice)
        outcomes = await asyncio.gather(
            store.register(registered(name(1))),
            store.commit(step),
            store.register(registered(name(2))),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], StoreUnavailable)
        assert await store.find(before.id, ROOT) == before
        assert (await store.history(before.id), await store.due()) == ([registered()], [])
        assert (await store.page(ROOT, 1))[1] == 3


# --- several processes -------------------------------------------------------------


async def test_many_may_create_the_database_at_the_same_moment(path: Path) -> None:
    stores = await asyncio.gather(*(SqliteStore.open(path) for _ in range(8)))
    registrations = (
        store.register(registered(name(number))) for number, store in enumerate(stores)
    )
    await asyncio.gather(*registrations)
    assert (await stores[0].page(ROOT, 1))[1] == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_two_processes_cannot_both_move_one_version(path: Path) -> None:
    async with opened(path) as mine, opened(path) as yours:
        before = await mine.register(registered())
        step = Change(after=apply(before, launched()), events=(launched(),))
        outcomes = await asyncio.gather(
            mine.commit(step), yours.commit(step), return_exceptions=True
        )
        assert [type(one) for one in outcomes if one is not None] == [StaleVersion]
        assert await yours.find(before.id, ROOT) == step.after


# --- what cannot be opened ---------------------------------------------------------


async def test_what_another_process_stores_is_noticed_by_its_event(path: Path) -> None:
    """Its heartbeats and what its agents stream are none."""
    async with opened(path) as mine, opened(path) as theirs:
        before = await mine.newest_event()
        otter = await theirs.register(registered())
        seen = await mine.newest_event()
        assert seen != before
        await theirs.claim(Lease(owner="1:1", host="9:9", boot="b", renewed_s=5.0))
        await theirs.keep([Piece(delegation=otter.id, message="msg_1", start=0, text="One ")])
        assert await mine.newest_event() == seen
        assert await mine.newest(1) == [otter]


async def test_a_newer_schema_is_refused_and_left_untouched(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 9999")
    before = contents(path.parent)
    with pytest.raises(StoreUnavailable, match=r"schema version .* upgrade background-agents\.$"):
        await SqliteStore.open(path)
    assert contents(path.parent) == before


async def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(path: Path) -> None:
    put(path.parent, "a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=re.escape(str(path))):
        await SqliteStore.open(path)


async def test_a_damaged_record_is_the_storage_s_fault(path: Path) -> None:
    async with opened(path) as store:
        await store.register(registered())
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE delegations SET record = x'7b'")
        with pytest.raises(StoreUnavailable, match=re.escape(str(path))):
            await store.find(registered().id, ROOT)


@pytest.mark.parametrize("umask", [0o000, 0o777])
async def test_only_the_owner_may_look_whatever_the_umask(path: Path, umask: int) -> None:
    path.parent.mkdir(mode=0o755)
    before = os.umask(umask)
    try:
        async with opened(path) as store:
            await store.register(registered())
            modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(modes) == 3  # the database, its log and the log's index
    assert set(modes.values()) == {0o600}


# --- statements --------------------------------------------------------------------


@pytest.fixture
async def plan_of(path: Path) -> dict[str, str]:
    """How SQLite goes about each named query."""
    async with opened(path):
        with closing(sqlite3.connect(path)) as other:
            return {
                name: " / ".join(row[3] for row in _explained(other, query))
                for name, query in QUERIES.items()
            }


def _explained(connection: sqlite3.Connection, query: str) -> list[tuple[int, int, int, str]]:
    named = dict.fromkeys(re.findall(r":(\w+)", query))
    values = named or (None,) * query.count("?")
    return connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()


SCANS = {
    "leases": "one row for each process that has the project open",
    "count_unindexed": "only what has changed since the last search",
    "unindexed": "the same, and with a limit",
    "notices_of": "24 ms over 100,000, for one person who looks at one delegation, or for "
    "hundreds at once; an index would cost every notice 15 µs",
    "prune_notices": "the same, for hundreds at once",
    "records_since": "numbers about all delegations are in all records",
}
"""What is read as a whole, and why it may be."""


async def test_no_query_reads_more_than_it_has_to(plan_of: dict[str, str]) -> None:
    """A project may hold tens of thousands of delegations with prompts of megabytes."""
    for name, plan in plan_of.items():
        if name in SCANS:
            continue
        if name in (
            "newest",
            "newest_ended",
            "agents",
        ):  # they go by number, and stop after some hundred rows
            assert re.search(r"\bORDER BY number DESC LIMIT\b", QUERIES[name])
            continue
        if name in ("newest_number", "newest_event"):  # the last row number, which needs no index
            continue
        indexed = name.startswith("insert") or "INDEX" in plan or "PRIMARY KEY" in plan
        assert indexed, f"{name}: {plan}"
    assert "COVERING INDEX" in plan_of["count"]
    assert "(root_session=? AND rowid>? AND rowid<?)" in plan_of["count"]
    assert "INDEX delegations_active" in plan_of["remaining"]
    assert "TEMP B-TREE" not in plan_of["page"]


def test_every_query_says_what_it_is_for() -> None:
    text = resources.files(sqlite).joinpath("queries.sql").read_text()
    assert re.findall(r"^-- name: (\w+)\n-- [A-Z]", text, re.MULTILINE) == list(QUERIES)


def test_migrations_are_numbered_without_a_gap() -> None:
    folder = resources.files(sqlite).joinpath("migrations")
    numbers = sorted(int(one.name[:4]) for one in folder.iterdir() if one.name.endswith(".sql"))
    assert numbers == list(range(1, len(migrations()) + 1))
