"""The shipped fakes pass the suites of the real ones, and keep their own promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from background_agents.adapters.system.clock import SystemClock
from background_agents.domain.errors import StoreUnavailable
from background_agents.ports.changes import ChangeJournal
from background_agents.ports.clock import Clock
from background_agents.ports.storage import ArtifactStore, DelegationStore
from background_agents.testing.clock import START, ManualClock
from background_agents.testing.contracts import (
    ArtifactStoreContract,
    ChangeJournalContract,
    ClockContract,
    DelegationStoreContract,
)
from background_agents.testing.contracts.samples import finished, registered
from background_agents.testing.memory import MemoryArtifacts, MemoryJournal, MemoryStore

SECOND = timedelta(seconds=1)


class TestMemoryStore(DelegationStoreContract):
    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[DelegationStore]:
        yield MemoryStore()


class TestMemoryArtifacts(ArtifactStoreContract):
    def opened(self, folder: Path) -> ArtifactStore:
        return MemoryArtifacts(folder)


class TestMemoryJournal(ChangeJournalContract):
    def opened(self, folder: Path) -> ChangeJournal:
        return MemoryJournal()


class TestManualClock(ClockContract):
    def clock(self) -> Clock:
        return ManualClock()

    async def let_pass(self, clock: Clock, delay: timedelta) -> None:
        assert isinstance(clock, ManualClock)
        clock.advance(delay)
        await asyncio.sleep(0)


class TestSystemClock(ClockContract):
    def clock(self) -> Clock:
        return SystemClock()

    async def let_pass(self, clock: Clock, delay: timedelta) -> None:
        await clock.sleep(delay)


async def test_a_store_told_to_fail_fails_and_recovers() -> None:
    store, artifacts = MemoryStore(), MemoryArtifacts()
    store.failure = artifacts.failure = StoreUnavailable("The disk is full.")
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.register(registered())
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await artifacts.write(finished(), "x")
    store.failure = None
    assert (await store.register(registered())).id == registered().id


def test_each_call_sees_its_own_moment() -> None:
    clock = ManualClock()
    seen = []
    for seconds in (2, 1):
        clock.call_later(SECOND * seconds, lambda: seen.append(clock.now() - START))
    clock.advance(SECOND * 5)
    assert seen == [SECOND, SECOND * 2]
    assert clock.now() - START == SECOND * 5


def test_stepping_the_wall_clock_makes_no_call() -> None:
    clock = ManualClock()
    clock.call_later(SECOND, lambda: pytest.fail("called by a step of the wall clock"))
    clock.step_wall(timedelta(days=1))
    clock.step_wall(timedelta(days=-2))
    assert clock.now() - START == timedelta(days=-1)
    assert clock.pending == 1


async def test_a_cancelled_sleeper_is_no_longer_pending() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(SECOND))
    await asyncio.sleep(0)
    assert clock.pending == 1
    sleeper.cancel()
    await asyncio.wait([sleeper])
    assert clock.pending == 0
