"""``background-agents config``, as a process: what holds, where it comes from, what it could be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec
import pytest

from background_agents.config import AnswerRule, Settings, load
from background_agents.config.example import example, meanings, toml
from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.hosts.cli.commands.config import ConfigSheet, SettingSheet

NAMES = [one.name for one in fields(Settings)]


@dataclass
class User:
    """Somebody with a configuration, and a shell to look at it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.root / "config" / "background-agents" / "config.toml"

    @property
    def places(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "XDG_CONFIG_HOME": str(self.root / "config"),
        }

    def write(self, text: str) -> None:
        self.file.parent.mkdir(parents=True)
        self.file.write_text(text)

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "background_agents", "config", *args]
        return subprocess.run(
            command, cwd=self.root, env=self.places | self.env, capture_output=True, text=True,
            timeout=30,
        )  # fmt: skip

    def sheet(self, *args: str, code: int = 0) -> ConfigSheet:
        done = self.run("--json", *args)
        assert done.returncode == code, done.stderr
        return msgspec.json.decode(done.stdout, type=ConfigSheet)

    def setting(self, name: str) -> SettingSheet:
        (one,) = self.sheet(name).settings
        return one


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_every_setting_is_shown_with_its_value_and_what_is_allowed(user: User) -> None:
    done = user.run()

    assert done.returncode == 0, done.stderr
    assert f"File: {user.file} (not there; `background-agents config --init`" in done.stdout
    for name in NAMES:
        assert re.search(rf"^{name} = .+ \[default\]$", done.stdout, re.MULTILINE), name
        assert meanings()[name] in done.stdout
        assert f"Allowed: {KINDS[name].allowed}" in " ".join(done.stdout.split())


def test_it_says_where_each_value_comes_from(user: User) -> None:
    user.write("[background-agents]\ntimeout_minutes = 2\nmax_concurrent = 3\n")
    user.env["BACKGROUND_AGENTS_TIMEOUT_MINUTES"] = "0.5"

    shown = user.run().stdout

    assert "timeout_minutes = 0.5   [BACKGROUND_AGENTS_TIMEOUT_MINUTES]\n" in shown
    assert "max_concurrent = 3   [file]\n" in shown
    assert 'log = "warning"   [default]\n' in shown
    assert f"File: {user.file}\n" in shown


def test_json_tells_the_same(user: User) -> None:
    user.write("[background-agents]\nmax_concurrent = 3\nmax_concurrent_per_provider = {a = 1}\n")
    user.env["BACKGROUND_AGENTS_RESUME"] = "0"

    sheet = user.sheet()

    assert [one.name for one in sheet.settings] == NAMES
    assert (sheet.path, sheet.exists, sheet.errors) == (str(user.file), True, ())
    found = {one.name: (one.value, one.origin, one.default) for one in sheet.settings}
    assert found["max_concurrent"] == (3, "file", 8)
    assert found["max_concurrent_per_provider"] == ({"a": 1}, "file", {})
    assert found["resume"] == (False, "environment", True)
    assert found["log"] == ("warning", "default", "warning")


def test_one_setting_can_be_asked_for(user: User) -> None:
    user.env["BACKGROUND_AGENTS_LOG"] = "debug"
    one = user.setting("log")
    assert (one.name, one.value, one.variable) == ("log", "debug", "BACKGROUND_AGENTS_LOG")
    assert user.setting("answers").variable is None
    shown = user.run("log").stdout
    assert 'log = "debug"' in shown
    assert "resume" not in shown


def test_what_is_no_setting_is_refused(user: User) -> None:
    done = user.run("loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'loud'" in done.stderr


def test_an_error_is_shown_and_the_rest_as_well(user: User) -> None:
    user.write("[background-agents]\nmax_concurrent = 0\nmax_concurent = 4\nresume = false\n")
    user.env["BACKGROUND_AGENTS_LOG"] = "loud"
    user.env["BACKGROUND_AGENTS_ANSWERS"] = "x"

    done = user.run()

    assert done.returncode == 2
    assert "max_concurrent = (refused)   [file]\n" in done.stdout
    assert "log = (refused)   [BACKGROUND_AGENTS_LOG]\n" in done.stdout
    assert "resume = false   [file]\n" in done.stdout
    said = done.stderr.splitlines()
    assert len(said) == 4
    for words in ("LOG is 'loud'", "ANSWERS is 'x'", "max_concurrent is 0", "max_concurent is 4"):
        assert any(words in line for line in said), words
    sheet = user.sheet(code=2)
    assert sheet.errors == tuple(said)
    assert {one.name for one in sheet.settings if one.value is None} == {"max_concurrent", "log"}


def test_a_file_that_is_not_toml_is_named(user: User) -> None:
    user.write("not toml")
    done = user.run()
    assert done.returncode == 2
    assert str(user.file) in done.stderr
    assert "timeout_minutes = 15.0   [default]" in done.stdout


def test_what_the_file_says_cannot_rewrite_the_terminal(user: User) -> None:
    user.write('[background-agents]\nmax_concurrent_per_provider = {"\\u001b[2J" = 1, b = 0}\n')
    done = user.run()
    assert "\x1b" not in done.stdout + done.stderr


def test_the_path_can_be_asked_for(user: User) -> None:
    assert user.run("--path").stdout == f"{user.file}\n"


def test_init_writes_an_example_that_changes_nothing(user: User) -> None:
    done = user.run("--init")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Written: {user.file}\n")
    assert load(user.places) == Settings()
    assert {one.origin for one in user.sheet().settings} == {"default"}


def test_init_never_overwrites(user: User) -> None:
    user.write("[background-agents]\nmax_concurrent = 3\n")
    before = user.file.read_bytes()

    done = user.run("--init")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{user.file} is already there" in done.stderr
    assert user.file.read_bytes() == before


def test_init_says_why_it_cannot_write(user: User) -> None:
    (user.root / "config").write_text("a file")
    done = user.run("--init")
    assert done.returncode == 2
    assert f"{user.file} cannot be written" in done.stderr


def test_each_line_of_the_example_can_be_used(user: User) -> None:
    """With every # before a setting taken away it is valid, and says the defaults or an example."""
    text, count = re.subn(r"^# (\w+ = )", r"\1", example(), flags=re.MULTILINE)
    assert count == len(NAMES)
    user.write(text)

    found, usual = load(user.places), Settings()

    for name in NAMES:
        expected = KINDS[name].example or getattr(usual, name)
        assert getattr(found, name) == expected, name


def test_every_setting_has_a_meaning_and_a_kind() -> None:
    assert list(KINDS) == NAMES
    assert set(meanings()) == set(NAMES)
    assert {name for name in NAMES if KINDS[name].example is not None} == FILE_ONLY


@pytest.mark.parametrize(
    "value",
    [
        True,
        0.5,
        7,
        'a "quoted" \\ text',
        {"a/b": 1, "plain": 2, 'q"': 3},
        {},
    ],
)
def test_a_value_is_shown_as_the_file_would_say_it(value: object) -> None:
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


def test_a_rule_is_shown_without_what_goes_without_saying() -> None:
    assert (
        toml((AnswerRule("deny", agent="explore"),)) == '[{ action = "deny", agent = "explore" }]'
    )
