"""What the doctor finds of settings, of the machine, and in the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patients import Patient, findings, write

from background_agents.hosts.cli.diagnosis.findings import Mark

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


def test_every_refused_setting_is_named(used: Patient) -> None:
    file = write(used.settings, "[background-agents]\nmax_concurrent = 0\nloud = 1\n")
    used.env["BACKGROUND_AGENTS_LOG"] = "loud"
    found = [one for one in findings(used.examined()) if one.check == "settings.refused"]
    edit = f"${{EDITOR:-vi}} {file}"
    assert [one.mend for one in found] == ["unset BACKGROUND_AGENTS_LOG", edit, edit]
    assert {one.mark for one in found} == {Mark.PROBLEM}
    assert "BACKGROUND_AGENTS_LOG is 'loud'" in found[0].says


def test_a_file_of_settings_that_is_not_toml_is_named(used: Patient) -> None:
    file = write(used.settings, "nonsense")
    one = used.finding("settings.refused")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"${{EDITOR:-vi}} {file}")


def test_a_variable_that_is_no_setting_is_named(used: Patient) -> None:
    used.env["BACKGROUND_AGENTS_TIMEOUT_MINUTE"] = "3"
    one = used.finding("settings.unknown")
    assert one.mark is Mark.WARNING
    assert "did you mean BACKGROUND_AGENTS_TIMEOUT_MINUTES?" in one.says
    assert one.mend == (
        "export BACKGROUND_AGENTS_TIMEOUT_MINUTES=$BACKGROUND_AGENTS_TIMEOUT_MINUTE; "
        "unset BACKGROUND_AGENTS_TIMEOUT_MINUTE"
    )


def test_a_variable_that_is_like_none_of_ours_is_named(used: Patient) -> None:
    used.env["BACKGROUND_AGENTS_COLOUR"] = "3"
    one = used.finding("settings.unknown")
    assert (one.mark, one.mend) == (Mark.WARNING, "unset BACKGROUND_AGENTS_COLOUR")


def test_a_setting_outside_of_our_section_is_named(used: Patient) -> None:
    file = write(used.settings, "max_concurrent = 3\n[other]\nlog = 1\n")
    one = used.finding("settings.misplaced")
    assert (one.mark, one.mend) == (Mark.WARNING, f"${{EDITOR:-vi}} {file}")
    assert one.says.startswith("max_concurrent in ")


def test_git_is_missing(used: Patient) -> None:
    used.env["PATH"] = str(used.programs)
    done = used.run("--json")
    (one,) = [
        finding
        for section in json.loads(done.stdout)["sections"]
        for finding in section["findings"]
        if finding["check"] == "machine.git"
    ]
    assert one["mark"] == "problem"
    assert "git is not in PATH" in one["says"]
    assert one["mend"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_git_refuses_a_folder_of_another_user(used: Patient) -> None:
    subprocess.run(["chown", "-R", "65534", used.project], check=True)
    one = used.finding("machine.git")
    assert one.mark is Mark.PROBLEM
    assert one.mend == f"git config --global --add safe.directory {used.project}"


PRETENDED = """\
import sqlite3
real = sqlite3.connect

def connect(*args, **kwargs):
    connection = real(*args, **kwargs)
    denied = sqlite3.SQLITE_CREATE_VTABLE
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == denied else 0)
    return connection

sqlite3.connect = connect
"""


def test_an_sqlite_without_full_text_search_is_named(used: Patient) -> None:
    """SQLite itself refuses, as one does that was built without it."""
    used.env["PYTHONPATH"] = str(write(used.home.root / "lib/sitecustomize.py", PRETENDED).parent)
    one = used.finding("machine.search")
    assert one.mark is Mark.WARNING
    assert one.mend


def test_an_old_sqlite_is_named(used: Patient) -> None:
    text = "import sqlite3\nsqlite3.sqlite_version_info = (3, 36, 0)\n"
    used.env["PYTHONPATH"] = str(write(used.home.root / "lib/sitecustomize.py", text).parent)
    assert used.finding("machine.sqlite").mark is Mark.PROBLEM


def test_recent_errors_are_shown(used: Patient) -> None:
    """Written by the service's own log, as it writes them."""
    log_errors(used, "ERROR", 5)
    one = used.finding("log.errors")
    assert (one.mark, one.mend) == (Mark.WARNING, f"less +G {used.data / 'service.log'}")
    assert "5" in one.says
    assert len(one.details) == 3
    assert one.details[-1].endswith("background_agents.test: trouble 4")


def log_errors(patient: Patient, level: str, count: int) -> None:
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from background_agents.log import open_log\n"
        "open_log(Path(sys.argv[1]), 'info')\n"
        "for i in range(int(sys.argv[3])):\n"
        "    logging.getLogger('background_agents.test')"
        ".log(getattr(logging, sys.argv[2]), 'trouble %d', i)"
    )
    command = [sys.executable, "-c", code, str(patient.data), level, str(count)]
    subprocess.run(command, check=True)


def test_warnings_and_old_errors_are_no_matter(used: Patient) -> None:
    log_errors(used, "WARNING", 2)
    log = used.data / "service.log"
    log.write_text("2020-01-01 10:00:00,000 1 ERROR x: long ago\n" + log.read_text())
    assert used.finding("log.errors").mark is Mark.OK


def test_what_others_wrote_cannot_rewrite_the_terminal(used: Patient) -> None:
    log_errors(used, "ERROR", 1)
    log = used.data / "service.log"
    log.write_text(log.read_text().replace("trouble", "\x1b[2Jtrouble"))
    shown = used.run().stdout
    assert "trouble" in shown
    assert "\x1b" not in shown


def test_what_the_shell_tells_every_python_is_named(used: Patient) -> None:
    """And no module is taken from there, which somebody keeps for the project."""
    folder = used.home.root / "theirs"
    for name in ("argparse", "msgspec", "rich"):
        write(folder / f"{name}.py", "raise SystemExit('theirs')")
    used.env |= {"PYTHONPATH": str(folder), "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error"}
    one = used.finding("machine.python")
    assert one.mark is Mark.WARNING
    assert f"PYTHONPATH={folder}" in one.says
    assert one.mend == "unset PYTHONPATH PYTHONINSPECT PYTHONWARNINGS"
