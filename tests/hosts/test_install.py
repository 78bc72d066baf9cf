"""``background-agents install`` and ``uninstall``, as processes in a home of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import background_agents

BRIDGE = Path(background_agents.__file__).parent / "hosts" / "opencode" / "bridge.js"


@dataclass
class User:
    """Somebody with a home and a git project, and a shell to run our command in."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config" / "opencode"

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def file(self) -> Path:
        return self.config / "plugin" / "background-agents.js"

    @property
    def project_file(self) -> Path:
        return self.project / ".opencode" / "plugin" / "background-agents.js"

    def run(
        self,
        *args: str,
        cwd: Path | None = None,
        xdg: bool = True,
        path: Path | None = None,
        python: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        # Without an OpenCode that the developer may have.
        env = {"PATH": str(path or "/usr/bin:/bin"), "HOME": str(self.root), "NO_COLOR": "1"}
        if xdg:
            env["XDG_CONFIG_HOME"] = str(self.root / "config")
        command = [str(python or sys.executable), "-m", "background_agents", *args]
        return subprocess.run(
            command, cwd=cwd or self.project, env=env, capture_output=True, text=True, timeout=30
        )

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_text() for path in found}


@pytest.fixture
def user(tmp_path: Path) -> User:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return User(tmp_path)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def written(user: User) -> list[str]:
    """Return which files there are beside the panel's."""
    return [one for one in user.files() if "/plugins/background-agents/" not in one]


def refused(user: User, *args: str) -> str:
    """Run a command that must be refused, change nothing, and say so in one line."""
    before = user.files()
    done = user.run(*args)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert user.files() == before
    return done.stderr


def test_it_writes_one_line_with_absolute_paths(user: User) -> None:
    done = user.run("install")

    assert done.returncode == 0, done.stderr
    assert str(user.file) in done.stdout
    comment, code = user.file.read_text().splitlines()
    assert comment.startswith("// ")
    assert "`background-agents uninstall`" in comment
    assert code == (
        f'import {{ plugin }} from "{BRIDGE}"; '
        f'export default plugin({{ python: "{sys.executable}" }})'
    )
    assert written(user) == ["config/opencode/plugin/background-agents.js"]


def test_without_xdg_it_goes_to_dot_config(user: User) -> None:
    assert user.run("install", xdg=False).returncode == 0

    assert written(user) == [".config/opencode/plugin/background-agents.js"]


def test_a_second_install_changes_nothing(user: User) -> None:
    user.run("install")
    before = user.file.stat()

    done = user.run("install")

    assert done.returncode == 0
    assert done.stdout.startswith("Already there: ")
    assert user.file.stat().st_mtime_ns == before.st_mtime_ns


def test_an_install_refreshes_what_points_elsewhere(user: User) -> None:
    user.run("install")
    current = user.file.read_text()
    user.file.write_text(current.replace(sys.executable, "/gone/bin/python"))

    done = user.run("install")

    assert done.stdout.startswith("Refreshed: ")
    assert user.file.read_text() == current


def test_an_install_refreshes_what_an_earlier_version_wrote_for_opencode_1_alone(
    user: User,
) -> None:
    write(
        user.file,
        "// Written by `background-agents install`; `background-agents uninstall` removes it.\n"
        f'import {{ connect }} from "{BRIDGE}"; '
        f'export const BackgroundAgents = connect({{ python: "{sys.executable}" }})\n',
    )

    done = user.run("install")

    assert done.stdout.startswith("Refreshed: ")
    assert "export default plugin(" in user.file.read_text()
    assert written(user) == ["config/opencode/plugin/background-agents.js"]


def test_a_project_install_goes_to_the_top_of_its_git_tree(user: User) -> None:
    deep = user.project / "src" / "deep"
    deep.mkdir(parents=True)

    done = user.run("install", "--project", cwd=deep)

    assert done.returncode == 0, done.stderr
    assert written(user) == ["project/.opencode/plugin/background-agents.js"]
    assert "uninstall --project" in user.project_file.read_text()


def test_a_folder_outside_git_is_its_own_project(user: User) -> None:
    folder = user.root / "elsewhere" / "deep"
    folder.mkdir(parents=True)

    assert user.run("install", "--project", cwd=folder).returncode == 0

    assert written(user) == ["elsewhere/deep/.opencode/plugin/background-agents.js"]


def test_it_says_which_opencode_there_is(user: User) -> None:
    program = write(user.root / "bin" / "opencode2", "#!/bin/sh\necho opencode2 v2.1.4\n")
    program.chmod(0o755)
    assert "none is installed here" in user.run("install", path=Path("/usr/bin")).stdout

    done = user.run("install", path=program.parent)

    assert f"Yours is OpenCode 2 (2.1.4, {program})." in done.stdout.splitlines()


def test_a_managed_server_that_runs_wants_a_restart(user: User) -> None:
    about = {"url": "http://127.0.0.1:9", "pid": os.getpid(), "version": "2.1.4", "password": "x"}
    write(user.root / ".local/state/opencode/service.json", json.dumps(about))

    assert "opencode service restart" in user.run("install").stdout


def test_print_writes_nothing(user: User) -> None:
    done = user.run("install", "--print")

    assert done.returncode == 0
    assert done.stdout.startswith(f"{user.file}\n")
    assert str(BRIDGE) in done.stdout
    assert user.files() == {}


def test_uninstall_removes_our_file_and_nothing_else(user: User) -> None:
    other = write(user.file.with_name("other.js"), "export const Other = async () => ({})\n")
    config = write(user.config / "opencode.json", '{"plugin": ["oh-my-opencode"]}')
    assert user.run("install").returncode == 0

    done = user.run("uninstall")

    assert done.returncode == 0
    assert done.stdout.startswith(f"Removed: {user.file}\n")
    assert set(user.files()) == {str(path.relative_to(user.root)) for path in (other, config)}


def test_uninstall_leaves_no_folder_of_ours(user: User) -> None:
    user.run("install")
    user.run("uninstall")

    assert not user.file.parent.exists()
    assert user.config.exists()


def test_uninstall_says_when_there_was_none(user: User) -> None:
    user.run("install", "--project")

    done = user.run("uninstall")

    assert (done.returncode, done.stdout) == (0, f"There was none: {user.file}\n")
    assert user.run("uninstall", "--project").stdout.startswith(f"Removed: {user.project_file}\n")


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_file_of_the_same_name_that_is_not_ours_is_left_alone(user: User, command: str) -> None:
    write(user.file, "export const Mine = async () => ({})\n")

    assert str(user.file) in refused(user, command)


@pytest.mark.parametrize(
    "text",
    [
        'tool: { delegate: createDelegate(m), "delegation_read": createRead(m) }',
        "return { tool: { delegate: tool({ description: 'x' }) } }",
        'export * from "opencode-background-agents"',
        'import { Plugin } from "/home/me/node_modules/kdco-background-agents/index.ts"',
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        "config/opencode/plugin/a.js",
        "config/opencode/plugins/a.ts",
        "project/.opencode/plugins/a.js",
        ".opencode/plugin/a.ts",
        "config/opencode/plugins/other/index.ts",
        "project/.opencode/plugin/other/server.js",
    ],
)
def test_another_delegation_plugin_is_named(user: User, place: str, text: str) -> None:
    file = write(user.root / place, text)

    assert str(file) in refused(user, "install")
    assert str(file) in refused(user, "install", "--project")


def test_the_same_plugin_in_the_other_scope_is_named(user: User) -> None:
    user.run("install")
    assert str(user.file) in refused(user, "install", "--project")

    user.run("uninstall")
    user.run("install", "--project")
    assert str(user.project_file) in refused(user, "install")


@pytest.mark.parametrize(
    "place",
    [
        "config/opencode/opencode.json",
        "config/opencode/opencode.jsonc",
        "project/opencode.json",
        "project/.opencode/opencode.jsonc",
    ],
)
def test_a_configured_package_is_named_with_its_line(user: User, place: str) -> None:
    text = """{
  // plugins "of mine"
  "plugin": [
    "oh-my-opencode",
    ["@kdco/background-agents@1.2", {"a": 1}],
  ], /* end */
}
"""
    file = write(user.root / place, text)

    said = refused(user, "install")

    assert f"{file} (line 5)" in said
    assert '"@kdco/background-agents@1.2"' in said


@pytest.mark.parametrize("key", ["plugin", "plugins"])
@pytest.mark.parametrize(
    "entry",
    [
        '"@kdco/background-agents"',
        '{"package": "@kdco/background-agents", "options": {}}',
        '"./rival.js"',
        '"./rival"',
    ],
)
def test_a_rival_is_named_in_either_list_and_in_each_form(user: User, key: str, entry: str) -> None:
    """OpenCode 1 and 2 call the list by different names, and 2 names packages and folders."""
    write(user.config / "rival.js", "tool: { delegation_read: 1 }")
    write(user.config / "rival" / "package.json", '{"main": "dist/main.js"}')
    write(user.config / "rival" / "dist" / "main.js", "tool: { delegation_read: 1 }")
    file = write(user.config / "opencode.json", f'{{"{key}": [\n  {entry}\n]}}')

    assert f'in the "{key}" list of {file} (line 2)' in refused(user, "install")


@pytest.mark.parametrize("key", ["plugin", "plugins"])
def test_our_plugin_in_a_list_is_a_second_one(user: User, key: str) -> None:
    user.run("install")
    copy = write(user.config / "copies" / "index.js", user.file.read_text())
    user.run("uninstall")
    write(user.config / "opencode.json", f'{{"{key}": ["./copies"]}}')

    assert str(copy) in refused(user, "install")


def test_our_own_file_in_a_list_is_loaded_once(user: User) -> None:
    user.run("install")
    write(user.config / "opencode.json", '{"plugin": ["./plugin/background-agents.js"]}')

    assert user.run("install").stdout.startswith("Already there: ")


def test_a_plugin_above_the_work_tree_is_named(user: User) -> None:
    """OpenCode 2 reads `.opencode` of every folder above; OpenCode 1 those of the work tree."""
    inner = user.project / "inner"
    (inner / ".git").mkdir(parents=True)
    above = write(user.project / ".opencode" / "plugins" / "b.js", "tool: { delegation_read: 1 }")

    done = user.run("install", cwd=inner)
    assert done.returncode == 2
    assert str(above) in done.stderr


def test_what_opencode_2_is_told_to_leave_out_is_no_conflict(user: User) -> None:
    write(user.config / "opencode.json", '{"plugins": ["-kdco-background-agents"]}')

    assert user.run("install").returncode == 0


def test_other_plugins_are_no_conflict(user: User) -> None:
    write(user.config / "opencode.json", '{"plugin": ["oh-my-opencode", "file:///x/y.js"]}')
    write(
        user.config / "plugin" / "task.js", "// I delegate: nothing\ntool: { background_task: 1 }"
    )
    write(user.config / "plugin" / "notes.md", "delegation_read")

    assert user.run("install").returncode == 0


def test_a_configuration_that_is_not_json_is_named(user: User) -> None:
    file = write(user.config / "opencode.json", '{"plugin": [')

    assert str(file) in refused(user, "install")
