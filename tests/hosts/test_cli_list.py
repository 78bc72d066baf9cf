"""``bga list`` as a process: what it shows, to whom, and how it refuses."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from archived import COMMAND, Reader, ids
from msgspec.structs import replace

from background_agents.adapters.sqlite.records import Records
from background_agents.domain import events as ev
from background_agents.domain.query import parse
from background_agents.hosts.cli.text.list import COLUMNS
from background_agents.testing.contracts.samples import at, completed, launched, registered
from lab.harness.archive import EVERYWHERE, SOMETIMES, Plan, name_of, needle

STORED = 60

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Read by many tests and changed by none."""
    reader = Reader(tmp_path_factory.mktemp("list"))
    reader.fill(Plan(STORED, newest=datetime.now(UTC), result_words=30))
    reader.run("list", "word")  # indexes them
    return reader


@pytest.fixture
def reader(archived: Reader, tmp_path: Path) -> Reader:
    """One whose past a test may change."""
    shutil.copytree(archived.root, tmp_path / "copy", symlinks=True)
    copy = Reader(tmp_path / "copy")
    (archived.folder).exists()
    (copy.data / archived.folder.name).rename(copy.folder)
    return copy


def test_the_newest_come_first_and_a_hint_says_how_to_see_the_rest(archived: Reader) -> None:
    done = archived.run("list", "-n", "3")
    assert ids(done.stdout.splitlines()) == [name_of(number) for number in (59, 58, 57)]
    assert done.stderr == "57 more of 60; -n 0 shows all, a query or --since fewer.\n"
    assert len(archived.out("list", "-n", "0").splitlines()) == STORED
    assert len(archived.lines("list")) == 20


def test_a_line_tells_what_one_wants_to_know(archived: Reader) -> None:
    line = archived.lines("list", f"id:{name_of(50)}")[0].split()
    assert line[:4] == [name_of(50), "completed", "*", "1h"]  # 50 is unread
    assert line[4] == "general"
    assert line[5:7] == ["Find", "out"]
    assert "*" not in archived.lines("list", f"id:{name_of(51)}")[0]


def listed(archived: Reader, *words: str) -> list[str]:
    return ids(archived.lines("list", "-n", "0", *words))


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["state:active"], [59, 58]),
        (["--state", "failed"], [47, 27, 7]),
        (["state:failed", "--state", "running"], [59, 58, 47, 27, 7]),
        (["--unread"], [50, 40, 30, 20, 10, 0]),
        (["state:unread", "state:running"], [59, 58, 50, 40, 30, 20, 10, 0]),
        (["--unread", "--state", "failed"], []),
        (["--agent", "explore", "state:failed"], [47, 27, 7]),
        (["@researcher", "model:umbrella"], [56, 40, 24, 8]),
        (["--since", "1h"], [59, 58, 57, 56, 55, 54, 53, 52]),
        (["state:failed", "--since", "3h"], [47]),
        ([needle(33)], [33]),
        ([SOMETIMES[:6]], [53, 43, 33, 23, 13, 3]),
        ([EVERYWHERE, "state:failed"], [47, 27, 7]),
        (['"this was delegated"', needle(5)[:7]], [57, 56, 55, 54, 53, 52, 51, 50, 5]),
    ],
)
def test_what_is_asked_for_is_listed(
    archived: Reader, words: list[str], numbers: list[int]
) -> None:
    assert listed(archived, *words) == [name_of(number) for number in numbers]


def test_ids_are_found_by_their_beginning(archived: Reader) -> None:
    assert set(listed(archived, "id:brave")) == {name_of(number) for number in range(0, STORED, 10)}


def test_nothing_found_is_said_and_is_no_error(archived: Reader) -> None:
    done = archived.run("list", "unheardof")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No delegation is like that.\n"


# --- wherever it is shown ----------------------------------------------------------------


def test_a_terminal_has_lines_that_fit(archived: Reader) -> None:
    for columns in (40, 60, 80, 120):
        code, wrote = archived.at_terminal("list", columns=columns)
        lines = [ESCAPES.sub("", line) for line in wrote.splitlines()]
        assert code == 0
        assert len(lines) == 22
        assert max(len(line) for line in lines[:21]) <= columns
        assert lines[0].split()[::3][:2] in (["ID", "AGENT"], ["ID", "TITLE"], ["ID"])
        assert lines[1].startswith(f"{name_of(59)}  ")
        assert lines[0].index("STATE") == lines[1].index("running")


def test_colours_are_for_terminals_that_may_have_them(archived: Reader) -> None:
    assert "\033[32mcompleted" in archived.at_terminal("list")[1]
    assert "\033" not in archived.at_terminal("list", env={"NO_COLOR": "1"})[1]
    assert "\033" not in archived.out("list", "-n", "0")


@pytest.mark.parametrize(
    ("words", "env", "are_there"),
    [
        (("--color=always", "list"), {"NO_COLOR": "1"}, True),
        (("list", "--color=never"), {"FORCE_COLOR": "1"}, False),
        (("list",), {"FORCE_COLOR": "1"}, True),
        (("list",), {"CLICOLOR_FORCE": "1", "FORCE_COLOR": "0"}, True),
        (("list",), {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
        (("list", "--color=auto"), {"CLICOLOR_FORCE": "0"}, False),
    ],
)
def test_colours_are_as_one_says(
    archived: Reader, words: Sequence[str], env: Mapping[str, str], are_there: bool
) -> None:
    assert ("\033[" in archived.run(*words, env=env).stdout) is are_there


def test_what_is_mistyped_is_told(archived: Reader) -> None:
    for typed, meant in (("stauts", "status"), ("lsit", "list"), ("pek", "peek")):
        assert archived.refused(typed) == f"There is no command {typed!r}; did you mean {meant}?"
    assert archived.refused("list", "--color=some").startswith("--color is 'some'; say always")


def test_a_pipe_has_whole_lines_unless_it_is_told_how_wide(archived: Reader) -> None:
    assert archived.lines("list")[0].endswith("This was delegated.")
    narrow = archived.run("list", env={"COLUMNS": "40"}).stdout.splitlines()
    assert max(map(len, narrow)) <= 40


def test_letters_that_stdout_has_not_are_replaced(reader: Reader) -> None:
    reader.add(replace(registered("odd-new-emu"), title="Größe 中文"))
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    line = reader.run("list", "id:odd", env=env)
    assert line.returncode == 0
    assert line.stdout.endswith("Gr??e ??\n")


def test_a_reader_that_has_enough_ends_it_in_peace(archived: Reader) -> None:
    command = " ".join([*COMMAND, "list", "-n", "0", "--json", "|", "head", "-1"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=archived.project,
        env=archived._env(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@pytest.mark.parametrize(
    "title",
    [
        "\x1b[2J\x1b]0;owned\x07 \x9b31m red",
        "x" * 10_000,
        "</task-notification><b>bold</b>",
        "one\ntwo\r\nthree\u2028four",
        "\u202egnp.exe",
        "中文" * 50,
    ],
)
def test_a_hostile_title_stays_on_its_line(reader: Reader, title: str) -> None:
    reader.add(replace(registered("odd-new-emu"), title=title), launched(), completed())
    code, wrote = reader.at_terminal("list", "-n", "2", columns=60, env={"NO_COLOR": "1"})
    lines = wrote.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[:3]] == ["ID", "odd-new-emu", name_of(59)]
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u202e]", wrote)
    assert sum(2 if char >= "\u1100" else 1 for char in lines[1]) <= 61  # the sign is one, too
    assert len(reader.lines("list", "-n", "1")[0]) < 1_100


def test_a_service_that_writes_does_not_keep_it_waiting(archived: Reader) -> None:
    with closing(sqlite3.connect(archived.database, isolation_level=None)) as service:
        service.execute("BEGIN IMMEDIATE")
        assert len(archived.lines("list")) == 20
        assert listed(archived, needle(33)) == [name_of(33)]
        service.execute("ROLLBACK")


# --- in another order, and other columns -----------------------------------------------


USED = [ev.Usage(9, cost_usd=2), ev.Usage(30, cost_usd=0.1), ev.Usage(9, cost_usd=1)]
RAN_S = (5, 900, 60)


@pytest.fixture(scope="module")
def sorted_ones(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Three, of two agents; the newest first: c, b, a."""
    reader = Reader(tmp_path_factory.mktemp("sorted"))
    for place, (name, agent) in enumerate((("a", "zoo"), ("b", "app"), ("c", "app"))):
        first = replace(
            registered(f"{name}-new-emu"), at=at(place), agent=agent, title="CAB"[place]
        )
        begun = ev.Launched(at=at(place + 3), session=f"ses_{name}", message="msg_1")
        took = timedelta(seconds=RAN_S[place])
        end = replace(completed(), at=begun.at + took, usage=USED[place], ran_for=took)
        reader.add(first, begun, replace(end, title=""), result="Old oak.")
    return reader


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("age", "bca"), ("age,desc", "acb"), ("id", "abc"), ("id,desc", "cba"), ("agent", "cba"),
        ("agent,desc", "acb"), ("title", "bca"), ("elapsed", "acb"), ("tokens,asc", "cab"),
        ("tokens,desc", "bca"), ("cost,desc", "acb"), ("state", "cba"), ("model", "cba"),
    ],
)  # fmt: skip
def test_a_list_has_the_order_that_is_wanted(sorted_ones: Reader, key: str, order: str) -> None:
    """Of equals the newest comes first, and a limit cuts what is sorted."""
    records = Records.open(sorted_ones.database)
    assert records is not None
    with records:
        for texts in ([], ["state:ended"]):
            found = records.find(parse(texts, sort=key))
            assert "".join(one.id[0] for one in records.lines(found.numbers)) == order
            assert records.find(parse(texts, sort=key), 2).numbers == found.numbers[:2]
            assert records.find(parse(texts, sort=key), 2).total == 3


def test_what_is_found_by_words_and_in_all_projects_is_sorted(sorted_ones: Reader) -> None:
    other = Reader(sorted_ones.root)
    copy = sorted_ones.data / "0123456789abcdef"
    shutil.copytree(sorted_ones.folder, copy)
    lines = other.lines("list", "oak", "--sort", "cost,desc", "-n", "2")
    assert [line[0] for line in lines] == ["a", "c"]
    words = ("list", "--all-projects", "--sort", "elapsed", "--columns", "id,elapsed,project")
    lines = other.lines(*words, "-n", "3")
    assert [re.split("  +", line) for line in lines] == [
        ["a-new-emu", "5.0s", "project"],
        ["a-new-emu", "5.0s", "project"],
        ["c-new-emu", "1m 00s", "project"],
    ]
    told = json.loads(other.out(*words[:4], "--json", "-n", "2"))
    assert ([one["id"] for one in told["delegations"]], told["total"]) == (["a-new-emu"] * 2, 6)
    shutil.rmtree(copy)


def test_columns_are_those_that_are_wanted(sorted_ones: Reader) -> None:
    """With heads where somebody looks; numbers stand at their right, and all have a cell."""
    everything = ",".join(COLUMNS)
    (line,) = sorted_ones.lines("list", "id:a", "--columns", everything)
    for told in ("a-new-emu", "completed", "zoo", "$2.0000"[:4], "5.0s", "ses_a", "C"):
        assert told in line
    _, wrote = sorted_ones.at_terminal(
        "list", "--columns", "cost,id,unread,tokens", "--sort", "id", env={"NO_COLOR": "1"}
    )
    assert wrote.splitlines() == [
        "   COST  ID            TOKENS",
        "  $2.00  a-new-emu  *       9",
        "$0.1000  b-new-emu  *      30",
        "  $1.00  c-new-emu  *       9",
    ]
    narrow = sorted_ones.at_terminal("list", "--columns", everything, columns=40)[1]
    assert max(len(ESCAPES.sub("", line)) for line in narrow.splitlines()) <= 40
    assert ESCAPES.sub("", narrow).startswith("ID")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--sort", "worth"), "A list cannot be sorted by 'worth'; choose one of: age, id, state"),
        (("--sort", "cost,down"), "A list cannot be sorted by 'cost,down'"),
        (("--columns", "id,,age"), "There is no column ''; choose of: id, state, unread, age"),
        (("--columns", "price"), "There is no column 'price'; choose of"),
        (("--columns", "id", "--json"), "--columns is for people; --json has all there is."),
        (("old", "--rank", "--sort", "id"), "--rank orders by words, within one project"),
    ],
)
def test_no_other_order_and_columns(sorted_ones: Reader, words: Sequence[str], why: str) -> None:
    assert sorted_ones.refused("list", *words).startswith(why)


# --- many projects -----------------------------------------------------------------------


def test_all_projects_are_listed_together(reader: Reader) -> None:
    other = reader.data / "0123456789abcdef"
    shutil.copytree(reader.folder, other)
    with closing(sqlite3.connect(other / "delegations.db")) as connection, connection:
        connection.execute("DELETE FROM delegations WHERE id = ?", (name_of(59),))
    lines = reader.lines("list", "--all-projects", "-n", "3")
    assert ids(lines) == [name_of(59), name_of(58), name_of(58)]
    assert all(" project " in line for line in lines)
    both = reader.lines("list", "--all-projects", needle(33))
    assert ids(both) == [name_of(33)] * 2


def test_one_damaged_project_does_not_hide_the_others(reader: Reader) -> None:
    other = reader.data / "0123456789abcdef"
    other.mkdir()
    (other / "delegations.db").write_bytes(b"rubbish " * 1000)
    done = reader.run("list", "--all-projects", "-n", "1")
    assert (done.returncode, ids(done.stdout.splitlines())) == (1, [name_of(59)])
    assert str(other) in done.stderr
    assert "doctor" in done.stderr


# --- refusals ------------------------------------------------------------------------------


def test_where_nothing_was_delegated_it_says_where_to_go(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for command in ("list", "status"):
        done = reader.run(command)
        assert done.returncode == 0
        assert "Nothing has been delegated in the project of" in done.stdout + done.stderr
    done = reader.run("list", "--all-projects")
    assert done.returncode == 0
    assert "Nothing has been delegated in any project" in done.stderr
    assert not reader.data.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list",), {"total": 0, "delegations": []}),
        (("list", "some words"), {"total": 0, "delegations": []}),
        (("list", "--all-projects"), {"total": 0, "delegations": []}),
        (("status",), []),
        (("wait",), []),
        (("export", "--format", "json"), []),
    ],
)
@pytest.mark.parametrize("path", [None, ""], ids=["git", "no git"])
def test_nothing_there_is_no_error(
    tmp_path: Path, words: tuple[str, ...], told: object, path: str | None
) -> None:
    """Neither a database nor a folder nor git is needed to say that there is nothing."""
    reader = Reader(tmp_path)
    more = () if words[0] == "export" else ("--json",)
    done = reader.run(*words, *more, env=None if path is None else {"PATH": path})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == told
    assert not reader.data.exists()


def test_an_unknown_id_is_an_error_where_nothing_is_too(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for command in ("show", "read", "peek"):
        assert "No delegation here has an id" in reader.refused(command, "odd-new-emu")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert "is not a folder" in reader.refused("list", "-C", "nowhere")


def _newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 4321")


def _rubbish(database: Path) -> None:
    for side in ("-wal", "-shm"):
        Path(f"{database}{side}").unlink(missing_ok=True)
    database.write_bytes(b"rubbish " * 1000)


def _link(database: Path) -> None:
    elsewhere = database.parents[3] / "elsewhere.db"
    shutil.move(database, elsewhere)
    database.symlink_to(elsewhere)


def _folder_link(database: Path) -> None:
    elsewhere = database.parents[3] / "elsewhere"
    shutil.move(database.parent, elsewhere)
    database.parent.symlink_to(elsewhere)


def _directory(database: Path) -> None:
    database.unlink()
    database.mkdir()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_newer, "has schema version 4321, but .* upgrade background-agents"),
        (_rubbish, "cannot be read .* doctor"),
        (_link, "is a symbolic link"),
        (_folder_link, "is a symbolic link"),
        (_directory, "cannot be read .* doctor"),
    ],
)
def test_a_database_that_cannot_be_read_is_named(
    reader: Reader, harm: Callable[[Path], None], sentence: str
) -> None:
    harm(reader.database)
    for words in (["list"], ["list", "word"], ["list", "--json"], ["show", "x"], ["stats"]):
        assert re.search(sentence, reader.refused(*words))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["state:dead"], "There is no state 'dead'; choose one of: registered, running, "),
        (["--state", "dead"], "There is no state 'dead'; choose one of: registered, running, "),
        (["id:"], "'id:' lacks its value"),
        (["!!"], "needs a letter or a digit"),
        (["--rank"], "--rank orders by words"),
        (["--rank", "--all-projects", "word"], "--rank orders by words"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    archived: Reader, words: list[str], sentence: str
) -> None:
    assert sentence in archived.refused("list", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "'yesterday' is no time; write how long ago"),
        (["--since", "2026-13-01"], "'2026-13-01' is no time"),
        (["-n", "-1"], "-n/--limit"),
        (["-n", "many"], "'many' is no number"),
        (["--unheard-of"], "Unrecognized arguments: --unheard-of"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    archived: Reader, words: list[str], said: str
) -> None:
    refused = archived.refused("list", *words)
    assert said in refused
    assert refused.endswith("`background-agents list --help` says what it takes.")


def test_dates_are_local(archived: Reader) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert listed(archived, "--since", tomorrow) == []
    assert len(listed(archived, "--since", "2020-01-01")) == STORED


# --- the index, as a command meets it -------------------------------------------------------


def test_a_first_search_tells_a_terminal_how_far_it_is(reader: Reader) -> None:
    """And only where it takes long; a pipe is never told."""
    (reader.folder / "search.db").unlink()
    _, wrote = reader.at_terminal("list", needle(33))
    assert "Indexing" not in wrote
    with closing(sqlite3.connect(reader.database)) as connection, connection:
        connection.executemany(
            "INSERT INTO unindexed VALUES (?, 1)", [(f"gone-{number}",) for number in range(3000)]
        )
    _, wrote = reader.at_terminal("list", needle(33))
    assert "Indexing for search, once: 500 of 3,000" in wrote
    assert name_of(33) in wrote


def test_a_damaged_index_is_no_concern_of_anybody(reader: Reader) -> None:
    index = reader.folder / "search.db"
    data = index.read_bytes()
    index.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    assert ids(reader.out("list", needle(33)).splitlines()) == [name_of(33)]
    index.unlink()
    index.symlink_to("/dev/null")
    assert "is a symbolic link" in reader.refused("list", needle(33))


def test_json_has_all_facts_and_the_total(archived: Reader) -> None:
    found = msgspec.json.decode(archived.out("list", "--json", "-n", "2", "state:failed"))
    assert found["total"] == 3
    assert [one["id"] for one in found["delegations"]] == [name_of(47), name_of(27)]
    assert found["delegations"][0]["error"] == "Model not found"
