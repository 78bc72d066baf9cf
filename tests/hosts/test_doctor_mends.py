"""The command that the doctor names is run, and mends what it says it mends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from patients import Patient, dead, findings, write

from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.hosts.cli.installing.plugin_files import BRIDGE, Scope

pytestmark = pytest.mark.opencode

Harm = Callable[[Patient], object]

HARMS: dict[str, Harm] = {
    "plugin.loaded": lambda one: one.shim().unlink(),
    "plugin.twice": lambda one: one.install(Scope.PROJECT),
    "plugin.rival": lambda one: write(
        one.home.config / "plugins" / "a b.js", 'tool: { "delegation_read": read() }'
    ),
    "plugin.python": lambda one: one.shim().write_text(
        one.shim().read_text().replace(sys.executable, "/gone/python")
    ),
    "plugin.bridge": lambda one: one.shim().write_text(
        one.shim().read_text().replace(str(BRIDGE), "/gone/bridge.js")
    ),
    "service.sockets": lambda one: write(
        one.data / "sockets" / f"{dead().replace(':', '-')}.sock", ""
    ),
    "storage.link": lambda one: linked(one.data),
    "storage.mode": lambda one: one.data.chmod(0o755),
    "storage.folder": lambda one: (one.data.rename(one.home.root / "old"), one.data.touch()),
    "database.mode": lambda one: one.database.chmod(0o644),
    "database.link": lambda one: linked(one.database),
    "database.leftovers": lambda one: write(
        one.database.with_name(f"{one.database.name}.damaged-20300101T000000.000000Z"), ""
    ),
}

SETTINGS = {
    "opencode.pure": {"OPENCODE_PURE": "1"},
    "settings.refused": {"BACKGROUND_AGENTS_LOG": "loud"},
    "settings.unknown": {"BACKGROUND_AGENTS_TIMEOUT_MINUTE": "3"},
}


def linked(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("real")))


@pytest.mark.parametrize("check", HARMS)
def test_the_command_mends_it(used: Patient, check: str) -> None:
    HARMS[check](used)
    mend = used.finding(check).mend
    assert mend is not None

    shell(used, mend)

    found = {one.check: one for one in findings(used.examined())}
    assert check not in found or found[check].mark is Mark.OK
    assert [one.says for one in found.values() if one.mark is Mark.PROBLEM] == []


@pytest.mark.parametrize("check", SETTINGS)
def test_the_command_mends_the_shell_that_it_is_typed_in(used: Patient, check: str) -> None:
    used.env |= SETTINGS[check]
    mend = used.finding(check).mend

    said = shell(used, f"{mend}; background-agents doctor")

    assert "All is well" in said


def shell(patient: Patient, command: str) -> str:
    programs = Path(sys.executable).parent
    env = {**patient.env, "PATH": f"{patient.programs}:{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=patient.project, env=env, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    return done.stdout
