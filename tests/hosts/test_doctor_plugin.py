"""What the doctor finds of the plugin: each thing that may be wrong is made wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from patients import Patient, findings, write

import background_agents
from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.hosts.cli.installing.plugin_files import BRIDGE, Scope

pytestmark = pytest.mark.opencode

ROOT = Path(__file__).parents[2]


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


def test_the_bridge_of_a_project_is_gone(used: Patient) -> None:
    used.shim().unlink()
    used.install(Scope.PROJECT)
    file = used.shim(Scope.PROJECT)
    file.write_text(file.read_text().replace(str(BRIDGE), "/gone/bridge.js"))
    assert used.finding("plugin.bridge").mend == "background-agents install --project"


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
    """As after an installation that was cut off."""
    (copied(used) / "hosts" / "opencode" / "server.py").unlink()
    one = used.finding("plugin.package")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "No module named 'background_agents.hosts.opencode.server'" in one.says


def copied(patient: Patient) -> Path:
    """Let our file name a Python with a copy of the package; return where that is."""
    other = patient.home.root / "other"
    package = other / "background_agents"
    shutil.copytree(Path(background_agents.__file__).parent, package)
    pointed_at(patient, script(patient, f'shift; PYTHONPATH={other} exec {sys.executable} "$@"'))
    return package


def test_nothing_of_the_project_is_run(used: Patient) -> None:
    """It may be somebody else's, whom one does not trust."""
    used.shim().unlink()
    used.install(Scope.PROJECT)
    traces = used.home.root / "traces"
    python = script(used, f"echo python >> {traces}")
    file = used.shim(Scope.PROJECT)
    file.write_text(file.read_text().replace(sys.executable, str(python)))
    for name in ("msgspec", "background_agents", "random"):
        write(used.project / f"{name}.py", f"open({str(traces)!r}, 'a').write({name!r})")

    one = used.finding("plugin.python", "-C", str(used.project))

    assert one.mark is Mark.OK
    assert f"names {python}, which is not tried" in one.says
    used.install(Scope.PROJECT)
    assert "runs background-agents" in used.finding("plugin.python", "-C", str(used.project)).says
    assert not traces.exists()


def test_the_python_is_too_old(used: Patient) -> None:
    pointed_at(used, script(used, "echo 3.9.18"))
    one = used.finding("plugin.python")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "Python 3.9.18; it must be 3.11 or newer" in one.says


def test_the_plugin_has_another_version(used: Patient) -> None:
    """As after an upgrade of one of two installations."""
    file = copied(used) / "__init__.py"
    file.write_text(file.read_text().replace(background_agents.__version__, "0.0.9"))
    one = used.finding("plugin.version")
    assert (one.mark, one.mend) == (Mark.PROBLEM, "background-agents install")
    assert "0.0.9" in one.says
    assert background_agents.__version__ in one.says
