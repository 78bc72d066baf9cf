"""A session's delegations are counted right, whatever is remembered of earlier counts."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from background_agents.adapters.sqlite import rows, store
from background_agents.adapters.sqlite.schema import connect
from background_agents.adapters.sqlite.store import Counts
from background_agents.domain.events import Registered

ROOT, OTHER = "ses_root", "ses_other"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / "delegations.db"


@pytest.fixture
def connection(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A database in which little is settled soon."""
    monkeypatch.setattr(store, "UNSETTLED", 3)
    monkeypatch.setattr(store, "WORTH_REMEMBERING", 1)
    with closing(connect(path)) as opened:
        yield opened


def register(connection: sqlite3.Connection, root: str, first: int, count: int) -> None:
    for number in range(first, first + count):
        event = Registered(
            at=datetime(2030, 1, 1, tzinfo=UTC),
            id=f"brave-amber-otter-{number}",
            project="p",
            directory="/src",
            root_session=root,
            parent_session=root,
            prompt="Look.",
            agent="build",
            title="A title",
            owner="1:1",
        )
        rows.register(connection, event)


def test_it_grows_with_what_is_registered(connection: sqlite3.Connection) -> None:
    remembered = Counts()
    assert remembered.count(connection, ROOT) == 0
    for first in range(0, 40, 4):
        register(connection, ROOT, first, 3)
        register(connection, OTHER, first + 3, 1)
        assert remembered.count(connection, ROOT) == (first // 4 + 1) * 3
        assert remembered.count(connection, OTHER) == first // 4 + 1


def test_nothing_is_remembered_of_sessions_with_few(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions come and go as long as a service lives; each would stay in its memory."""
    monkeypatch.setattr(store, "WORTH_REMEMBERING", 10)
    remembered = Counts()
    register(connection, ROOT, 0, 20)
    for number in range(20, 520):
        register(connection, f"ses_{number}", number, 1)
    tracemalloc.start()
    try:
        for number in range(20, 520):
            assert remembered.count(connection, f"ses_{number}") == 1
        held = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, store.__file__)])
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in held.traces) < 1_000
    assert remembered.count(connection, ROOT) == 20


def test_what_was_rolled_back_is_not_counted(connection: sqlite3.Connection) -> None:
    remembered = Counts()
    register(connection, ROOT, 0, 20)
    connection.execute("BEGIN IMMEDIATE")
    register(connection, ROOT, 20, 2)
    assert remembered.count(connection, ROOT) == 22
    connection.execute("ROLLBACK")
    register(connection, OTHER, 30, 2)
    assert remembered.count(connection, ROOT) == 20
    assert remembered.count(connection, OTHER) == 2


def test_what_another_process_has_renumbered_is_counted_anew(
    connection: sqlite3.Connection, path: Path
) -> None:
    remembered = Counts()
    register(connection, ROOT, 0, 20)
    assert remembered.count(connection, ROOT) == 20
    with closing(connect(path)) as other:
        register(other, ROOT, 20, 1)
        other.execute("UPDATE delegations SET number = -5 WHERE id = 'brave-amber-otter-20'")
        other.execute("UPDATE delegations SET number = number + 100 WHERE number > 0")
        other.execute("UPDATE delegations SET number = 1 WHERE number < 0")
    assert remembered.count(connection, ROOT) == 21


def test_a_connection_that_was_opened_again_is_counted_anew(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    remembered = Counts()
    register(connection, ROOT, 0, 20)
    assert remembered.count(connection, ROOT) == 20
    with closing(connect(tmp_path / "another" / "delegations.db")) as rebuilt:
        register(rebuilt, ROOT, 0, 12)
        assert remembered.count(rebuilt, ROOT) == 12
