"""The full-text index tells what the database tells, whatever became of either file."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.sqlite import rows, search
from background_agents.adapters.sqlite.amending import Pruning
from background_agents.adapters.sqlite.rebuild import open_database
from background_agents.adapters.sqlite.records import IndexDamaged, Records
from background_agents.adapters.sqlite.schema import connect, open_existing
from background_agents.adapters.sqlite.search import SearchIndex
from background_agents.config import DATABASE
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import InvalidRequest, StoreUnavailable
from background_agents.domain.query import parse
from background_agents.ports.storage import Change
from background_agents.testing.contracts.samples import at, completed, launched, registered
from lab.harness.archive import EVERYWHERE, SOMETIMES, Plan, fill, name_of, needle

STORED = 60


def result_of(delegation: Delegation) -> str:
    """Stands for the artifact."""
    return f"The result of {delegation.id} is xylophone."


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "project"
    fill(folder, Plan(STORED, artifacts=False))
    return folder


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(filled, folder)
    return folder / "delegations.db"


def index_of(database: Path, result: Callable[[Delegation], str] = result_of) -> SearchIndex:
    return SearchIndex(database, result)


def found(database: Path, *typed: str, by_rank: bool = False) -> list[str]:
    """Search as a command does, and return the ids."""
    index = index_of(database)
    index.catch_up(lambda *_: None)
    return attached(database, *typed, by_rank=by_rank)


def attached(database: Path, *typed: str, by_rank: bool = False) -> list[str]:
    """Search in what is indexed already."""
    records = Records.open(database)
    assert records is not None
    with records:
        records.attach_index(index_of(database).path)
        page = records.find(parse(typed), by_rank=by_rank)
        assert page.total == len(page.numbers)
        return [one.id for one in records.delegations(page.numbers)]


def waiting(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM unindexed").fetchone()
    return int(count)


def change(database: Path, name: str, *later: ev.Event) -> None:
    with closing(connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        now = rows.get(connection, name)
        assert now is not None
        for event in later:
            now = apply(now, event)
            rows.commit(connection, Change(after=now, events=(event,)))
        connection.execute("COMMIT")


def test_each_part_of_a_delegation_is_found(database: Path) -> None:
    """Title, summary and prompt by the record, the result by its file."""
    assert len(found(database, EVERYWHERE)) == STORED
    assert len(found(database, "xylophone")) == STORED - 2  # two are active
    assert found(database, f'"result of {name_of(7)}"') == [name_of(7)]
    assert waiting(database) == 0


def test_newest_first_or_the_best_first(database: Path) -> None:
    newest = [name_of(number) for number in range(STORED)][::-1]
    assert found(database, EVERYWHERE) == newest
    change(database, name_of(3), ev.Described(at=at(9), title="Xylophone", summary="Xylophone."))
    assert found(database, "xylophone", by_rank=True)[0] == name_of(3)
    assert found(database, "xylophone")[0] == newest[2]


def test_facts_narrow_the_words(database: Path) -> None:
    failed = found(database, EVERYWHERE, "state:failed")
    assert failed == [name_of(number) for number in (47, 27, 7)]
    assert found(database, EVERYWHERE, "state:failed", "id:" + name_of(7)) == [name_of(7)]
    assert found(database, EVERYWHERE, "model:UMBRELLA", "state:failed") == [name_of(27)]
    assert found(database, SOMETIMES) == []


def test_only_what_has_changed_is_indexed_again(database: Path) -> None:
    found(database, EVERYWHERE)
    told: list[tuple[int, int]] = []
    change(database, name_of(5), ev.Described(at=at(9), title="Zanzibar", summary="So."))
    index_of(database).catch_up(lambda *heard: told.append(heard))
    assert told == [(0, 1)]
    assert attached(database, "zanzibar") == [name_of(5)]
    told.clear()
    change(database, name_of(0), ev.Read(at=at(9)))  # nothing that is searched for
    index_of(database).catch_up(lambda *heard: told.append(heard))
    assert told == []


def test_a_new_one_is_found_by_its_prompt_and_later_by_its_result(database: Path) -> None:
    found(database, EVERYWHERE)
    with closing(connect(database)) as connection:
        rows.register(connection, replace(registered("zesty-new-emu"), prompt="Quagga?"))
    assert found(database, "quagga") == ["zesty-new-emu"]
    assert found(database, "xylophone", "quagga") == []
    change(database, "zesty-new-emu", launched(), completed())
    assert found(database, "xylophone", "quagga") == ["zesty-new-emu"]


def test_one_that_is_deleted_is_found_no_more(database: Path) -> None:
    found(database, EVERYWHERE)
    _delete(database, name_of(1))
    assert name_of(1) not in found(database, EVERYWHERE)
    assert len(found(database, EVERYWHERE)) == STORED - 1


def _delete(database: Path, name: str) -> None:
    pruning = Pruning.open(database)
    assert pruning is not None
    with pruning:
        pruning.delete([name])


def test_what_is_forgotten_stands_nowhere_in_the_files(database: Path) -> None:
    """Its words are overwritten, in the index as in the database."""
    change(database, name_of(1), ev.Described(at=at(9), title="Abracadabra", summary="Hocuspocus."))
    assert found(database, "abracadabra") == [name_of(1)]
    _delete(database, name_of(1))
    index_of(database).forget()
    for file in database.parent.iterdir():
        content = file.read_bytes().lower()
        assert b"abracadabra" not in content, file
        assert b"hocuspocus" not in content, file


def test_a_renumbered_one_is_found_where_it_now_is(database: Path) -> None:
    """As files are taken in, numbers change, and by these the index knows them."""
    before = found(database, EVERYWHERE)
    with closing(connect(database)) as connection:
        connection.execute("UPDATE delegations SET number = -number")
        connection.execute(f"UPDATE delegations SET number = {STORED + 1} + number")
    assert found(database, EVERYWHERE) == before[::-1]
    assert found(database, f'"result of {name_of(7)}"') == [name_of(7)]


# --- trouble -------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["gone", "rubbish", "empty", "torn", "older"])
def test_a_lost_or_damaged_index_is_made_anew(database: Path, damage: str) -> None:
    before = found(database, "xylophone")
    path = index_of(database).path
    match damage:
        case "gone":
            path.unlink()
        case "rubbish":
            path.write_bytes(b"No database at all, but long enough. " * 500)
        case "empty":
            path.write_bytes(b"")
        case "torn":
            os.truncate(path, path.stat().st_size // 4096 // 2 * 4096)
        case "older":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version = 0")
    assert found(database, "xylophone") == before
    assert path.stat().st_mode & 0o777 == 0o600


def test_damage_that_only_a_search_meets_is_told_apart_from_the_databases(database: Path) -> None:
    """So that whoever searches can have the index made anew, and ask again."""
    before = found(database, EVERYWHERE)
    index = index_of(database)
    data = bytearray(index.path.read_bytes())
    data[8192:] = b"\xff" * len(data[8192:])
    index.path.write_bytes(bytes(data))
    with pytest.raises(IndexDamaged):
        attached(database, EVERYWHERE)
    index.discard()
    assert found(database, EVERYWHERE) == before


def test_an_index_of_another_database_is_made_anew(database: Path, tmp_path: Path) -> None:
    """A database that was restored from a backup, over the one that the index knows."""
    backup = tmp_path / "backup.db"
    shutil.copyfile(database, backup)
    found(database, EVERYWHERE)
    change(database, name_of(1), ev.Described(at=at(9), title="Zanzibar", summary="So."))
    assert found(database, "zanzibar") == [name_of(1)]
    shutil.copyfile(backup, database)
    assert found(database, "zanzibar") == []
    assert len(found(database, EVERYWHERE)) == STORED


def test_an_older_copy_of_the_index_is_made_anew(database: Path, tmp_path: Path) -> None:
    found(database, EVERYWHERE)
    backup = tmp_path / "backup.db"
    shutil.copyfile(index_of(database).path, backup)
    change(database, name_of(1), ev.Described(at=at(9), title="Zanzibar", summary="So."))
    assert found(database, "zanzibar") == [name_of(1)]
    index_of(database).discard()
    shutil.copyfile(backup, index_of(database).path)
    assert found(database, "zanzibar") == [name_of(1)]


def test_a_rebuilt_database_has_its_index_rebuilt(database: Path) -> None:
    before = found(database, EVERYWHERE)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE delegations SET record = x'7b' WHERE id = ?", (before[9],))
    with closing(open_database(database)):
        assert len(list(database.parent.glob("*.damaged-*Z"))) == 1
    assert found(database, EVERYWHERE) == [one for one in before if one != before[9]]


@pytest.mark.parametrize("moment", ["before the index", "between the commits"])
def test_a_crash_loses_and_doubles_nothing(
    database: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of its first batch, or when only one of two files was told."""
    process = multiprocessing.get_context("fork").Process(target=_die, args=(database, moment))
    process.start()
    process.join(30)
    assert process.exitcode == 9
    assert waiting(database) == STORED
    assert len(found(database, EVERYWHERE)) == STORED
    assert waiting(database) == 0


def _die(database: Path, moment: str) -> None:
    if moment == "before the index":
        index_of(database, lambda _: os._exit(9)).catch_up(lambda *_: None)
    search.QUERIES = {**search.QUERIES, "indexed": "DELETE FROM unindexed WHERE die(?, ?)"}  # type: ignore[misc]
    real = open_existing

    def deadly(path: Path) -> sqlite3.Connection | None:
        main = real(path)
        if main is not None:
            main.create_function("die", 2, lambda *_: os._exit(9))
        return main

    search.open_existing = deadly  # type: ignore[attr-defined]
    index_of(database).catch_up(lambda *_: None)


def test_what_changes_while_it_is_indexed_is_indexed_again(database: Path) -> None:
    """The queue's token is another one by then, so that the later change stays queued."""
    name = name_of(4)

    def change_meanwhile(delegation: Delegation) -> str:
        if delegation.id == name and delegation.title != "Zanzibar":
            change(database, name, ev.Described(at=at(9), title="Zanzibar", summary="So."))
        return "xylophone"

    told: list[tuple[int, int]] = []
    index_of(database, change_meanwhile).catch_up(lambda *heard: told.append(heard))
    assert [left for _, left in told][-1] == STORED + 1
    assert attached(database, "zanzibar") == [name]


def test_searches_at_the_same_moment_index_all_once(database: Path) -> None:
    """Each waits for the other's batch; what each then finds is complete."""
    context = multiprocessing.get_context("fork")
    begin = context.Barrier(4)
    answers = context.Queue()

    def search_together() -> None:
        begin.wait(30)
        answers.put(len(found(database, EVERYWHERE)))

    processes = [context.Process(target=search_together) for _ in range(4)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [STORED] * 4
    for process in processes:
        process.join(30)
    assert waiting(database) == 0
    with closing(sqlite3.connect(index_of(database).path)) as cache:
        assert cache.execute("SELECT count(*) FROM texts").fetchone() == (STORED,)
        cache.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")


def test_many_begin_an_index_at_the_same_moment(tmp_path: Path) -> None:
    """A file gets its mode from one after the other; without that one of 20 rounds failed."""
    context = multiprocessing.get_context("fork")
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        begin = context.Barrier(6)

        def connect(folder: Path = folder, begin: Barrier = begin) -> None:
            begin.wait(30)
            index_of(folder / DATABASE)._connect().close()

        processes = [context.Process(target=connect) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        assert [one.exitcode for one in processes] == [0] * 6


def test_an_index_that_was_deleted_under_a_search_voids_what_that_says(database: Path) -> None:
    """Another process has begun a new one: nothing leaves the queue for the lost one."""
    lost: list[str] = []

    def delete_meanwhile(delegation: Delegation) -> str:
        if not lost:
            lost.append(delegation.id)
            index_of(database).discard()
            found(database, EVERYWHERE)
            change(database, name_of(9), ev.Described(at=at(9), title="Zanzibar", summary=""))
        return "xylophone"

    index_of(database, delete_meanwhile).catch_up(lambda *_: None)
    assert lost
    assert found(database, "zanzibar") == [name_of(9)]
    assert len(found(database, EVERYWHERE)) == STORED


def test_without_fts5_a_sentence_says_so(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tuple(one.replace("fts5", "no_such_thing") for one in search._SCHEMA)
    monkeypatch.setattr(search, "_SCHEMA", other)
    with pytest.raises(InvalidRequest, match=r"without full-text search \(FTS5\)"):
        found(database, EVERYWHERE)


def test_a_link_in_its_place_is_refused(database: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    index_of(database).path.symlink_to(elsewhere)
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        found(database, EVERYWHERE)
    assert not elsewhere.exists()


def test_very_long_texts_are_indexed_by_their_beginning(database: Path) -> None:
    long = "word " * (search.INDEXED_CHARS // 5) + "behind"
    index_of(database, lambda _: long).catch_up(lambda *_: None)
    assert attached(database, "behind") == []
    assert len(attached(database, "word")) == STORED - 2


def test_the_samples_are_what_they_should_be() -> None:
    assert needle(3) != needle(33)
