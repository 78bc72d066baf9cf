"""The panel's entry in the configuration of OpenCode's terminal: written, refreshed, removed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from test_install import User, write

from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.installing import panel
from background_agents.hosts.cli.installing.panel import SCRIPT, SECOND, Config
from background_agents.hosts.cli.installing.plugin_files import (
    ASIDE,
    Change,
    Places,
    Scope,
    refuse_what_vanishes,
)

MINE = """{
  // my theme
  "theme": "gruvbox",
  "plugin": [
    "mine.js", // my own
  ],
}
"""


@pytest.fixture
def user(tmp_path: Path) -> User:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return User(tmp_path)


def opencode(user: User, version: str, name: str = "opencode") -> Path:
    """Put an OpenCode into a folder, and return that for the PATH."""
    program = write(user.root / "bin" / name, f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program.parent


def test_the_script_is_there() -> None:
    assert SCRIPT.is_file()


def test_it_is_one_entry_in_a_new_file_and_goes_with_it(user: User) -> None:
    path = opencode(user, "1.18.33")
    before = user.files()

    said = user.run("install", path=path).stdout

    file = user.config / "tui.json"
    assert f"Installed: the panel's entry in {file}\n" in said
    assert json.loads(file.read_text()) == {"plugin": [str(SCRIPT)]}
    again = user.run("install", path=path).stdout
    assert f"Already there: the panel's entry in {file}\n" in again
    assert "next start" not in again
    removed = user.run("uninstall", path=path).stdout
    assert f"Removed: the panel's entry in {file}\n" in removed
    assert user.files() == before


@pytest.mark.parametrize("name", ["tui.json", "tui.jsonc"])
def test_a_file_that_is_there_keeps_everything_else(user: User, name: str) -> None:
    path, file = opencode(user, "1.15.4"), write(user.config / name, MINE)
    file.chmod(0o640)

    user.run("install", path=path)

    line = f'    "mine.js", // my own\n    "{SCRIPT}",\n'
    assert file.read_text() == MINE.replace('    "mine.js", // my own\n', line)
    assert file.stat().st_mode & 0o777 == 0o640
    user.run("uninstall", path=path)
    assert file.read_text() == MINE


def test_a_project_has_its_own(user: User) -> None:
    path = opencode(user, "1.18.33")

    user.run("install", "--project", path=path)

    file = user.project / ".opencode" / "tui.json"
    assert json.loads(file.read_text()) == {"plugin": [str(SCRIPT)]}
    assert not (user.config / "tui.json").exists()
    user.run("uninstall", "--project", path=path)
    assert not file.exists()


def test_print_shows_the_entry_and_writes_nothing(user: User) -> None:
    path = opencode(user, "1.18.33")
    before = user.files()

    said = user.run("install", "--print", path=path).stdout

    assert f"{user.config / 'tui.json'}\n" in said
    assert json.dumps(str(SCRIPT)) in said
    assert user.files() == before


@pytest.mark.parametrize("version", ["1.3.2", "1.14.34"])
def test_an_opencode_without_panels_is_left_alone(user: User, version: str) -> None:
    """Up to 1.3 it would throw its user's theme and keys away."""
    path = opencode(user, version)

    said = user.run("install", path=path).stdout

    assert "entry" not in said
    assert "OpenCode 1 shows no panel: none from 1.15 on is in PATH" in said

    assert not (user.config / "tui.json").exists()


@pytest.mark.parametrize("text", ['{"plugin": [', '{"plugin": "one"}', "[1]", "\udcff"])
def test_a_broken_file_is_left_alone_and_nothing_is_installed(user: User, text: str) -> None:
    file = user.config / "tui.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    path = opencode(user, "1.18.33")

    done = user.run("install", path=path)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(file) in done.stderr
    assert file.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert not user.file.exists()


def test_a_broken_file_that_does_not_name_us_keeps_nobody_from_uninstalling(user: User) -> None:
    user.run("install")
    file = write(user.config / "tui.json", '{"plugin": [')

    done = user.run("uninstall")

    assert (done.returncode, user.file.exists()) == (0, False)
    file.write_text(f'{{"plugin": ["{SCRIPT}"')
    assert str(file) in refused_after(user)


def refused_after(user: User) -> str:
    done = user.run("uninstall")
    assert done.returncode == 2
    return done.stderr


def test_the_file_that_has_the_entry_or_one_that_is_there(user: User) -> None:
    places = Places.of(user.project, {"XDG_CONFIG_HOME": str(user.root / "config")})

    def chosen() -> str:
        return panel.config_of(places, Scope.GLOBAL).file.name

    assert chosen() == "tui.json"
    write(user.config / "tui.jsonc", "{}")
    assert chosen() == "tui.jsonc"
    tui = write(user.config / "tui.json", '{"$schema": "https://opencode.ai/tui.json"}')
    assert chosen() == "tui.json"
    write(user.config / "tui.jsonc", f'{{"plugin": ["{SCRIPT}"]}}')
    assert chosen() == "tui.jsonc"
    tui.write_text(f'{{"plugin": ["{SCRIPT}"]}}')
    assert chosen() == "tui.json"


def test_what_opencode_2_made_of_the_entry_is_removed_as_well(user: User) -> None:
    """It copies the list into its cli.json, whose user's own entries stay."""
    text = (
        f'{{\n  "theme": {{"name": "x"}},\n  "plugins": [\n    "{SCRIPT}",\n    "mine"\n  ]\n}}\n'
    )
    file = write(user.config / "cli.json", text)
    user.run("install")
    assert file.read_text() == text

    said = user.run("uninstall").stdout

    assert f"Removed: the panel's entry in {file}\n" in said
    assert file.read_text() == text.replace(f'\n    "{SCRIPT}",', "")


@pytest.mark.parametrize(
    ("option", "folder"),
    [((), "config/opencode/plugins/background-agents"),
     (("--project",), "project/.opencode/plugins/background-agents")],
)  # fmt: skip
def test_opencode_2_gets_a_folder(user: User, option: tuple[str, ...], folder: str) -> None:
    there = user.root / folder
    said = user.run("install", *option).stdout
    assert f"Installed: {there}, the panel of OpenCode 2\n" in said
    about = json.loads((there / "package.json").read_text())
    assert about["exports"] == {"./tui": "./tui.js"}
    code = (there / "tui.js").read_text()
    assert f'import panel from "{SECOND}"; export default panel' in code

    (there / "tui.js").write_text(code.replace(str(SECOND), "/gone/v2/panel.js"))
    said = user.run("install", *option).stdout
    assert f"Refreshed: {there}, the panel of OpenCode 2\n" in said
    assert (there / "tui.js").read_text() == code

    mine = write(there / "mine.txt", "x")
    assert f"Removed: {there}\n" in user.run("uninstall", *option).stdout
    assert [one.name for one in there.iterdir()] == [mine.name]


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("tui.json", '"{}"'),
        ("tui.json", '"file://{}"'),
        ("tui.json", '["{}", {{"key": "<leader>k"}}]'),
        ("cli.json", '{{"package": "{}", "options": {{}}}}'),
    ],
)
def test_the_entry_of_an_earlier_installation_is_refreshed_with_its_options(
    tmp_path: Path, name: str, entry: str
) -> None:
    key = "plugins" if name == "cli.json" else "plugin"
    gone = "/gone/lib/background_agents/hosts/opencode/tui.js"
    text = f'{{"{key}": ["a", {entry.format(gone)}, "b", "{gone}"] /* c */}}'
    config = Config(write(tmp_path / name, text))

    assert panel.install(config) is Change.REFRESHED

    wanted = entry.replace("file://", "").format(SCRIPT)
    assert config.file.read_text() == f'{{"{key}": ["a", {wanted}, "b"] /* c */}}'
    assert panel.install(Config(config.file)) is Change.UNCHANGED


def test_an_entry_that_is_written_with_escapes_is_refreshed_as_well(tmp_path: Path) -> None:
    gone = "\\/gone\\/background_agents\\/hosts\\/opencode\\/tui.js"
    config = Config(write(tmp_path / "tui.json", f'{{"plugin": ["{gone}", "b"]}}'))

    assert panel.install(config) is Change.REFRESHED

    assert json.loads(config.file.read_text()) == {"plugin": ["b", str(SCRIPT)]}


def test_a_link_to_the_users_dotfiles_stays_one(tmp_path: Path) -> None:
    file = write(tmp_path / "dotfiles" / "tui.json", "{}\n")
    link = tmp_path / "tui.json"
    link.symlink_to(file)

    panel.install(Config(link))

    assert link.is_symlink()
    assert str(SCRIPT) in file.read_text()


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "config", "a file where a folder should be")

    with pytest.raises(InvalidRequest, match="cannot be written"):
        panel.install(Config(tmp_path / "config" / "tui.json"))


def test_uninstall_removes_what_serve_left_and_says_what_stays(user: User) -> None:
    data, settings = user.root / ".local/share/opencode/delegations", user.root / "config"
    aside = write(data / ASIDE / "index.js", "x").parent
    write(settings / "background-agents" / "config.toml", "")
    user.run("install")

    said = user.run("uninstall").stdout

    assert f"Removed: {aside}\n" in said
    assert not aside.exists()
    assert f"Your results and records stay in {data}\n" in said
    assert f"Your settings stay in {settings / 'background-agents' / 'config.toml'}\n" in said


def test_a_python_in_a_cache_is_refused(tmp_path: Path) -> None:
    """As `uvx`, `uv run` and `pipx run` make them; one that stays may bear the mark itself."""
    cache = tmp_path / "cache" / "uv"
    write(cache / "CACHEDIR.TAG", "")
    with pytest.raises(InvalidRequest, match=f"{cache}.*uv tool install"):
        refuse_what_vanishes(str(cache / "archive-v0" / "kE17nSPueV5ZPI5z"))

    tool = tmp_path / "share" / "uv" / "tools" / "background-agents"
    write(tool / "CACHEDIR.TAG", "")
    refuse_what_vanishes(str(tool))


def test_nothing_is_installed_from_a_cache(user: User) -> None:
    cache = write(user.root / "cache" / "CACHEDIR.TAG", "").parent
    prefix = cache / "archive-v0" / "x"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    home = Path(os.path.realpath(sys.executable)).parent
    write(prefix / "pyvenv.cfg", f"home = {home}\n")
    lib = prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    lib.mkdir(parents=True)
    (lib / "site-packages").symlink_to(Path(sys.prefix) / "lib" / lib.name / "site-packages")

    done = user.run("install", python=prefix / "bin" / "python")

    assert (done.returncode, user.file.exists()) == (2, False)
    assert str(cache) in done.stderr
