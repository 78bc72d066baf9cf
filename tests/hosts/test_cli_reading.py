"""``bga show``, ``read``, ``stats`` and ``export`` as processes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from archived import Reader
from msgspec.structs import replace
from sheetworks import active, asks

from background_agents.domain import events as ev
from background_agents.domain.asking import Ask
from background_agents.hosts.cli.text import status
from background_agents.hosts.cli.text.export import COLUMNS
from background_agents.testing.contracts.samples import at, completed, launched, registered
from background_agents.views.events import told
from background_agents.views.json import ExportSheet
from lab.harness.archive import Plan, name_of, needle
from lab.reference.answers import ANSWERS, schema_files

STORED = 40

RESULT = (
    "# Findings\n\n- one **bold** thing\n- `code` with \x1b[2J escape\n\n[link](http://x.org)\n"
)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Read by many tests and changed by none."""
    reader = Reader(tmp_path_factory.mktemp("reading"))
    reader.fill(Plan(STORED, newest=datetime.now(UTC) - timedelta(days=1), result_words=30))
    steered = (
        launched(),
        ev.SteerSent(at=at(2), steer="msg_9", text="Be brief,\nplease."),
        ev.SteerConfirmed(at=at(3), steer="msg_9"),
        ev.InputRequested(at=at(4), ask=Ask(id="per_1", session="s", permission="bash")),
        ev.InputAnswered(at=at(5), request="per_1", reply="once", by="user"),
        replace(completed(), result_chars=len(RESULT)),
    )
    reader.add(registered("odd-new-emu"), *steered, result=RESULT)
    return reader


# --- show -----------------------------------------------------------------------------------


def test_show_tells_record_history_and_notices(archived: Reader) -> None:
    shown = archived.out("show", "odd-new-emu")
    assert shown.startswith("odd-new-emu: completed, unread\nHow PKCE works\n\n")
    assert "  time limit  15m 00s\n" in shown
    assert "  session     ses_child (opencode -s ses_child opens it)\n" in shown
    assert "  runtime     opencode-1\n" in shown
    assert "\nPrompt\n  Find out how PKCE works.\n" in shown
    history = shown.partition("\nHistory\n")[2].splitlines()
    assert [line[23:] for line in history] == [
        "delegated to researcher (time limit 15m 00s)",
        "began in session ses_child",
        "was given an instruction by the supervisor: Be brief, please.",
        "took the instruction up",
        "asked (permission): bash:",
        "answered by the user: once",
        "completed (1,540 tokens, $0.0125, 7 tool calls)",
    ]
    assert history[0].startswith("  2030-01-01 12:00:00  ")
    notices = archived.out("show", name_of(3)).partition("\nNotices\n")[2]
    assert f"ended: received in msg_{name_of(3)}" in notices


def test_show_says_where_the_result_is_and_whether(archived: Reader, tmp_path: Path) -> None:
    path = archived.folder / "ses_root" / "odd-new-emu.md"
    assert f"{path} ({len(RESULT)} characters)" in archived.out("show", "odd")
    lost = Reader(tmp_path)
    lost.add(registered("odd-new-emu"), launched(), completed(), result="x")
    (lost.folder / "ses_root" / "odd-new-emu.md").unlink()
    assert "(the file is gone)" in lost.out("show", "odd")
    assert "may have been moved or deleted" in lost.refused("read", "odd")


def test_an_id_is_known_by_its_beginning(archived: Reader) -> None:
    assert archived.out("show", "odd").startswith("odd-new-emu:")
    assert "could be brave-amber-crow, brave-black-crow" in archived.refused("show", "brave")
    assert "no delegation" in archived.refused("show", "nothing-like-it").lower()
    assert "no delegation" in archived.refused("read", "").lower()


def test_hostile_texts_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    nasty = "\x1b[2J\x9b1m\x07 \u202e" + "x" * 10_000
    first = replace(registered("odd-new-emu"), title=nasty, prompt=nasty, agent=nasty)
    reader.add(first, launched(), replace(completed(), summary=nasty), result=nasty)
    for words in (["show", "odd"], ["read", "odd"], ["read", "odd", "--raw"], ["stats"],
                  ["export", "--format", "markdown"], ["export", "--format", "csv"]):  # fmt: skip
        code, wrote = reader.at_terminal(*words, env={"NO_COLOR": "1"})
        wrote = re.sub(r"\x1b\[[0-9;]*m", "", wrote)  # rich makes bold what is bold
        assert code == 0
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", wrote), words


OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\U000e0041]")

NASTY = "\x1b]0;owned\x07\x9b1m\u202e\U000e0041"


def test_json_at_a_terminal_says_the_same_in_characters_that_can_be_shown(tmp_path: Path) -> None:
    """Raw in a pipe, where a program reads it; escaped where somebody looks."""
    reader = Reader(tmp_path)
    reader.add(replace(registered("odd-new-emu"), title=NASTY), launched(), completed())
    for words in (["list"], ["show", "odd"], ["read", "odd"]):
        code, wrote = reader.at_terminal(*words, "--json")
        assert code == 0
        assert not OBEYED.search(wrote), words
        piped = reader.run(*words, "--json").stdout
        assert "\x9b" in piped or words[0] == "read"
        if words[0] != "show":  # which says how long it has been
            assert json.loads(wrote) == json.loads(piped)


@pytest.mark.parametrize(
    "words",
    [
        *(["doctor"], ["doctor", "--json"], ["config", "--path"], ["list"], ["status"]),
        *(["install", "--print", "--project"], ["show", NASTY], ["list", "--bad" + NASTY]),
        *(["export", "-o", f"{NASTY}/none/x"], ["list", "-C", f"{NASTY}/none"], [NASTY]),
    ],
    ids=lambda words: "-".join(words).replace(NASTY, "NASTY").replace("/", "-"),
)
def test_a_name_of_a_folder_is_not_obeyed(tmp_path: Path, words: list[str]) -> None:
    """Whatever a message names: folders, files, what was typed."""
    (tmp_path / NASTY).mkdir()
    reader = Reader(tmp_path / NASTY)
    reader.env["XDG_CONFIG_HOME"] = str(tmp_path / NASTY / "config")
    _, wrote = reader.at_terminal(*words)
    assert wrote
    assert not OBEYED.search(re.sub(r"\x1b\[[0-9;]*m", "", wrote)), wrote


# --- read -----------------------------------------------------------------------------------


def test_a_pipe_gets_the_file_byte_by_byte(archived: Reader) -> None:
    path = archived.folder / "ses_root" / "odd-new-emu.md"
    assert archived.out("read", "odd") == path.read_text("utf-8")


def test_a_terminal_gets_markdown_rendered(archived: Reader) -> None:
    code, wrote = archived.at_terminal("read", "odd", env={"NO_COLOR": "1"})
    assert code == 0
    assert "How PKCE works (odd-new-emu, completed)" in wrote
    assert "\x1b[2J" not in wrote
    wrote = re.sub(r"\x1b\[[0-9;]*m", "", wrote)
    assert "• one bold thing" in wrote
    assert "**" not in wrote
    assert "http://x.org" in wrote  # not hidden behind a word
    assert "front" not in wrote
    assert "agent:" not in wrote
    assert 'agent: "researcher"' in archived.at_terminal("read", "odd", "--raw")[1]


def test_what_runs_has_no_result_yet(archived: Reader) -> None:
    said = archived.refused("read", name_of(STORED - 1))
    assert said.startswith(f"{name_of(STORED - 1)} is running and has no result yet")


def test_reading_marks_what_a_person_delegated_and_says_so(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    by = (("odd-new-emu", "build", True), ("odd-old-emu", "", False))
    for name, agent, unread in by:
        first = replace(registered(name), supervisor_agent=agent)
        reader.add(first, launched(), completed(), result="x")
        reader.out("read", name)
        assert json.loads(reader.out("show", name, "--json"))["unread"] is unread
    assert "stays unread" in " ".join(reader.out("read", "--help").split())


# --- stats ----------------------------------------------------------------------------------


def test_stats_add_up(archived: Reader) -> None:
    found = json.loads(archived.out("stats", "--json", "--by", "state"))
    whole = found["whole"]
    assert whole["count"] == STORED + 1
    assert whole["states"] == {"running": 2, "completed": 36, "failed": 2, "stopped": 1}
    assert whole["success_rate"] == pytest.approx(36 / 39)
    assert [one["key"] for one in found["groups"]] == ["running", "completed", "failed", "stopped"]
    for number in ("count", "tokens", "tool_calls"):
        assert sum(one[number] for one in found["groups"]) == whole[number]
    assert whole["median_s"] <= whole["p90_s"]


def test_stats_draw_what_there_is(archived: Reader) -> None:
    lines = archived.out("stats").splitlines()
    assert lines[0] == "41 delegations: 2 running, 36 completed, 2 failed, 1 stopped."
    assert lines[1] == "Of those that have ended 92% completed."
    head = next(at for at, line in enumerate(lines) if line.startswith("agent "))
    assert [line.split()[:2] for line in lines[head + 1 :]] == [
        ["researcher", "11"], ["explore", "10"], ["general", "10"], ["reviewer", "10"],
    ]  # fmt: skip
    assert lines[head + 1].endswith("█" * 24)
    plain = archived.out("stats", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert "#" * 24 in plain
    assert plain.isascii()


def test_stats_fit_into_a_narrow_terminal(archived: Reader) -> None:
    for columns in (40, 60, 80):
        _, wrote = archived.at_terminal("stats", columns=columns, env={"NO_COLOR": "1"})
        table = wrote.replace("\r", "").partition("\n\n")[2].splitlines()
        assert len(table) == 5
        assert max(map(len, table)) <= columns


def test_stats_by_day_are_in_order_and_since_counts_from_there(archived: Reader) -> None:
    days = json.loads(archived.out("stats", "--json", "--by", "day"))["groups"]
    assert [one["key"] for one in days] == sorted(one["key"] for one in days)
    recent = json.loads(archived.out("stats", "--json", "--since", "2029-12-31"))["whole"]
    assert recent["count"] == 1
    assert archived.out("stats", "--since", "2031-01-01").startswith("No delegations since 2031")


def test_a_bell_rings_where_there_is_a_terminal(archived: Reader) -> None:
    (name,) = json.loads(archived.out("list", "state:completed", "-n", "1", "--json"))[
        "delegations"
    ]
    words = ("wait", name["id"], "--bell")
    assert "\a" in archived.at_terminal(*words)[1]
    assert "\a" not in archived.at_terminal(*words[:2])[1]
    ran = archived.run(*words)
    assert "\a" not in ran.stdout + ran.stderr


# --- export ---------------------------------------------------------------------------------


def test_json_lines_tell_all(archived: Reader) -> None:
    lines = archived.out("export").splitlines()
    sheets = [msgspec.json.decode(line, type=ExportSheet) for line in lines]
    assert len(sheets) == STORED + 1
    emu = sheets[0]
    assert (emu.id, emu.result, emu.prompt) == ("odd-new-emu", RESULT, "Find out how PKCE works.")
    assert [one.event for one in emu.history][:2] == ["Registered", "Launched"]
    assert [(one.text, one.confirmed_at) for one in emu.steers] == [("Be brief,\nplease.", at(3))]
    assert sheets[1].result is None  # active
    assert [one.state for one in sheets[5].notices] == ["confirmed"]
    assert needle(STORED - 5) in (sheets[5].result or "")


def test_an_export_is_of_what_is_asked_for(archived: Reader) -> None:
    only = archived.out("export", needle(7), "--format", "json")
    assert [one["id"] for one in json.loads(only)] == [name_of(7)]
    assert json.loads(archived.out("export", "state:waiting", "--format", "json")) == []


def test_csv_has_the_facts_and_no_formulas(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    first = replace(registered("odd-new-emu"), title='=HYPERLINK("x"), "quoted"')
    reader.add(first, launched(), replace(completed(), summary="two\nlines"), result="x")
    rows = list(csv.DictReader(io.StringIO(reader.out("export", "--format", "csv"))))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["title"] == '\'=HYPERLINK("x"), "quoted"'
    assert rows[0]["summary"] == "two\nlines"
    assert rows[0]["ended_at"] == at(134).isoformat()


def test_markdown_has_prompt_and_result(archived: Reader) -> None:
    text = archived.out("export", "id:odd", "--format", "markdown")
    assert text.startswith("# How PKCE works\n\n- id: odd-new-emu\n")
    assert "\n> Find out how PKCE works.\n" in text
    assert "- one **bold** thing" in text


def test_a_file_is_private_and_never_overwritten_unasked(archived: Reader, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    old = os.umask(0)
    try:
        assert archived.out("export", "-o", str(file)) == ""
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text("utf-8").splitlines()) == STORED + 1
    assert "is there already" in archived.refused("export", "-o", str(file))
    assert len(file.read_text("utf-8").splitlines()) == STORED + 1
    archived.out("export", "id:odd", "-o", str(file), "--force")
    assert len(file.read_text("utf-8").splitlines()) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["out.jsonl"]
    assert "cannot be written" in archived.refused("export", "-o", str(tmp_path / "no" / "file"))


# --- the contract with programs ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("list", ["list", "-n", "0"]),
        ("list", ["list", needle(7)]),
        ("list", ["list", "unheardof"]),
        ("list", ["list", "--all-projects"]),
        ("show", ["show", "odd"]),
        ("show", ["show", name_of(STORED - 1)]),
        ("read", ["read", "odd"]),
        ("stats", ["stats"]),
        ("stats", ["stats", "--by", "day", "--since", "2031-01-01"]),
        ("prune", ["prune", "--older-than", "2h", "--dry-run"]),
    ],
)
def test_json_is_what_its_schema_says(archived: Reader, name: str, words: list[str]) -> None:
    """Every field is declared with its type, and none is there that is not declared."""
    raw = archived.run(*words, "--json").stdout
    answer = msgspec.json.decode(raw, type=ANSWERS[name])
    assert json.loads(msgspec.json.encode(answer)) == json.loads(raw)


def test_every_answer_has_a_schema_with_words() -> None:
    for name, text in schema_files().items():
        for kind, schema in json.loads(text)["$defs"].items():
            assert schema["description"], (name, kind)


def test_a_history_has_words_for_every_event() -> None:
    """No event may be new and say nothing."""
    for kind in get_args(ev.AnyEvent):
        assert told(_sample(kind))


def _sample(kind: type[ev.Event]) -> ev.Event:
    """Return an event of a kind, from what its fields must hold."""
    values: dict[str, object] = {
        "usage": {}, "timeout": None, "model": None, "continued_from": None, "result_chars": 1,
        "models": [], "ran_for": None, "kept": False, "depth": 2, "changes": {}, "limits": {},
        "more": "PT5M", "tools_for": None,
        "labels": ["one"],
        "reached": {"what": "limit of 20 turns", "turns": 20},
        "ask": {"id": "per_1", "session": "s", "permission": "bash"}, "at": at(1).isoformat(),
    }  # fmt: skip
    raw = {name: values.get(name, "text") for name in kind.__struct_fields__}
    return msgspec.convert({**raw, "event": kind.__name__}, kind)


@pytest.mark.parametrize("columns", range(60, 121, 3))
def test_an_id_is_never_cut_in_two(columns: int) -> None:
    """It stands in the command that is to be copied."""
    name = "daft-hopeful-locust"
    said = status.active(active(name, asks("Which? (SQLite, PostgreSQL)")), columns)
    assert said.count(name) == 2


def test_what_is_long_goes_through_the_pager(tmp_path: Path) -> None:
    """At a terminal; what is shown is the same as without one, made safe."""
    reader = Reader(tmp_path)
    reader.add(
        registered("odd-new-emu", prompt="line\n" * 50), launched(), completed(),
        result="so\n\n" * 50,
    )  # fmt: skip
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o755)
    for words in (["show"], ["read"], ["read", "--raw"]):
        code, wrote = reader.at_terminal(
            words[0], "odd-new-emu", *words[1:], env={"PAGER": str(pager)}
        )
        assert (code, wrote.startswith("PAGED")) == (0, True), words
        assert wrote.count("so" if words[0] == "read" else "  line") >= 50
