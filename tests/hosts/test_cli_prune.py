"""``bga prune`` deletes what it says, all of it, and nothing else; killed at any moment, too."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from archived import Reader
from msgspec.structs import replace

from background_agents.adapters.files.sessions import SessionFiles
from background_agents.adapters.sqlite.rebuild import open_database
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.domain.delegation import apply
from background_agents.domain.events import Read
from background_agents.domain.status import Status
from background_agents.ports.storage import Change
from background_agents.testing.contracts.samples import at, completed, launched, registered
from lab.harness.archive import EVERYWHERE, Plan, name_of, needle

STORED = 40

OLD = [name_of(number) for number in range(20)]
"""Those that ended 10 days ago or earlier; two of them are unread."""

UNREAD = [name_of(0), name_of(10)]

TABLES = {"delegations": "id", "events": "delegation", "notices": "delegation"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    reader = Reader(tmp_path_factory.mktemp("prune"))
    newest = datetime.now(UTC) + timedelta(hours=11)
    reader.fill(Plan(STORED, newest=newest, apart=timedelta(hours=12), result_words=20, roots=3))
    return reader


@pytest.fixture
def reader(filled: Reader, tmp_path: Path) -> Reader:
    copy = Reader(tmp_path / "copy")
    copy.root.mkdir()
    copy.data.mkdir(parents=True)
    shutil.copytree(filled.folder, copy.folder)
    return copy


def there(reader: Reader, table: str = "delegations") -> set[str]:
    with closing(sqlite3.connect(reader.database)) as connection:
        return {name for (name,) in connection.execute(f"SELECT {TABLES[table]} FROM {table}")}


def files(reader: Reader) -> set[str]:
    return {path.stem for path in reader.folder.glob("*/*.md")}


def is_whole(reader: Reader) -> bool:
    """Whether each delegation that has ended has all of its parts, and nothing else has any."""
    ended = there(reader) - {name_of(STORED - 1), name_of(STORED - 2)}
    return (
        files(reader) == ended
        and there(reader, "notices") == ended
        and there(reader, "events") == there(reader)
        and list(reader.folder.glob("*/.*")) == []
    )


def test_what_is_old_and_read_goes_as_a_whole(reader: Reader) -> None:
    done = reader.run("prune", "--older-than", "10d", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "Deleted 18 delegations. 2 more are old enough but unread; --unread deletes these, too.\n"
    )
    gone = set(OLD) - set(UNREAD)
    assert there(reader) == {name_of(number) for number in range(STORED)} - gone
    assert is_whole(reader)
    again = reader.run("prune", "--older-than", "10d", "--unread", "--yes")
    assert again.stderr == "Deleted 2 delegations.\n"
    assert not there(reader) & set(OLD)
    assert is_whole(reader)


def test_nothing_comes_back_when_a_service_opens(reader: Reader) -> None:
    """No file is left that the next opening would take in."""
    reader.run("prune", "--older-than", "10d", "--unread", "--yes")
    before = there(reader)
    with closing(open_database(reader.database, SessionFiles(reader.folder, "/src"))):
        assert there(reader) == before
    assert list(reader.folder.glob("*.damaged*")) == []


def test_what_the_npm_plugin_had_begun_does_not_come_back_either(reader: Reader) -> None:
    state = reader.folder / "ses_root1" / f"{name_of(1)}.state.json"
    state.write_text("{}")
    other = state.with_name(f"{name_of(25)}.state.json")
    other.write_text("{}")
    reader.run("prune", "--older-than", "10d", "--yes")
    assert not state.exists()
    assert other.exists()


def test_what_is_active_is_never_deleted(reader: Reader) -> None:
    with closing(sqlite3.connect(reader.database)) as connection, connection:
        connection.execute("UPDATE delegations SET registered_at = '2001-01-01' WHERE active = 1")
    reader.run("prune", "--older-than", "1h", "--unread", "--yes")
    assert {name_of(STORED - 1), name_of(STORED - 2)} <= there(reader)
    assert "--state is running" in reader.refused(
        "prune", "--older-than", "1d", "--state", "running"
    )
    assert "use" not in reader.refused("prune", "--older-than", "1d", "--state", "unread")


def test_states_narrow_it(reader: Reader) -> None:
    reader.run("prune", "--older-than", "10d", "--state", "failed", "--yes")
    assert {name_of(number) for number in range(STORED)} - there(reader) == {name_of(7)}


def test_a_dry_run_shows_and_deletes_nothing(reader: Reader) -> None:
    done = reader.run("prune", "--older-than", "10d", "--dry-run")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        one for one in OLD if one not in UNREAD
    ]
    assert done.stderr.startswith("18 delegations would be deleted.")
    found = json.loads(reader.run("prune", "--older-than", "10d", "--dry-run", "--json").stdout)
    assert (len(found["deleted"]), found["kept_unread"], found["dry_run"]) == (18, 2, True)
    assert len(there(reader)) == STORED
    assert is_whole(reader)


def test_somebody_is_asked_and_no_one_means_no(reader: Reader) -> None:
    assert "--yes says so" in reader.refused("prune", "--older-than", "10d", given="y\n")
    code, wrote = reader.at_terminal("prune", "--older-than", "10d", types="n\n")
    assert code == 2
    assert "Delete 18 delegations with their results, for good? [y/N]" in wrote
    assert "Nothing was deleted." in wrote
    assert len(there(reader)) == STORED
    code, wrote = reader.at_terminal("prune", "--older-than", "10d", types="y\n")
    assert (code, len(there(reader))) == (0, STORED - 18)


def test_what_ended_just_now_is_left_to_its_service(reader: Reader) -> None:
    assert "an hour or more" in reader.refused("prune", "--older-than", "30m", "--yes")
    done = reader.run("prune", "--older-than", "soon", "--yes")
    assert "'soon' is no duration" in done.stderr
    assert "--older-than" in reader.run("prune").stderr


def test_its_words_are_gone_from_the_index_and_from_the_files(reader: Reader) -> None:
    assert reader.lines("list", needle(5)) != []
    word = f"quagga{needle(1)}"
    first = replace(registered("odd-new-emu", prompt=word), at=at(0) - timedelta(days=3650))
    ended = replace(completed(), at=first.at, summary=word)
    reader.add(first, replace(launched(), at=first.at), ended, Read(at=ended.at), result=word)
    assert len(reader.lines("list", word)) == 1
    reader.run("prune", "--older-than", "10d", "--yes")
    assert reader.lines("list", needle(5)) == []
    assert reader.lines("list", EVERYWHERE) != []
    for path in reader.folder.rglob("*"):
        assert path.is_dir() or word.encode() not in path.read_bytes(), path


async def test_a_service_beside_it_goes_on(reader: Reader) -> None:
    """It has the database open, reads what is left, and writes; what is gone is gone for it."""
    store = await SqliteStore.open(reader.database)
    try:
        assert await store.get(name_of(1)) is not None
        reader.run("prune", "--older-than", "10d", "--yes")
        assert await store.get(name_of(1)) is None
        assert await store.history(name_of(1)) == []
        kept = await store.get(UNREAD[0])
        assert kept is not None
        event = Read(at=datetime.now(UTC))
        await store.commit(Change(after=apply(kept, event), events=(event,)))
        (await store.register(registered("odd-new-emu")))
        assert [one.status for one in await store.unfinished()] == [
            Status.RUNNING, Status.RUNNING, Status.REGISTERED,
        ]  # fmt: skip
    finally:
        await store.close()


def test_a_service_that_writes_for_long_makes_it_wait_and_then_say_so(reader: Reader) -> None:
    with closing(sqlite3.connect(reader.database, isolation_level=None)) as service:
        service.execute("BEGIN IMMEDIATE")
        assert "locked" in reader.refused("prune", "--older-than", "10d", "--yes")
        service.execute("ROLLBACK")
    assert len(there(reader)) == STORED
    assert is_whole(reader)


# --- killed in the middle --------------------------------------------------------------------

KILLED = """
import os, sys
from background_agents.adapters.sqlite import amending, schema
from background_agents.hosts.cli import main
from background_agents.hosts.cli.commands import prune

moment = sys.argv.pop(1)
die = lambda *_: os._exit(9)
if moment == "before the rows":
    amending.Pruning.delete = die
elif moment == "within the rows":
    real = amending.QUERIES
    amending.QUERIES = {**real, "prune_notices": "SELECT die(?)"}
    opened = schema.open_existing
    def deadly(path):
        connection = opened(path)
        connection.create_function("die", 1, die)
        return connection
    schema.open_existing = deadly
elif moment == "after the rows":
    settle = prune.settle
    prune.settle = lambda asides, is_there: die() if isinstance(asides, list) else settle(
        asides, is_there)
elif moment == "between two files":
    seen = []
    unlink = os.unlink
    from background_agents.adapters.files import set_aside
    delete = set_aside.Aside.delete
    def some(self):
        delete(self)
        seen.append(self)
        if len(seen) > 9:
            die()
    set_aside.Aside.delete = some
main()
"""


@pytest.mark.parametrize(
    "moment", ["before the rows", "within the rows", "after the rows", "between two files"]
)
def test_killed_at_any_moment_each_delegation_is_whole_or_gone(reader: Reader, moment: str) -> None:
    """No service takes half of one in again; and the next prune mends what was set aside."""
    words = ["prune", "--older-than", "10d", "--yes"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, moment, *words],
        cwd=reader.project, env=reader._env(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    rows = there(reader)
    assert len(rows) in (STORED, STORED - 18)
    with closing(open_database(reader.database, SessionFiles(reader.folder, "/src"))):
        assert there(reader) == rows
    reader.run("prune", "--older-than", "3650d", "--yes")
    assert there(reader) == rows
    assert is_whole(reader)
    reader.run(*words)
    assert len(there(reader)) == STORED - 18
    assert is_whole(reader)
