"""What the doctor finds of the panel, which OpenCode's terminal skips in silence when it cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from patients import write

from background_agents.client.place import Place
from background_agents.hosts.cli.diagnosis import panel as checks
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark
from background_agents.hosts.cli.diagnosis.scene import Scene
from background_agents.hosts.cli.installing import panel, plugin_files
from background_agents.hosts.cli.installing.panel import SCRIPT, SECOND, Config
from background_agents.hosts.cli.installing.plugin_files import Scope

OTHER = "/gone/lib/background_agents/hosts/opencode/tui.js"


class User:
    """Somebody with our plugin, and an OpenCode that says its version and nothing else."""

    def __init__(self, root: Path) -> None:
        self.env: dict[str, str] = {
            "HOME": str(root), "XDG_CONFIG_HOME": str(root / "config"),
            "PATH": f"{root / 'bin'}:/usr/bin:/bin",
        }  # fmt: skip
        self.root = root
        self.config = root / "config" / "opencode"
        self.project = root / "project"
        (self.project / ".git").mkdir(parents=True)
        self.opencode("1.18.33")
        plugin_files.install(self.scene.places, Scope.GLOBAL)

    def opencode(self, version: str, name: str = "opencode") -> None:
        program = write(self.root / "bin" / name, f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)

    @property
    def scene(self) -> Scene:
        return Scene(Place(self.project, self.root / "data", "x"), self.env)

    def says(self, file: Path, **members: object) -> Path:
        return write(file, json.dumps(members))

    def findings(self) -> dict[str, Finding]:
        scene = self.scene
        found = [*checks.check_configuration(scene), *checks.check_loaded(scene)]
        return {one.check: one for one in found}

    def finding(self) -> tuple[str, Mark, str | None]:
        """Return the only finding: its name, its mark and what mends it."""
        (one,) = self.findings().values()
        return one.check, one.mark, one.mend


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_what_install_writes_is_well(user: User) -> None:
    panel.install(Config(user.config / "tui.json"))

    one = user.findings()["panel.loaded"]
    assert one.mark is Mark.OK
    assert f"OpenCode 1.18.33 loads the panel by {user.config / 'tui.json'}" in one.says


@pytest.mark.parametrize("version", ["1.15.4", "1.18.33", "2.1.0"])
def test_there_is_none(user: User, version: str) -> None:
    user.opencode(version)
    assert user.finding() == ("panel.loaded", Mark.WARNING, "background-agents install")


def test_none_in_the_project_that_has_the_plugin(user: User) -> None:
    places = user.scene.places
    plugin_files.uninstall(places, Scope.GLOBAL)
    plugin_files.install(places, Scope.PROJECT)
    mend = f"cd {user.project} && background-agents install --project"
    assert user.finding() == ("panel.loaded", Mark.WARNING, mend)

    panel.install(Config(user.project / "tui.json"))  # the top of a project counts as well
    assert user.finding()[1] is Mark.OK


def test_without_the_plugin_that_is_told_first(user: User) -> None:
    plugin_files.uninstall(user.scene.places, Scope.GLOBAL)
    assert user.findings() == {}


@pytest.mark.parametrize(
    "place", ["config/opencode/tui.jsonc", "project/tui.json", "project/.opencode/tui.json"]
)
def test_a_broken_file_is_named_wherever_it_is(user: User, place: str) -> None:
    panel.install(Config(user.config / "tui.json"))
    file = write(user.root / place, '{"theme": "x", "plugin": [')

    one = user.findings()["panel.configuration"]
    assert (one.mark, one.mend) == (Mark.PROBLEM, f"${{EDITOR:-vi}} {file}")
    assert "skips all of it" in one.says
    assert user.findings()["panel.loaded"].mark is Mark.OK


def test_the_panel_of_another_installation(user: User) -> None:
    user.says(user.config / "tui.json", plugin=[OTHER])
    assert user.finding() == ("panel.script", Mark.WARNING, "background-agents install")


def test_two_panels(user: User) -> None:
    """The second has an id that is in use, and is not run."""
    user.says(user.config / "tui.json", plugin=[str(SCRIPT), "mine.js", [OTHER, {}]])
    assert user.finding() == ("panel.script", Mark.WARNING, "background-agents install")


def test_a_file_that_the_environment_names_counts(user: User) -> None:
    user.env["OPENCODE_TUI_CONFIG"] = str(
        user.says(user.root / "mine.json", plugin=[f"file://{SCRIPT}"])
    )
    assert user.finding() == ("panel.loaded", Mark.OK, None)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("tui.json", {"plugin": [str(SCRIPT)], "plugin_enabled": {"background-agents": False}}),
        ("cli.json", {"plugins": [str(SCRIPT), "-background-agents"]}),
    ],
)
def test_switched_off_is_its_users_will(
    user: User, name: str, members: Mapping[str, object]
) -> None:
    file = user.says(user.config / name, **members)
    assert user.finding() == ("panel.off", Mark.OK, None)
    assert str(file) in user.findings()["panel.off"].says


def test_an_opencode_that_is_too_old(user: User) -> None:
    user.opencode("1.3.2")
    assert user.finding() == ("panel.version", Mark.OK, None)

    panel.install(Config(user.config / "tui.json"))
    assert user.finding() == ("panel.version", Mark.WARNING, "opencode upgrade")


def test_opencode_2_has_a_folder(user: User) -> None:
    user.opencode("2.1.0")
    places = user.scene.places
    panel.install_package(places, Scope.GLOBAL)
    assert user.finding() == ("panel.loaded", Mark.OK, None)

    script = panel.package(places, Scope.GLOBAL) / "tui.js"
    script.write_text(script.read_text().replace(str(SECOND), "/gone/v2/panel.js"))
    assert user.finding() == ("panel.script", Mark.WARNING, "background-agents install")


def test_a_preview_of_opencode_2_cannot_draw(user: User) -> None:
    user.opencode("0.0.0-next-16350")
    panel.install_package(user.scene.places, Scope.GLOBAL)
    assert user.finding() == ("panel.version", Mark.OK, None)


def test_both_lines_are_told_each(user: User) -> None:
    user.opencode("2.1.0", "opencode2")
    panel.install_package(user.scene.places, Scope.GLOBAL)
    first, second = checks.check_loaded(user.scene)
    assert (first.mark, second.mark) == (Mark.WARNING, Mark.OK)


def test_a_path_that_opencode_cannot_load(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    file = user.config / "tui.json"
    panel.install(Config(file))
    monkeypatch.setattr(panel, "IS_LOADABLE", False)
    assert user.finding() == ("panel.script", Mark.WARNING, f"${{EDITOR:-vi}} {file}")
