"""``background-agents doctor``, as a process: each thing that may be wrong is made wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from patients import Patient, dead, findings, process
from stored import claim, store

import background_agents
from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.hosts.cli.diagnosis.opencode import NEWEST, TESTED
from background_agents.hosts.cli.plugin_files import BRIDGE, Scope
from background_agents.hosts.cli.registry import COMMANDS
from background_agents.ports import Lease
from background_agents.service.leases import boot_id
from background_agents.service.processes import process_name
from background_agents.testing.contracts.samples import completed, launched, registered

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient.healthy(tmp_path / "patient")


@pytest.fixture
def used(patient: Patient) -> Patient:
    """One in whose project something was delegated, and has ended."""
    store(patient.database, registered(owner=dead()), launched(), completed())
    return patient


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


# --- the whole -------------------------------------------------------------------------


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
    crash(path, "INSERT INTO leases VALUES ('1:1', '1:1', 'boot', 1.0)")
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
    assert "$ background-agents install" in lines[at + 1 : at + 4]
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


# --- OpenCode ----------------------------------------------------------------------------


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
        ("2.0.1-beta", Mark.WARNING),
    ],
)
def test_an_untested_version_is_named(used: Patient, version: str, mark: Mark) -> None:
    replace(used, f"echo {version}")
    one = used.finding("opencode.version")
    assert one.mark is mark
    assert f"OpenCode {version}" in one.says
    assert one.mend == (None if mark is Mark.OK else f"opencode upgrade {NEWEST}")


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


# --- the plugin --------------------------------------------------------------------------


def test_the_plugin_is_nowhere(used: Patient) -> None:
    used.shim().unlink()
    one = used.finding("plugin.loaded")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")


def test_the_plugin_of_a_project_is_enough(used: Patient) -> None:
    used.shim().unlink()
    used.install(Scope.PROJECT)
    one = used.finding("plugin.loaded")
    assert one.mark is Mark.OK
    assert str(used.shim(Scope.PROJECT)) in one.says

    used.env["OPENCODE_DISABLE_PROJECT_CONFIG"] = "1"
    one = used.finding("plugin.loaded")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "unset OPENCODE_DISABLE_PROJECT_CONFIG")


def test_the_plugin_is_loaded_twice(used: Patient) -> None:
    used.install(Scope.PROJECT)
    one = used.finding("plugin.twice")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents uninstall --project")
    assert set(one.details) == {str(used.shim()), str(used.shim(Scope.PROJECT))}


def test_a_copy_elsewhere_is_a_second_one(used: Patient) -> None:
    copy = write(used.home.root / "home/.opencode/plugin/b.js", used.shim().read_text())
    one = used.finding("plugin.twice")
    assert one.mend == f"rm {copy}"


def test_every_other_delegation_plugin_is_named(used: Patient) -> None:
    text = 'tool: { "delegation_read": createRead(m) }'
    first = write(used.home.config / "plugins" / "a.ts", text)
    second = write(used.project / ".opencode/plugin/b.js", text)
    third = write(used.project / "opencode.json", '{"plugin": ["kdco-background-agents"]}')
    fourth = write(used.home.root / "named.json", '{"plugin": ["@kdco/background-agents@1"]}')
    used.env["OPENCODE_CONFIG"] = str(fourth)

    found = [one for one in findings(used.examined()) if one.check == "plugin.rival"]

    assert {one.mend for one in found} == {
        f"mv {first} {first}.off",
        f"mv {second} {second}.off",
        f"${{EDITOR:-vi}} {third}",
        f"${{EDITOR:-vi}} {fourth}",
    }
    assert {one.mark for one in found} == {Mark.PROBLEM}


def test_a_configuration_that_is_not_json_is_named(used: Patient) -> None:
    file = write(used.project / "opencode.json", '{"plugin": [')
    one = used.finding("plugin.configuration")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"${{EDITOR:-vi}} {file}")


def test_our_file_was_changed(used: Patient) -> None:
    first, _ = used.shim().read_text().splitlines()
    used.shim().write_text(f"{first}\nexport const Something = 1\n")
    one = used.finding("plugin.file")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")


def test_the_bridge_is_gone(used: Patient) -> None:
    used.shim().write_text(used.shim().read_text().replace(str(BRIDGE), "/gone/bridge.js"))
    one = used.finding("plugin.bridge")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "/gone/bridge.js" in one.says


def pointed_at(patient: Patient, python: Path) -> None:
    """Let our file name another Python."""
    text = patient.shim().read_text().replace(sys.executable, str(python))
    patient.shim().write_text(text)


def script(patient: Patient, text: str) -> Path:
    file = write(patient.home.root / "python", f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_python_is_gone(used: Patient) -> None:
    pointed_at(used, Path("/gone/bin/python"))
    one = used.finding("plugin.python")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "/gone/bin/python" in one.says


def test_the_python_of_a_project_is_gone(used: Patient) -> None:
    used.shim().unlink()
    used.install(Scope.PROJECT)
    file = used.shim(Scope.PROJECT)
    file.write_text(file.read_text().replace(sys.executable, "/gone/bin/python"))
    assert used.finding("plugin.python").mend == "background-agents install --project"


def test_the_python_does_not_run(used: Patient) -> None:
    pointed_at(used, script(used, "echo broken >&2; exit 1"))
    one = used.finding("plugin.python")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "does not run: broken." in one.says


def test_the_python_has_not_the_package(used: Patient) -> None:
    """The system's Python, without what a virtual environment has."""
    python = used.home.root / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python.parents[1]], check=True)
    pointed_at(used, python)
    one = used.finding("plugin.package")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "No module named 'background_agents'" in one.says


def test_the_package_is_there_and_a_part_of_it_is_not(used: Patient) -> None:
    """A file in the project that is called like a module of ours comes first for Python."""
    write(used.project / "msgspec.py", "raise ImportError('not the one you want')")
    one = used.finding("plugin.package", "-C", str(used.project))
    assert one.mark is Mark.PROBLEM
    assert "not the one you want" in one.says


def test_the_python_is_too_old(used: Patient) -> None:
    pointed_at(used, script(used, "echo 3.9.18"))
    one = used.finding("plugin.python")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "Python 3.9.18; it must be 3.11 or newer" in one.says


def test_the_plugin_has_another_version(used: Patient) -> None:
    """As after an upgrade of one of two installations."""
    other = used.home.root / "other"
    shutil.copytree(Path(background_agents.__file__).parent, other / "background_agents")
    file = other / "background_agents" / "__init__.py"
    file.write_text(file.read_text().replace(background_agents.__version__, "0.0.9"))
    pointed_at(used, script(used, f'PYTHONPATH={other} exec {sys.executable} "$@"'))
    one = used.finding("plugin.version")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "0.0.9" in one.says
    assert background_agents.__version__ in one.says


# --- the service -------------------------------------------------------------------------


def test_a_service_runs(used: Patient) -> None:
    with process() as service:
        lease(used, process_name(service.pid))
        one = used.finding("service.running")
    assert one.mark is Mark.OK
    assert f"(process {os.getpid()})" in one.says


def lease(
    patient: Patient, owner: str, *, host: str | None = None, boot: str | None = None
) -> None:
    host = process_name() if host is None else host
    boot = boot_id() if boot is None else boot
    claim(patient.database, Lease(owner=owner, host=host, boot=boot, renewed_s=1.0))


def test_the_claim_of_a_dead_service_is_mentioned(used: Patient) -> None:
    owner = dead()
    lease(used, owner)
    one = used.finding("service.leases")
    assert one.mark is Mark.OK
    assert f"process {owner.partition(':')[0]}" in one.says


def test_a_claim_of_another_run_of_the_machine_is_dead(used: Patient) -> None:
    lease(used, process_name(), boot="another")
    assert used.finding("service.leases").mark is Mark.OK
    assert "ran last on" in used.finding("service.running").says


def test_an_orphan_is_a_problem_where_nobody_lives(used: Patient) -> None:
    owner = dead()
    lease(used, owner)
    store(used.database, registered("calm-red-fox", owner=owner), launched())
    one = used.finding("service.orphans")
    mend = "background-agents recover" if "recover" in COMMANDS else "opencode"
    assert (one.mark, one.mend) == (Mark.PROBLEM, mend)
    assert "calm-red-fox" in one.says


def test_an_orphan_is_taken_over_by_whoever_lives(used: Patient) -> None:
    store(used.database, registered("calm-red-fox", owner=dead()), launched())
    with process() as service:
        lease(used, process_name(service.pid))
        one = used.finding("service.orphans")
    assert (one.mark, one.mend) == (Mark.WARNING, "background-agents doctor")


def test_what_is_looked_after_is_no_orphan(used: Patient) -> None:
    with process() as service:
        owner = process_name(service.pid)
        lease(used, owner)
        store(used.database, registered("calm-red-fox", owner=owner), launched())
        one = used.finding("service.orphans")
    assert one.mark is Mark.OK


def test_a_frozen_service_is_named(used: Patient) -> None:
    with process() as service:
        freeze(service)
        lease(used, process_name(service.pid))
        one = used.finding("service.frozen")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"kill -CONT {service.pid}")


def test_a_frozen_opencode_is_named(used: Patient) -> None:
    with process() as service, process() as host:
        freeze(host)
        lease(used, process_name(service.pid), host=process_name(host.pid))
        one = used.finding("service.frozen")
    assert (one.mark, one.mend) == (Mark.WARNING, f"kill -CONT {host.pid}")


def freeze(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(19)
    os.waitpid(running.pid, os.WUNTRACED)


def test_an_opencode_that_runs_without_our_service_is_named(used: Patient) -> None:
    """Started before the installation; known by its name and its folder."""
    program = used.programs / "elsewhere" / "opencode"
    program.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", program)
    with process(str(program), "600", cwd=used.project) as running:
        one = used.finding("service.running")
    assert (one.mark, one.mend) == (Mark.WARNING, "opencode")
    assert f"(process {running.pid})" in one.says


def test_sockets_of_the_dead_are_named(used: Patient) -> None:
    folder = used.data / "sockets"
    folder.mkdir()
    names = [one.replace(":", "-") for one in (dead(), process_name())]
    for name in names:
        (folder / f"{name}.sock").touch()
    one = used.finding("service.sockets")
    assert (one.mark, one.mend) == (Mark.WARNING, f"rm {folder / names[0]}.sock")


# --- storage -----------------------------------------------------------------------------


def test_the_data_folder_is_a_link(used: Patient) -> None:
    real = used.home.root / "disk"
    used.data.rename(real)
    used.data.symlink_to(real)
    one = used.finding("storage.link")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"rm {used.data} && mv {real} {used.data}")


def test_the_projects_folder_is_a_link(used: Patient) -> None:
    folder = used.database.parent
    real = folder.rename(used.home.root / "disk")
    folder.symlink_to(real)
    one = used.finding("storage.link")
    assert one.mend == f"rm {folder} && mv {real} {folder}"


def test_the_data_folder_is_a_file(patient: Patient) -> None:
    write(patient.data, "")
    one = patient.finding("storage.folder")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"mv {patient.data} {patient.data}.aside")


def test_others_may_look_into_the_data_folder(used: Patient) -> None:
    used.data.chmod(0o755)
    one = used.finding("storage.mode")
    assert (one.mark, one.mend) == (Mark.WARNING, f"chmod 700 {used.data}")


def test_others_may_read_the_database(used: Patient) -> None:
    used.database.chmod(0o644)
    one = used.finding("database.mode")
    assert (one.mark, one.mend) == (Mark.WARNING, f"chmod 600 {used.database}")


def test_the_database_is_a_link(used: Patient) -> None:
    real = used.database.rename(used.home.root / "db")
    used.database.symlink_to(real)
    one = used.finding("database.link")
    assert (one.mark, one.mend) == (
        Mark.PROBLEM,
        f"rm {used.database} && mv {real} {used.database}",
    )


def mounted(how: str, place: Path) -> list[str]:
    """Return what runs a command with a disk of its own at ``place``; skips where it is barred."""
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    mount = f'mount -t tmpfs -o size={how},mode=700 none {place} && exec "$@"'
    before = ["unshare", *rights, "--mount", "sh", "-c", mount, "sh"]
    place.mkdir(parents=True, exist_ok=True)
    if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
        pytest.skip("no disk can be mounted here, and so none can be full or read-only")
    return before


def test_the_disk_is_full(used: Patient) -> None:
    folder = used.database.parent
    before = mounted("1m", folder)
    one = used.finding("storage.room", before=before)
    assert one.mark is Mark.PROBLEM
    assert "The disk is full" in one.says
    assert one.mend == f"du -ah {folder} 2>/dev/null | sort -rh | head -n 20"


def test_room_is_scarce(used: Patient) -> None:
    folder = used.database.parent
    before = mounted("50m", folder)
    assert used.finding("storage.room", before=before).mark is Mark.WARNING


def test_the_disk_is_read_only(used: Patient) -> None:
    data = used.data
    before = mounted("500m,ro", data)
    one = used.finding("storage.writable", before=before)
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"sudo mount -o remount,rw {data}")


def powerless() -> list[str]:
    """Return what runs a command without root's right to open everything, if we have it."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def test_the_data_folder_cannot_be_written(used: Patient) -> None:
    used.data.chmod(0o500)
    one = used.finding("storage.writable", before=powerless())
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"chmod u+rwx {used.data}")


def test_a_folder_above_the_data_folder_cannot_be_written(patient: Patient) -> None:
    above = patient.data.parents[1]
    above.mkdir(mode=0o500)
    one = patient.finding("storage.writable", before=powerless())
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"chmod u+rwx {above}")


def test_the_database_cannot_be_read(used: Patient) -> None:
    used.database.chmod(0o000)
    one = used.finding("database.readable", before=powerless())
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"chmod u+rw {used.database}")


def test_the_data_folder_cannot_be_made(patient: Patient, tmp_path: Path) -> None:
    file = write(tmp_path / "a file", "")
    patient.env["XDG_DATA_HOME"] = str(file)
    one = patient.finding("storage.folder")
    assert one.mark is Mark.PROBLEM
    assert f"{file} is not a folder" in one.says


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_data_folder_belongs_to_another_user(used: Patient) -> None:
    os.chown(used.data, 65534, -1)
    one = used.finding("storage.owner")
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"sudo chown -R $(id -un) {used.data}")


# --- the database ------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 6000)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"nonsense" * 512)


def change_a_record(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE delegations SET record = CAST('{}' AS BLOB)")


def replace_it(path: Path) -> None:
    path.write_bytes(b"this is no database " * 500)


def drop_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE notices")


def lose_it(path: Path) -> None:
    crash(path, "DELETE FROM pieces; INSERT INTO leases VALUES ('1:1', '1:1', 'b', 1.0)")
    path.unlink()


def crash(path: Path, sql: str) -> None:
    """Write to a database and die before anything is tidied up."""
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.executescript(sys.argv[2])\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), sql], check=True)


@pytest.mark.parametrize(
    "harm", [cut_short, overwrite, change_a_record, replace_it, drop_a_table, lose_it]
)
def test_a_damaged_database_is_named(used: Patient, harm: Callable[[Path], None]) -> None:
    harm(used.database)
    one = used.finding("database.damaged")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "opencode")
    assert f"{used.database} is damaged" in one.says
    assert "rebuilds it" in one.says


def test_who_has_it_open_is_to_quit_first(used: Patient) -> None:
    lease(used, process_name())
    change_a_record(used.database)
    assert "Quit OpenCode first." in used.finding("database.damaged").says


def test_what_a_rebuild_left_behind_is_named(used: Patient) -> None:
    left = used.database.with_name(f"{used.database.name}.damaged-20300101T000000.000000Z")
    left.write_bytes(b"x" * 10)
    one = used.finding("database.leftovers")
    assert (one.mark, one.mend, one.details) == (Mark.WARNING, f"rm {left}", (str(left),))


def test_a_database_of_a_newer_version_is_named(used: Patient) -> None:
    with closing(sqlite3.connect(used.database)) as connection:
        connection.execute("PRAGMA user_version = 99")
    one = used.finding("database.newer")
    assert one.mark is Mark.PROBLEM
    assert one.mend == f"{sys.executable} -m pip install --upgrade background-agents"


@pytest.mark.parametrize(
    "name", sorted(one.name for one in (ROOT / "tests/data/databases").glob("*.db"))
)
def test_a_database_of_an_older_version_is_sound_and_stays_as_it_is(
    patient: Patient, name: str
) -> None:
    patient.database.parent.mkdir(parents=True, mode=0o700)
    shutil.copy(ROOT / "tests/data/databases" / name, patient.database)
    patient.database.chmod(0o600)
    before = patient.database.read_bytes()
    one = patient.finding("database.sound")
    assert one.mark is Mark.OK
    assert patient.database.read_bytes() == before


def test_an_empty_database_is_one_that_was_just_begun(patient: Patient) -> None:
    patient.database.parent.mkdir(parents=True, mode=0o700)
    patient.database.touch(mode=0o600)
    assert patient.finding("database.sound").mark is Mark.OK


# --- settings, machine, log ----------------------------------------------------------------


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
