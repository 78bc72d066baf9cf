"""A lost or damaged database costs no more than what is really gone.

Real files, real SQLite: cut off everywhere, changed anywhere, deleted, and opened by
several processes at once. Whatever happens, opening succeeds, and every delegation that
has ended and whose markdown is whole is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.adapters.files import sessions
from background_agents.adapters.files.artifacts import render
from background_agents.adapters.files.sessions import SessionFiles
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.rebuild import open_database
from background_agents.adapters.sqlite.schema import is_damage, migrations
from background_agents.adapters.sqlite.store import Counts, SqliteStore
from background_agents.domain import events as ev
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, apply, replay
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.ids import is_readable_id
from background_agents.domain.status import Status
from background_agents.ports.storage import Change
from background_agents.testing.contracts.samples import (
    ROOT,
    at,
    completed,
    launched,
    notice,
    registered,
)

NEWEST = len(migrations())
ENDED = 24
ACTIVE = "calm-red-heron"
UNREAD = "brave-amber-otter-0"
OTHER = "ses_other"

USAGE = ev.Usage(input_tokens=1200, output_tokens=340, cost_usd=0.0125, tool_calls=7)
ENDINGS = (
    ev.Completed(at=at(60), summary="It is so.", usage=USAGE, title="A better title"),
    ev.Failed(at=at(60), summary="No.", usage=USAGE, error="Model not found."),
    ev.Stopped(
        at=at(60),
        summary="Half.",
        usage=USAGE,
        error="Stopped by the supervisor.",
        changes=Changes(3, 7, 1, 2, ("a → b", "c"), ("bash may still write",)),
    ),
    ev.TimedOut(
        at=at(60),
        summary="Late.",
        usage=USAGE,
        error="The time was up.",
        changes=Changes(apart="not applied", strayed="Hop."),
    ),
    ev.Interrupted(at=at(60), summary="Dead.", usage=USAGE, error="Its process died."),
)


@dataclass
class Project:
    """A project's folder, and what was in its database when all was well."""

    folder: Path
    ended: dict[str, Delegation]

    @property
    def database(self) -> Path:
        return self.folder / "delegations.db"

    @property
    def files(self) -> SessionFiles:
        return SessionFiles(self.folder, "/src/project")

    def artifact(self, name: str) -> Path:
        return self.folder / self.ended[name].root_session / f"{name}.md"

    def open(self) -> sqlite3.Connection:
        return open_database(self.database, self.files)

    def damaged(self) -> list[Path]:
        aside = self.folder.glob("delegations.db.damaged-*Z")
        return sorted(aside)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with delegations that have ended in every way, and one that runs."""
    project = Project(tmp_path_factory.mktemp("rebuild") / "0123abcd", {})
    with closing(project.open()) as connection:
        for number in range(ENDED):
            name = f"brave-amber-otter-{number}"
            ending = replace(ENDINGS[number % 5], at=at(100 + number))
            first = registered(name, root=OTHER if number % 7 == 6 else ROOT, prompt="Why? " * 300)
            if ending.changes.apart:
                first = replace(first, tree=name)
            begun = replace(launched(f"ses_{number}"), at=at(number + 0.5))
            steps: tuple[ev.Event, ...] = (begun, replace(ending, result_chars=9))
            if number % 3 == 1:
                steps += (ev.Annotated(at=at(200), labels=("v2", "a"), note="So\nso.", by="user"),)
            delegation = _store(connection, replace(first, at=at(number)), *steps)
            project.ended[name] = delegation
            path = project.artifact(name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(render(delegation, "# Result\n"))
        due = notice("prt_1", delegation=UNREAD)
        rows.commit(connection, Change(after=project.ended[UNREAD], events=(), notices=(due,)))
        _store(connection, replace(registered(ACTIVE), at=at(90)), launched("ses_running"))
    return project


def _store(connection: sqlite3.Connection, first: ev.Registered, *later: ev.Event) -> Delegation:
    rows.register(connection, first)
    after = replay(first, later)
    rows.commit(connection, Change(after=after, events=later))
    return after


@pytest.fixture
def project(sound: Project, tmp_path: Path) -> Project:
    """A copy that a test may damage."""
    folder = tmp_path / sound.folder.name
    shutil.copytree(sound.folder, folder)
    return Project(folder, sound.ended)


def everything_ended_is_there(
    connection: sqlite3.Connection, project: Project, *, with_history: bool = True
) -> None:
    """Check by the ways in which the service reads: by id, by list, and how many."""
    for name, before in project.ended.items():
        after = rows.find(connection, name, before.root_session)
        assert after is not None, name
        assert outline(after) == outline(before)
        if with_history:
            assert replay(*_history(connection, name)) == after
    for root in (ROOT, OTHER):
        lines = rows.page(connection, root, 99)
        assert len(lines) == Counts().count(connection, root)
        listed = [one.id for one in lines if one.id in project.ended]
        expected = [one.id for one in project.ended.values() if one.root_session == root]
        assert listed == expected[::-1]


def _history(connection: sqlite3.Connection, name: str) -> tuple[ev.Registered, list[ev.Event]]:
    first, *later = rows.history(connection, name)
    assert isinstance(first, ev.Registered)
    return first, later


def outline(one: Delegation) -> tuple[object, ...]:
    """Return what an artifact tells of a delegation."""
    who = (one.id, one.root_session, one.parent_session, one.session, one.agent, one.model)
    what = (one.status, one.title, one.summary, one.error, one.prompt)
    numbers = (one.usage.tokens, one.usage.cost_usd, one.usage.tool_calls, one.result_chars)
    return (*who, *what, *numbers, one.changes, one.tree, one.launched_at, one.ended_at,
            one.continued_from, one.labels, one.note)  # fmt: skip


@asynccontextmanager
async def opened(project: Project) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(project.database, project.files)
    try:
        yield store
    finally:
        await store.close()


def lose(project: Project) -> None:
    for file in project.folder.glob("delegations.db*"):
        file.unlink()


# --- lost ----------------------------------------------------------------------------


async def test_a_lost_database_is_rebuilt_from_the_markdown_with_a_warning(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """All that an artifact tells is there again, and the log says what is not."""
    lose(project)
    async with opened(project) as store:
        for name, before in project.ended.items():
            after = await store.find(name, before.root_session)
            assert after is not None
            assert outline(after) == outline(before)
            assert after.project == project.folder.name
            assert after.read_at == after.ended_at  # a loss is no flood of old news
        assert await store.unfinished() == []
    (warning,) = caplog.messages
    assert f"rebuilt from its markdown: {ENDED} delegations" in warning
    assert "had not ended are gone" in warning


def test_a_database_that_knows_all_its_files_reads_none_of_them(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The normal opening looks at names alone, warns of nothing and changes nothing."""
    opened_files: list[Path] = []

    def read(path: Path, _: int) -> bytes:
        opened_files.append(path)
        return b""

    monkeypatch.setattr(sessions, "read_file", read)
    for _ in range(2):
        with closing(project.open()) as connection:
            assert sum(Counts().count(connection, root) for root in (ROOT, OTHER)) == 25
    assert opened_files == []
    assert caplog.messages == []
    assert project.damaged() == []


def test_an_old_copy_of_the_database_learns_what_it_has_missed(project: Project) -> None:
    """A restored backup lacks what came after it: that is told by the markdown, in its place."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("DELETE FROM delegations WHERE number IN (2, 11, 24)")
        connection.execute(
            "DELETE FROM events WHERE delegation NOT IN (SELECT id FROM delegations)"
        )
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
    assert project.damaged() == []


async def test_processes_that_find_nothing_at_the_same_moment_rebuild_one_database(
    project: Project,
) -> None:
    """Each delegation once, whoever was first."""
    lose(project)
    stores = await asyncio.gather(
        *(SqliteStore.open(project.database, project.files) for _ in range(6))
    )
    totals = [
        (await store.page(ROOT, 99))[1] + (await store.page(OTHER, 99))[1] for store in stores
    ]
    assert totals == [ENDED] * 6
    await asyncio.gather(*(store.close() for store in stores))


def test_a_log_without_its_database_is_kept(project: Project) -> None:
    """SQLite would delete it; what is only in there may be dear to somebody."""
    lose(project)
    log = Path(f"{project.database}-wal")
    log.write_bytes(b"what was written last")
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
    (kept,) = project.folder.glob("delegations.db.damaged-*Z-wal")
    assert kept.read_bytes() == b"what was written last"


# --- damaged -------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_moved_aside_and_another_one_built(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """Never deleted; the warning says where it is and what was lost."""
    rubbish = b"Not a database, but long enough to be looked at. " * 50
    project.database.write_bytes(rubbish)
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
    (aside,) = project.damaged()
    assert aside.read_bytes() == rubbish
    (warning,) = caplog.messages
    assert f"{ENDED} from their files" in warning
    assert str(aside) in warning
    assert project.database.stat().st_mode & 0o777 == 0o600


def test_what_can_be_read_of_a_damaged_database_is_kept(project: Project) -> None:
    """Who runs, what is unread and what is due is told by no file: the rows are."""
    _break(project, "delegations_by_root")
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
        assert [one.id for one in rows.unfinished(connection)] == [ACTIVE]
        assert rows.due(connection, None) == [notice("prt_1", delegation=UNREAD)]
        unread = rows.get(connection, UNREAD)
    assert unread == project.ended[UNREAD]
    assert len(project.damaged()) == 1


def _break(project: Project, name: str) -> None:
    """Make the first page of a table or an index unreadable."""
    with closing(sqlite3.connect(project.database)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((page,),) = connection.execute(query, (name,)).fetchall()
    with project.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def test_a_notice_that_was_due_outlives_its_record(project: Project) -> None:
    """The delegation is told by its file, and the supervisor still hears of its end."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("UPDATE delegations SET record = x'7b' WHERE id = ?", (UNREAD,))
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
        assert rows.due(connection, None) == [notice("prt_1", delegation=UNREAD)]


def test_a_schema_of_which_a_letter_has_changed_is_damage(project: Project) -> None:
    """SQLite finds nothing wrong with a column of another name; our statements would."""
    data = project.database.read_bytes()
    assert b"    title TEXT NOT NULL," in data
    _put(project, data.replace(b"    title TEXT NOT NULL,", b"    titld TEXT NOT NULL,"))
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project, with_history=False)
        assert len(rows.unfinished(connection)) == 1
    assert len(project.damaged()) == 1


def test_cut_off_anywhere_it_opens_with_all_that_has_markdown(project: Project) -> None:
    """A full disk, a copy that was not finished: at the end of each page, and just behind it."""
    data = project.database.read_bytes()
    cuts = {size + by for size in range(0, len(data), 4096) for by in (0, 1)}
    read: dict[int, int] = {}
    for size in sorted(cuts):
        _put(project, data[:size])
        with closing(project.open()) as connection:
            everything_ended_is_there(connection, project, with_history=False)
            query = "SELECT count(*) FROM delegations WHERE read_at IS NULL"
            (read[size],) = connection.execute(query).fetchone()
    # What stands before the cut comes from the rows: a file would make it count as read. The
    # last page holds two of them at most.
    assert read[max(cuts)] >= ENDED + 1 - 2
    assert ENDED > read[len(data) // 8192 * 4096] > ENDED / 4


@pytest.mark.parametrize("seed", range(8))
def test_changed_anywhere_it_opens_with_all_that_has_markdown(project: Project, seed: int) -> None:
    """Bytes that a disk, a tool or a cosmic ray has changed, one or many, in any page."""
    sound = project.database.read_bytes()
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        data = bytearray(sound)
        for _ in range(chance.choice((1, 1, 1, 5, 40))):
            place = chance.choice((chance.randrange(len(data)), chance.randrange(4096)))
            if place not in VERSION:
                data[place] ^= chance.randrange(1, 256)
        _put(project, bytes(data))
        with closing(project.open()) as connection:
            everything_that_has_markdown_is_there(connection, project)


@pytest.mark.parametrize("name", [b"files", b"names", b"above"])
@pytest.mark.parametrize("value", [0x00, 0x80, 0xFF])
def test_a_changed_name_in_a_record_breaks_no_list(
    project: Project, name: bytes, value: int
) -> None:
    """What is not known is not read; it need not be text, nor JSON."""
    before, after = b'"%s":' % name, b'"%s%c":' % (name[:-1], value)
    data = project.database.read_bytes()
    assert before in data
    _put(project, data.replace(before, after))
    with closing(project.open()) as connection:
        everything_that_has_markdown_is_there(connection, project)


ROUNDS = 15
"""Enough, with eight seeds, to meet all kinds of damage; thousands were run once."""

VERSION = range(60, 64)
"""Where the schema's version stands: a higher one is a newer package's, and never touched."""


def everything_that_has_markdown_is_there(connection: sqlite3.Connection, project: Project) -> None:
    """As ``everything_ended_is_there``, but a letter of a sound text may have changed."""
    for name, before in project.ended.items():
        after = rows.find(connection, name, before.root_session)
        assert after is not None, name
        assert after.is_terminal
    for root in (ROOT, OTHER):
        listed = {one.id for one in rows.page(connection, root, 99)}
        assert listed >= {one.id for one in project.ended.values() if one.root_session == root}


def test_any_byte_of_the_header_may_be_changed(project: Project) -> None:
    """Each of the first hundred bytes decides over the whole file; some only over writing."""
    data = project.database.read_bytes()
    for place in (one for one in range(100) if one not in VERSION):
        for value in (3, 0xFF):
            _put(project, data[:place] + bytes([value]) + data[place + 1 :])
            with closing(project.open()) as connection:
                everything_that_has_markdown_is_there(connection, project)
                _store(connection, registered("one-more-crow"))


def test_a_changed_version_is_refused_or_repaired_and_harms_nothing(project: Project) -> None:
    """It may be a newer package's in good faith: then the file stays, and a sentence says so."""
    data = project.database.read_bytes()
    for place in VERSION:
        for value in (0, 1, 0x7F, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            _put(project, changed)
            if NEWEST < int.from_bytes(changed[60:64]) <= 9999:
                with pytest.raises(StoreUnavailable, match="upgrade background-agents"):
                    project.open()
                assert project.database.read_bytes() == changed
            else:
                with closing(project.open()) as connection:
                    everything_ended_is_there(connection, project)


def test_a_log_that_is_torn_costs_what_was_in_it_alone(project: Project) -> None:
    """The write-ahead log after a power cut, with bytes changed and cut off."""
    with closing(project.open()) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        _store(connection, registered("one-more-crow"))
        database = project.database.read_bytes()
        log = Path(f"{project.database}-wal").read_bytes()
    chance = random.Random(1)
    for size in range(0, len(log), 511):
        torn = bytearray(log[:size])
        for _ in range(size // 4096):
            torn[chance.randrange(size)] ^= 0xFF
        _put(project, database)
        Path(f"{project.database}-wal").write_bytes(bytes(torn))
        with closing(project.open()) as connection:
            everything_ended_is_there(connection, project)
            assert ACTIVE in [one.id for one in rows.unfinished(connection)]


def _put(project: Project, data: bytes) -> None:
    lose(project)
    project.database.write_bytes(data)


OPENS = """
import sys
from contextlib import closing
from pathlib import Path
from background_agents.adapters.files.sessions import SessionFiles
from background_agents.adapters.sqlite.rebuild import open_database

folder = Path(sys.argv[1])
sys.stdin.read()
with closing(open_database(folder / "delegations.db", SessionFiles(folder, "/src"))) as connection:
    print(connection.execute("SELECT count(*) FROM delegations").fetchone()[0])
"""


async def test_processes_that_find_damage_at_the_same_moment_rebuild_it_once(
    project: Project,
) -> None:
    """One moves the file aside, the others wait for it and find a sound one."""
    _break(project, "delegations_by_root")
    command = [sys.executable, "-c", OPENS, str(project.folder)]
    pipe = subprocess.PIPE
    openers = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.close()
    said = await asyncio.gather(*(opener.communicate() for opener in openers))
    assert [int(out) for out, _ in said] == [ENDED + 1] * 4
    assert len(project.damaged()) == 1


async def test_who_had_it_open_goes_on_in_the_rebuilt_one(project: Project) -> None:
    """Nothing is written to the file that was moved aside."""
    async with opened(project) as first:
        running = await first.get(ACTIVE)
        assert running is not None
        _break(project, "notices")
        async with opened(project) as second:
            event = ev.Completed(at=at(200), summary="Done.")
            await first.commit(Change(after=apply(running, event), events=(event,)))
            ended = await second.get(ACTIVE)
    assert len(project.damaged()) == 1
    assert ended is not None
    assert ended.status is Status.COMPLETED


async def test_damage_that_is_met_while_working_is_repaired_for_the_next_call(
    project: Project,
) -> None:
    """The call that met it says so; the one after it works."""
    async with opened(project) as store:
        with closing(sqlite3.connect(project.database)) as other, other:
            other.execute("UPDATE delegations SET record = x'7b' WHERE id = ?", (UNREAD,))
        with pytest.raises(StoreUnavailable):
            await store.get(UNREAD)
        found = await store.get(UNREAD)
        assert found is not None
        assert outline(found) == outline(project.ended[UNREAD])


def test_a_rebuild_that_was_cut_off_is_done_again(project: Project) -> None:
    """What it left behind is in nobody's way, and the damaged file is still in its place."""
    _break(project, "delegations_by_root")
    (project.folder / "delegations.db.rebuilding").write_bytes(b"half a database")
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
    assert list(project.folder.glob("*.rebuilding*")) == []


# --- not damaged ---------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open anything")
async def test_a_file_that_may_not_be_opened_is_not_damaged(project: Project) -> None:
    """Rights come back; the file stays where it is."""
    project.database.chmod(0o000)
    project.folder.chmod(0o500)
    try:
        with pytest.raises(StoreUnavailable):
            await SqliteStore.open(project.database, project.files)
    finally:
        project.folder.chmod(0o700)
    assert project.damaged() == []


async def test_without_room_to_rebuild_the_damaged_file_stays_until_there_is(
    project: Project, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    """A full disk is said in a sentence; nothing is moved, and the next opening rebuilds."""
    _break(project, "delegations_by_root")
    before = project.database.read_bytes()
    with full_disk(20_000), pytest.raises(StoreUnavailable, match="check the disk"):
        await SqliteStore.open(project.database, project.files)
    assert project.damaged() == []
    assert project.database.read_bytes() == before
    async with opened(project) as store:
        assert (await store.page(ROOT, 1))[1] + (await store.page(OTHER, 1))[1] == ENDED + 1


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_VTAB, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_READONLY_DIRECTORY, False),
        (sqlite3.SQLITE_PERM, False),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.SQLITE_NOMEM, False),
    ],
)
def test_rights_disks_and_locks_are_no_damage(code: int, damage: bool) -> None:
    """Only what is in the file makes it one that is moved aside."""
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    assert is_damage(error) is damage


async def test_a_folder_in_its_place_is_not_damage(project: Project) -> None:
    """It is said in a sentence, and nothing is moved."""
    lose(project)
    project.database.mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        await SqliteStore.open(project.database, project.files)
    assert project.database.is_dir()


# --- what is no whole artifact -------------------------------------------------------


def test_a_torn_artifact_is_named_left_out_and_left_alone(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut off anywhere in its front matter; the others are there all the same."""
    lose(project)
    path = project.artifact(UNREAD)
    whole = path.read_bytes()
    torn = replace_keys(project, UNREAD)
    end = whole.index(b"---\n", 4)
    for size in (*range(0, end, 61), *range(end, end + 4)):
        caplog.clear()
        path.write_bytes(whole[:size])
        lose(project)
        with closing(project.open()) as connection:
            everything_ended_is_there(connection, torn)
            assert rows.get(connection, UNREAD) is None
        assert any(str(path) in message for message in caplog.messages)
        assert path.read_bytes() == whole[:size]


def replace_keys(project: Project, without: str) -> Project:
    ended = {name: one for name, one in project.ended.items() if name != without}
    return Project(project.folder, ended)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.md", "# My own notes\n"),
        ("brave-amber-otter-1 copy.md", "---\n"),
        ("brave-amber-otter-1.md.bak", "---\n"),
        (".brave-amber-otter-1.x.tmp", "---\n"),
    ],
)
def test_what_people_keep_beside_the_artifacts_is_no_concern(
    project: Project, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    """Only a file that is called as a delegation is looked at."""
    (project.folder / ROOT / name).write_text(text)
    with caplog.at_level(logging.DEBUG), closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
    assert caplog.messages == []


def test_an_artifact_under_another_name_is_left_out(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells of a delegation that has its own file."""
    lose(project)
    stray = project.folder / ROOT / "wrong-name-heron.md"
    shutil.copyfile(project.artifact(UNREAD), stray)
    with closing(project.open()) as connection:
        everything_ended_is_there(connection, project)
        assert rows.get(connection, "wrong-name-heron") is None
    assert any(str(stray) in message for message in caplog.messages)


def test_a_link_is_not_followed(project: Project, tmp_path: Path) -> None:
    """Nothing from outside the folder is taken in."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copyfile(project.artifact(UNREAD), outside / f"{UNREAD}.md")
    project.artifact(UNREAD).unlink()
    project.artifact(UNREAD).symlink_to(outside / f"{UNREAD}.md")
    (project.folder / "ses_link").symlink_to(outside)
    lose(project)
    with closing(project.open()) as connection:
        assert rows.get(connection, UNREAD) is None


TEXT = st.text() | st.sampled_from(["---", "\n---\n", "\ud83e", "\x00", "# x", '"'])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(title=TEXT, summary=TEXT, prompt=TEXT, error=TEXT, result=TEXT, which=st.integers(0, 4))
def test_whatever_an_agent_wrote_is_taken_in(
    tmp_path_factory: pytest.TempPathFactory,
    title: str,
    summary: str,
    prompt: str,
    error: str,
    result: str,
    which: int,
) -> None:
    """No text that an artifact can hold keeps it out of the database."""
    folder = tmp_path_factory.mktemp("any") / "project"
    (folder / ROOT).mkdir(parents=True)
    ending = replace(ENDINGS[which], summary=summary)
    first = replace(registered(prompt=prompt), title=title)
    before = replace(replay(first, (launched(), ending)), error=error if which else None)
    path = folder / ROOT / f"{before.id}.md"
    path.write_bytes(render(before, result).encode(errors="replace"))
    with closing(open_database(folder / "delegations.db", SessionFiles(folder, "/src"))) as found:
        after = rows.find(found, before.id, ROOT)
    assert after is not None
    assert after.status is before.status


def test_the_samples_are_what_they_should_be(sound: Project) -> None:
    """Every ending, two root sessions, ids as we make them: else this file proves less."""
    assert {one.status for one in sound.ended.values()} >= {
        Status.COMPLETED, Status.FAILED, Status.STOPPED, Status.TIMED_OUT, Status.INTERRUPTED,
    }  # fmt: skip
    assert all(is_readable_id(name) for name in sound.ended)
    assert completed().usage.tokens == USAGE.tokens
    assert len(sound.database.read_bytes()) > 20 * 4096
