"""A living process loses nothing when somebody moves, replaces or deletes its database's files."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from background_agents.adapters.sqlite.store import SqliteStore

LIMIT_S = 20

PROCESS = """
import asyncio, sys
from pathlib import Path
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.ports.storage import Lease
from background_agents.testing.contracts.samples import registered

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    lease = Lease(owner="me", host="", boot="", renewed_s=1.0)
    await store.claim(lease)
    for line in sys.stdin:
        if line.strip() == "heartbeat":
            print(await store.renew(lease), flush=True)
        else:
            print((await store.register(registered(line.strip()))).id, flush=True)

asyncio.run(main())
"""
"""A process that stores a delegation for each line, or renews its claim, until it is killed."""

BEFORE, AFTER = "brave-amber-otter", "calm-red-fox"


class Owner:
    """A process that has a database open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def does(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            return (await self._process.stdout.readline()).decode().strip()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def owner_of(database: Path) -> AsyncIterator[Owner]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROCESS, str(database)), stdin=pipe, stdout=pipe
    )
    owner = Owner(process)
    try:
        yield owner
    finally:
        await owner.kill()


def all_deleted(database: Path, _backup: Path) -> None:
    for one in database.parent.iterdir():
        one.unlink()


def database_deleted(database: Path, _backup: Path) -> None:
    database.unlink()


def log_deleted(database: Path, _backup: Path) -> None:
    Path(f"{database}-wal").unlink()


def backup_restored(database: Path, backup: Path) -> None:
    for side in ("-wal", "-shm"):
        Path(f"{database}{side}").unlink()
    backup.rename(database)


def folder_renamed(database: Path, _backup: Path) -> None:
    database.parent.rename(database.parent.with_name("elsewhere"))


def folder_deleted(database: Path, _backup: Path) -> None:
    shutil.rmtree(database.parent)


MISHAPS = [
    all_deleted, database_deleted, log_deleted, backup_restored, folder_renamed, folder_deleted
]  # fmt: skip


@pytest.mark.parametrize("happens", MISHAPS)
@pytest.mark.parametrize("noticed_by", [AFTER, "heartbeat"])
async def test_all_is_there_after_a_kill(
    tmp_path: Path, happens: Callable[[Path, Path], None], noticed_by: str
) -> None:
    """By whatever comes next it is noticed, be that no more than the heartbeat."""
    database = tmp_path / "project" / "delegations.db"
    backup = tmp_path / "backup.db"
    await (await SqliteStore.open(backup)).close()
    async with owner_of(database) as owner:
        assert await owner.does(BEFORE) == BEFORE
        happens(database, backup)
        assert await owner.does(noticed_by) == ("True" if noticed_by == "heartbeat" else AFTER)
        await owner.kill()
    store = await SqliteStore.open(database)
    try:
        assert await store.get(BEFORE) is not None
        assert (await store.get(AFTER) is not None) == (noticed_by == AFTER)
        assert [lease.owner for lease in await store.leases()] == ["me"]
    finally:
        await store.close()


@pytest.mark.parametrize("schema", [None, 99])
async def test_a_file_that_cannot_be_used_yet_costs_nothing(
    tmp_path: Path, schema: int | None
) -> None:
    """One that is locked, or that a newer version wrote, takes the place for a while."""
    database, other = tmp_path / "project" / "delegations.db", tmp_path / "other.db"
    await (await SqliteStore.open(other)).close()
    async with owner_of(database) as owner:
        await owner.does(BEFORE)
        backup_restored(database, other)
        with closing(sqlite3.connect(database, isolation_level=None)) as holder:
            holder.execute(
                "BEGIN EXCLUSIVE" if schema is None else f"PRAGMA user_version = {schema}"
            )
            assert await owner.does(AFTER) == AFTER
            if schema is None:
                holder.execute("ROLLBACK")
            else:
                database.unlink()
        assert await owner.does("heartbeat") == "True"
        await owner.kill()
    store = await SqliteStore.open(database)
    try:
        assert await store.get(BEFORE) is not None
        assert await store.get(AFTER) is not None
    finally:
        await store.close()


async def test_two_processes_that_lose_their_database_share_the_next_one(tmp_path: Path) -> None:
    database = tmp_path / "project" / "delegations.db"
    async with owner_of(database) as one, owner_of(database) as other:
        await one.does(BEFORE)
        await other.does(AFTER)
        all_deleted(database, database)
        await asyncio.gather(one.does("dry-blue-owl"), other.does("shy-pink-hen"))
        await one.does("old-grey-cat")
        await asyncio.gather(one.kill(), other.kill())
    store = await SqliteStore.open(database)
    try:
        for name in (BEFORE, AFTER, "dry-blue-owl", "shy-pink-hen", "old-grey-cat"):
            assert await store.get(name) is not None, name
    finally:
        await store.close()
