"""The doctor beside a real OpenCode that runs, is frozen, and is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from plays import Stage, delegate, say, staged

from background_agents.client.connection import all_of
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark, Report
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only(
        "1", why="the doctor looks at our service; see test_managed_server for OpenCode 2"
    ),
]


async def examined(stage: Stage) -> dict[str, Finding]:
    """Call the doctor as a process, and return its findings by name."""
    opencode = stage.opencode
    programs = opencode.home.root / "programs"
    programs.mkdir(exist_ok=True)
    if not (programs / "opencode").exists():
        (programs / "opencode").symlink_to(opencode.binary.path)
    env = opencode.home.environment()
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "background_agents", "doctor", "--json"),
        cwd=opencode.home.project,
        env={**env, "PATH": f"{programs}:{env['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(running.communicate(), 60)
    report = msgspec.json.decode(said, type=Report)
    return {one.check: one for section in report.sections for one in section.findings}


async def gone(pid: int) -> None:
    """Return once a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 20)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_it_sees_a_service_live_freeze_and_die(tmp_path: Path, line: Line) -> None:
    async with staged(tmp_path, line) as stage:
        pid = stage.opencode.pid
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Go on.", say("Half. ", gate="held")), say("Off."))
        (name,) = await supervisor.delegated()
        await stage.model.wait_held("held")

        found = await examined(stage)
        # Nobody has installed a panel here.
        assert {one.check for one in found.values() if one.mark is not Mark.OK} == {"panel.loaded"}
        assert f"(process {pid})" in found["service.running"].says
        assert found["service.orphans"].says == "Active delegations: 1, all looked after."

        os.killpg(pid, signal.SIGSTOP)
        try:
            frozen = (await examined(stage))["service.frozen"]
        finally:
            os.killpg(pid, signal.SIGCONT)
        assert frozen.mark is Mark.PROBLEM
        assert frozen.mend is not None
        service = int(frozen.mend.removeprefix("kill -CONT "))

        await stage.opencode.kill()
        await gone(service)
        found = await examined(stage)
        assert found["service.orphans"].mark is Mark.PROBLEM
        assert name in found["service.orphans"].says
        assert str(service) in found["service.leases"].says


async def test_it_tells_what_a_living_service_cannot_do(tmp_path: Path, line: Line) -> None:
    """Another program keeps the database: the service goes on trying, and says since when."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Be short.", say("Done.")), say("Off."))
        await supervisor.settled()
        data = stage.opencode.home.data / "delegations"
        (database,) = data.glob("*/delegations.db")
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.to_thread(wait_until_failing, data, True)
            one = (await examined(stage))["service.failing"]
            other.execute("ROLLBACK")
        await asyncio.to_thread(wait_until_failing, data, False)

        assert one.mark is Mark.PROBLEM
        assert one.says.startswith("The heartbeat of the service (process ")
        assert "database is locked" in one.says
        assert one.mend == f"tail -n 50 {data}/service.log"
        assert "service.failing" not in await examined(stage)


def wait_until_failing(data: Path, expected: bool) -> None:
    """Return once the service says whether it fails; it tells those who ask, and nobody else."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        (client,) = all_of(data)
        with client:
            if bool(client.about().failing) is expected:
                return
        time.sleep(0.2)
    raise AssertionError(f"it does not say that failing is {expected}")
