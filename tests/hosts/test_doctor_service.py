"""What the doctor finds of the service, and of work that nobody looks after."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from patients import Patient, dead, lease, process
from stored import store

from background_agents.adapters.system.processes import process_name
from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.testing.contracts.samples import launched, registered

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


def test_a_service_runs(used: Patient) -> None:
    with process() as service:
        lease(used, process_name(service.pid))
        one = used.finding("service.running")
    assert one.mark is Mark.OK
    assert f"(process {os.getpid()})" in one.says


def test_the_claim_of_a_dead_service_is_mentioned(used: Patient) -> None:
    owner = dead()
    lease(used, owner)
    one = used.finding("service.leases")
    assert one.mark is Mark.OK
    assert f"process {owner.partition(':')[0]}" in one.says


def test_a_claim_of_another_run_of_the_machine_is_dead(used: Patient) -> None:
    lease(used, process_name(), boot="another")
    for file in used.database.parent.glob(f"{used.database.name}*"):
        os.utime(file, (0, 0))  # what another machine renews is written all the time
    assert used.finding("service.leases").mark is Mark.OK
    assert "ran last on" in used.finding("service.running").says


def test_a_home_that_is_shared_is_named_and_nothing_there_is_an_orphan(used: Patient) -> None:
    inside = f"{process_name()}@1"
    lease(used, inside)
    store(used.database, registered("calm-red-fox", owner=inside), launched())
    one = used.finding("service.elsewhere")
    assert one.mark is Mark.OK
    assert "Another container or machine" in one.says
    assert used.finding("service.orphans").mark is Mark.OK


def test_an_orphan_is_a_problem_where_nobody_lives(used: Patient) -> None:
    owner = dead()
    lease(used, owner)
    store(used.database, registered("calm-red-fox", owner=owner), launched())
    one = used.finding("service.orphans")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents recover")
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
