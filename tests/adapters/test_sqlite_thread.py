"""The writer's thread: whatever happens on it, whoever waits is answered, and it goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from background_agents.adapters.sqlite import writer as module
from background_agents.adapters.sqlite.writer import Writer
from background_agents.domain.errors import StoreUnavailable

T = TypeVar("T")

LIMIT_S = 5.0
"""For what takes a millisecond: who waits longer waits for ever."""


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    writer = Writer(tmp_path / "project" / "delegations.db")
    await writer.start()
    yield writer
    await asyncio.wait_for(writer.close(), LIMIT_S)


async def answer(asked: Awaitable[T]) -> T:
    return await asyncio.wait_for(asked, LIMIT_S)


def put(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE kept (number INTEGER)")


def look(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'kept'")
    return int(count[0])


@pytest.mark.parametrize("error", [RuntimeError, StopIteration, SystemExit, KeyboardInterrupt])
async def test_what_a_job_raises_fails_its_caller_alone(
    writer: Writer, error: type[BaseException]
) -> None:
    """Also what no future can hold, and what is meant to end a program."""

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE undone (number INTEGER)")
        raise error("odd")

    asked = [writer.run(job, writes=True) for job in (broken, put, look)]
    failed, done, seen = await answer(asyncio.gather(*asked, return_exceptions=True))
    assert isinstance(failed, RuntimeError)
    assert "odd" in str(failed)
    assert (done, seen) == (None, 1)
    assert await answer(writer.run(look, writes=False)) == 1


async def test_a_job_that_ends_the_transaction_fails_its_batch_alone(writer: Writer) -> None:
    """Neither its caller nor those beside it wait; the next batch finds a sound connection."""

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise RuntimeError("odd")

    asked = [writer.run(job, writes=True) for job in (broken, put)]
    for came in await answer(asyncio.gather(*asked, return_exceptions=True)):
        assert isinstance(came, StoreUnavailable)
    assert await answer(writer.run(look, writes=False)) == 0


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, SystemExit])
async def test_what_fails_outside_of_a_job_is_said_to_who_waits(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """The look at the file fails in a way that nobody foresaw; the next call is served."""

    def broken(_path: Path) -> None:
        raise error("odd")

    with monkeypatch.context() as patched:
        patched.setattr(module.Identity, "of", broken)
        asked = [writer.run(job, writes=True) for job in (put, look)]
        for came in await answer(asyncio.gather(*asked, return_exceptions=True)):
            assert isinstance(came, StoreUnavailable)
            assert "odd" in str(came)
    await answer(writer.run(put, writes=True))
    assert await answer(writer.run(look, writes=False)) == 1


async def test_a_thread_that_dies_is_followed_by_another(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waited is told; who comes next is served, and what was stored is there."""
    await answer(writer.run(put, writes=True))
    took = threading.Event()

    def dies() -> object:
        took.set()
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        # On the thread: in the wait of before, or in the next one already, it would differ.
        await answer(
            writer.run(lambda _: patched.setattr(writer, "_next_batch", dies), writes=False)
        )
        await answer(asyncio.to_thread(took.wait))
        await answer(asyncio.to_thread(writer._thread.join))
    assert "no room" in caplog.text
    seen = await answer(asyncio.gather(*(writer.run(look, writes=False) for _ in range(20))))
    assert seen == [1] * 20


async def test_nobody_waits_for_a_thread_that_dies(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls come at any moment while threads die one after the other: each is answered."""
    caplog.set_level(logging.CRITICAL, module.__name__)
    serve, count = writer._serve, 0

    def dies_at_times(batch: object) -> None:
        nonlocal count
        count += 1
        serve(batch)  # type: ignore[arg-type]
        if count % 3 == 0:
            raise SystemExit

    monkeypatch.setattr(writer, "_serve", dies_at_times)
    for _ in range(200):
        asked = [writer.run(look, writes=False) for _ in range(3)]
        for came in await answer(asyncio.gather(*asked, return_exceptions=True)):
            assert came == 0 or isinstance(came, StoreUnavailable)
    assert count > 100
