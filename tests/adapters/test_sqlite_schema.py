"""Databases of earlier versions are opened with all that is in them, newer ones not at all.

``tests/data/databases`` holds one file for each schema version, never written again.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.sqlite.schema import migrations
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.domain.delegation import Delegation, apply, replay
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.events import Completed, Read, Registered
from background_agents.domain.notice import NoticeState
from background_agents.domain.status import Status
from background_agents.ports.storage import Change
from background_agents.testing.contracts.samples import PERMISSION, QUESTION, ROOT, at, registered

DATA = Path(__file__).parents[1] / "data" / "databases"
FROZEN = sorted(file.name for file in DATA.glob("schema-*.db"))
OTHER = "ses_other"
NEWEST = len(migrations())

STATUSES = {
    "calm-red-heron": Status.REGISTERED,
    "brave-amber-otter": Status.RUNNING,
    "quiet-blue-wren": Status.WAITING,
    "kind-green-lynx": Status.COMPLETED,
    "swift-gray-mole": Status.FAILED,
    "proud-black-crow": Status.STOPPED,
    "lazy-white-swan": Status.TIMED_OUT,
    "shy-pink-newt": Status.INTERRUPTED,
}


@pytest.fixture(params=FROZEN)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a frozen database, where a project's would be."""
    path = tmp_path / "project" / "delegations.db"
    path.parent.mkdir()
    shutil.copyfile(DATA / str(request.param), path)
    return path


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


async def get(store: SqliteStore, name: str) -> Delegation:
    found = await store.get(name)
    assert found is not None
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_every_version_before_todays_is_frozen() -> None:
    """A new migration cannot be added without a database to try it on."""
    assert {f"schema-{number}.db" for number in range(1, NEWEST)} <= set(FROZEN)


async def test_every_delegation_is_there_as_it_was(frozen: Path) -> None:
    """In every status, in order, and in the root session that it belongs to."""
    async with opened(frozen) as store:
        assert {name: (await get(store, name)).status for name in STATUSES} == STATUSES
        lines, total = await store.page(ROOT, 99)
        assert [one.id for one in lines] == [*STATUSES][-2::-1]
        assert total == 7
        assert [one.id for one in (await store.page(OTHER, 9))[0]] == ["shy-pink-newt"]
        assert [one.id for one in await store.unfinished()] == [*STATUSES][:3]
        assert await store.remaining(ROOT) == 3
        assert [file.name for file in frozen.parent.glob("*.damaged*")] == []


async def test_every_event_is_there_and_leads_to_the_record(frozen: Path) -> None:
    """The history is complete and understood: played again, it gives what is stored."""
    async with opened(frozen) as store:
        for name in STATUSES:
            first, *later = await store.history(name)
            assert isinstance(first, Registered)
            assert replay(first, later) == await get(store, name)


async def test_what_was_said_and_asked_is_there(frozen: Path) -> None:
    """Steers with their receipts, open requests, numbers, titles, errors, what was read."""
    async with opened(frozen) as store:
        steers = (await get(store, "brave-amber-otter")).steers
        assert [(one.text, one.confirmed_at) for one in steers] == [
            ("Look at RFC 7636, too.", at(3)),
            ("And be brief.", None),
        ]
        asked = (await get(store, "quiet-blue-wren")).requests
        assert [one.ask for one in asked] == [PERMISSION, QUESTION]
        done = await get(store, "kind-green-lynx")
        assert (done.title, done.read_at) == ("The best title", at(150))
        assert (done.usage.tokens, done.usage.cost_usd, done.usage.tool_calls) == (1623, 0.0125, 7)
        assert (await get(store, "swift-gray-mole")).error == "Model not found: acme/none."


async def test_notices_are_as_far_as_they_had_come(frozen: Path) -> None:
    """What had arrived is not sent again, and what was about to be sent is sent as it was."""
    async with opened(frozen) as store:
        due = {one.delegation: one for one in await store.due()}
    assert [*due] == [*STATUSES][4:]
    assigned = due["swift-gray-mole"]
    assert (assigned.state, assigned.message) == (NoticeState.ASSIGNED, "msg_swift-gray-mole")
    assert assigned.text == "<task-notification>swift-gray-mole</task-notification>"
    assert due["proud-black-crow"].state is NoticeState.QUEUED


@pytest.mark.parametrize("frozen", [one for one in FROZEN if one > "schema-1.db"], indirect=True)
async def test_streamed_text_is_there(frozen: Path) -> None:
    """What a running agent had written, kept since version 2."""
    async with opened(frozen) as store:
        assert await store.kept("brave-amber-otter") == {"msg_a": "So far so good."}


async def test_work_goes_on(frozen: Path) -> None:
    """A migrated database is as good as a new one, and stays so when it is opened again."""
    async with opened(frozen) as store:
        running = await get(store, "brave-amber-otter")
        event = Completed(at=at(200), summary="Done.")
        await store.commit(Change(after=apply(running, event), events=(event,)))
        await store.register(replace(registered("a-new-one"), at=at(300)))
    async with opened(frozen) as store:
        ended = await get(store, "brave-amber-otter")
        assert ended.status is Status.COMPLETED
        await store.commit(Change(after=apply(ended, Read(at=at(201))), events=(Read(at=at(201)),)))
        assert (await store.page(ROOT, 1))[0][0].id == "a-new-one"


async def test_a_newer_schema_is_refused_in_a_sentence_and_stays_as_it_is(frozen: Path) -> None:
    """Not one byte of it or beside it changes, and the sentence says what to do."""
    newer = NEWEST + 1
    with closing(sqlite3.connect(frozen)) as connection, connection:
        connection.execute("CREATE TABLE of_the_future (what TEXT)")
        connection.execute(f"PRAGMA user_version = {newer}")
    before = contents(frozen.parent)
    sentence = (
        rf"schema version {newer}, but .* knows only up to {NEWEST}; upgrade background-agents"
    )
    with pytest.raises(StoreUnavailable, match=sentence):
        await SqliteStore.open(frozen)
    assert contents(frozen.parent) == before
