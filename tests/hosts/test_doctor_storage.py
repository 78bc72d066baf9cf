"""What the doctor finds of folders, disks and the database, each really harmed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from patients import Patient, crash, cut_short, lease, write

from background_agents.adapters.system.processes import process_name
from background_agents.hosts.cli.diagnosis.findings import Mark

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


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
