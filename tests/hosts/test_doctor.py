"""``background-agents doctor``, as a process: the whole, and what it finds of OpenCode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from patients import Patient, crash, cut_short, dead, findings, write
from stored import store

from background_agents.adapters.system.processes import boot_id
from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.hosts.cli.diagnosis.opencode import NEWEST, TESTED
from background_agents.hosts.cli.installing.plugin_files import Scope
from background_agents.testing.contracts.samples import launched, registered

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


def test_all_is_well_where_nothing_is_wrong(used: Patient) -> None:
    done = used.run()

    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert "problem" not in done.stdout
    assert "warning" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("All is well: ")


def test_a_fresh_installation_is_told_to_start_opencode(patient: Patient) -> None:
    one = patient.finding("service.running")
    assert (one.mark, one.mend) == (Mark.WARNING, "opencode")
    assert "never run in this project" in one.says
    assert patient.run().returncode == 0


def test_it_changes_nothing(used: Patient) -> None:
    """Neither where all is well, nor where everything is wrong that could be mended."""
    before = used.tree()
    assert used.run().returncode == 0
    assert used.tree() == before

    used.shim().write_text(used.shim().read_text().replace(sys.executable, "/gone/python"))
    used.install(Scope.PROJECT)
    store(used.database, registered("calm-red-fox", owner=dead()), launched())
    cut_short(used.database)
    used.database.chmod(0o644)
    used.data.chmod(0o755)
    write(used.settings, "[background-agents]\nmax_concurrent = 0\n")
    before = used.tree()
    assert used.run().returncode == 1
    assert used.tree() == before


@pytest.mark.parametrize("left", [("-wal", "-shm"), ("-wal",)])
def test_a_database_whose_service_crashed_is_not_touched(
    used: Patient, left: tuple[str, ...]
) -> None:
    """SQLite would make files anew, and fold its log into the database."""
    path = used.database
    crash(path, f"INSERT INTO leases VALUES ('1:1', '1:1', '{boot_id()}', 1.0)")
    for side in {"-wal", "-shm"} - {*left}:
        Path(f"{path}{side}").unlink()
    before = used.tree()

    assert "(process 1)" in used.finding("service.leases").says
    assert used.tree() == before


def test_a_problem_is_said_with_the_command_that_mends_it(patient: Patient) -> None:
    patient.shim().unlink()

    done = patient.run()

    assert done.returncode == 1
    lines = [line.strip() for line in done.stdout.splitlines()]
    (at,) = [number for number, line in enumerate(lines) if line.startswith("problem")]
    assert "OpenCode does not load background-agents" in lines[at]
    # Before it the explanation, on as many lines as the length of a path makes it.
    mends = next(line for line in lines[at + 1 :] if line.startswith("$"))
    assert mends == "$ background-agents install"
    assert lines[-1] == "1 problem; what stands behind a $ mends it."


def test_what_is_not_ok_has_a_command(used: Patient) -> None:
    used.shim().unlink()
    used.env |= {"OPENCODE_PURE": "1", "BACKGROUND_AGENTS_TIMEOUT": "3"}
    found = findings(used.examined())
    assert {one.mark for one in found} == set(Mark)
    assert [one for one in found if (one.mend is None) is not (one.mark is Mark.OK)] == []


def test_the_project_can_be_named(used: Patient) -> None:
    used.database.parent.rename(used.database.parent.with_name("elsewhere"))
    done = used.run("-C", str(used.project), cwd=used.home.root)
    assert done.returncode == 0, done.stdout
    assert f"$ cd {used.project} && opencode" in done.stdout


def test_a_check_that_fails_does_not_keep_the_others_from_being_run(used: Patient) -> None:
    (used.data / "sockets").write_text("not a folder")

    found = findings(used.examined())

    (one,) = [one for one in found if one.mark is Mark.PROBLEM]
    assert one.check == "service.check_sockets"
    assert "NotADirectoryError" in one.says
    assert {"database.sound", "log.errors"} <= {one.check for one in found}


def test_it_is_narrow_in_a_narrow_terminal_and_never_coloured_in_a_pipe(used: Patient) -> None:
    used.env["COLUMNS"] = "50"
    shown = used.run().stdout
    sentences = [line for line in shown.splitlines() if "/" not in line]
    assert max(map(len, sentences)) <= 50
    assert "\x1b" not in shown


def test_opencode_is_missing(used: Patient) -> None:
    (used.programs / "opencode").unlink()
    used.env["PATH"] = f"{used.programs}:/usr/bin:/bin"
    one = used.finding("opencode.program")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "npm install -g opencode-ai")
    assert "not in PATH" in one.says


@pytest.mark.parametrize(
    ("version", "mark"),
    [
        ("1.14.9", Mark.WARNING),
        ("1.15.0", Mark.OK),
        ("1.18.99", Mark.OK),
        ("1.19.0", Mark.WARNING),
        ("2.0.1-beta", Mark.OK),
        ("0.0.0-next-16350", Mark.OK),
    ],
)
def test_an_untested_version_is_named(used: Patient, version: str, mark: Mark) -> None:
    replace(used, f"echo {version}")
    one = used.finding("opencode.version")
    assert one.mark is mark
    assert f"OpenCode {version}" in one.says
    assert one.mend == (None if mark is Mark.OK else f"opencode upgrade {NEWEST}")


def test_a_line_that_nobody_knows_yet_wants_a_newer_background_agents(used: Patient) -> None:
    replace(used, "echo opencode v3.0.0")
    one = used.finding("opencode.version")
    assert one.mark is Mark.WARNING
    assert one.mend is not None
    assert "background-agents" in one.mend


def test_both_lines_beside_each_other_are_told(used: Patient) -> None:
    second = used.programs / "opencode2"
    second.write_text("#!/bin/sh\necho opencode2 v0.0.0-next-16350\n")
    second.chmod(0o755)
    told = [one.says for one in findings(used.examined()) if one.check == "opencode.version"]
    assert len(told) == 2
    assert str(second) in told[1]
    assert "0.0.0-next-16350" in told[1]


@pytest.mark.parametrize("script", ["echo no >&2; exit 1", "echo nonsense"])
def test_an_opencode_that_does_not_work_is_named(used: Patient, script: str) -> None:
    replace(used, script)
    one = used.finding("opencode.program")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "npm install -g opencode-ai")
    assert "no." in one.says or "nonsense." in one.says


def replace(patient: Patient, script: str) -> None:
    program = patient.programs / "opencode"
    program.unlink()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_tested_versions_are_those_of_the_makefile() -> None:
    words = [line.split() for line in (ROOT / "Makefile").read_text().splitlines()]
    named = {line[0]: line[2:] for line in words if line[1:2] == [":="]}
    (pinned,), others = named["OPENCODE_PINNED"], named["OPENCODE_OTHERS"]
    numbers = [tuple(map(int, one.split(".")))[:2] for one in (pinned, *others)]
    assert pinned == NEWEST
    assert (min(numbers), max(numbers)) == TESTED


def test_plugins_are_switched_off(used: Patient) -> None:
    used.env["OPENCODE_PURE"] = "1"
    one = used.finding("opencode.pure")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "unset OPENCODE_PURE")
