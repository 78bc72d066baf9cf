"""Settings: the environment wins over the file, and what cannot be meant is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from background_agents.config import (
    AnswerRule,
    Settings,
    config_path,
    data_root,
    load,
)
from background_agents.domain.errors import BadSetting


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def write(env: dict[str, str], text: str | bytes) -> None:
    path = config_path(env)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_without_anything_the_defaults_hold(env: dict[str, str]) -> None:
    assert load(env) == Settings()
    assert Settings().default_timeout == timedelta(minutes=15)


def test_the_file_is_read(env: dict[str, str]) -> None:
    write(env, '[background-agents]\ntimeout_minutes = 2.5\nmax_concurrent = 3\nlog = "debug"\n')
    assert load(env) == Settings(timeout_minutes=2.5, max_concurrent=3, log="debug")


def test_the_environment_wins(env: dict[str, str]) -> None:
    write(env, "[background-agents]\ntimeout_minutes = 2\nmax_concurrent = 3\n")
    env["BACKGROUND_AGENTS_TIMEOUT_MINUTES"] = "0.5"
    assert load(env) == Settings(timeout_minutes=0.5, max_concurrent=3)


def test_zero_minutes_are_no_window(env: dict[str, str]) -> None:
    env["BACKGROUND_AGENTS_TIMEOUT_MINUTES"] = "0"
    assert load(env).default_timeout is None


FULL = """
[background-agents]
strict_readonly = true
allow_task = true
answer_minutes = 0.5
answer_default = "once"

[background-agents.max_concurrent_per_provider]
scripted = 3

[background-agents.max_concurrent_per_model]
"scripted/two" = 1
"router/some/model:free" = 1000

[[background-agents.answers]]
action = "deny"

[[background-agents.answers]]
permission = "bash"
pattern = "git *"
agent = "explore"
action = "allow"
"""


def test_the_file_can_say_everything(env: dict[str, str]) -> None:
    write(env, FULL)
    settings = load(env)
    assert settings == Settings(
        strict_readonly=True,
        allow_task=True,
        answer_minutes=0.5,
        answer_default="once",
        max_concurrent_per_provider={"scripted": 3},
        max_concurrent_per_model={"scripted/two": 1, "router/some/model:free": 1000},
        answers=(
            AnswerRule("deny"),
            AnswerRule("allow", permission="bash", pattern="git *", agent="explore"),
        ),
    )
    assert settings.answer_window == timedelta(seconds=30)


@pytest.mark.parametrize("name", ["strict_readonly", "allow_task"])
@pytest.mark.parametrize(
    ("value", "meant"),
    [("1", True), ("true", True), ("TRUE", True), ("0", False), ("false", False), ("", False)],
)
def test_a_switch_is_on_or_off(env: dict[str, str], name: str, value: str, meant: bool) -> None:
    """What the environment says wins over the file, also when it says no."""
    write(env, f"[background-agents]\n{name} = {str(not meant).lower()}\n")
    env[f"BACKGROUND_AGENTS_{name.upper()}"] = value
    assert getattr(load(env), name) is meant


@pytest.mark.parametrize("reply", ["once", "always", "reject"])
def test_the_default_answer_is_one_of_opencodes_replies(env: dict[str, str], reply: str) -> None:
    env["BACKGROUND_AGENTS_ANSWER_DEFAULT"] = reply
    env["BACKGROUND_AGENTS_ANSWER_MINUTES"] = "2"
    assert load(env).answer_default == reply
    assert load(env).answer_window == timedelta(minutes=2)


def test_without_a_limit_what_is_asked_waits_for_ever(env: dict[str, str]) -> None:
    env["BACKGROUND_AGENTS_ANSWER_MINUTES"] = "0"
    assert load(env).answer_window is None
    assert Settings().answer_window is None


@pytest.mark.parametrize(
    "name", ["max_concurrent_per_provider", "max_concurrent_per_model", "answers"]
)
def test_what_only_the_file_can_say_is_not_ignored_in_the_environment(
    env: dict[str, str], name: str
) -> None:
    variable = f"BACKGROUND_AGENTS_{name.upper()}"
    env[variable] = "scripted=1"
    with pytest.raises(BadSetting) as raised:
        load(env)
    place = config_path(env)
    expected = f"{variable} is 'scripted=1', but must be set in {place}, not in the environment."
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(
            ("TIMEOUT_MINUTES", value, "0 (no limit) to 10080")
            for value in ("", "soon", "-1", "nan", "inf", "1e9", "10081")
        ),
        *(
            ("MAX_CONCURRENT", value, "1 to 1000")
            for value in ("", "0", "-1", "1.5", "many", "1001", "٣", "9" * 50)
        ),
        *(
            (name, value, "1 or 0")
            for name in ("STRICT_READONLY", "ALLOW_TASK")
            for value in ("yes", "2", "-1", "on", "1.0")
        ),
        *(("ANSWER_MINUTES", value, "0 (no limit) to 10080") for value in ("", "-0.1", "nan")),
        *(
            ("ANSWER_DEFAULT", value, "once, always, reject")
            for value in ("", "allow", "deny", "Once", "never")
        ),
        ("LOG", "loud", "debug, info, warning, error"),
        ("LOG", "", "debug, info, warning, error"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    env: dict[str, str], name: str, value: str, allowed: str
) -> None:
    env[f"BACKGROUND_AGENTS_{name}"] = value
    with pytest.raises(BadSetting) as raised:
        load(env)
    assert str(raised.value).startswith(f"BACKGROUND_AGENTS_{name} is {value!r}, but must be ")
    assert allowed in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "words", "allowed"),
    [
        ("strict_readonly = 2", "strict_readonly is 2", "1 or 0"),
        ("allow_task = []", "allow_task is []", "1 or 0"),
        ("answer_minutes = -1", "answer_minutes is -1", "0 (no limit) to 10080"),
        ("answer_minutes = true", "answer_minutes is True", "0 (no limit) to 10080"),
        ("answer_default = 1", "answer_default is 1", "once, always, reject"),
        ("answer_default = ['once']", "answer_default is ['once']", "once, always, reject"),
        *(
            (f"{name} = {value}", f"{name} is {shown}", f"table of {keys} and whole numbers")
            for name, keys in (
                ("max_concurrent_per_provider", "providers"),
                ("max_concurrent_per_model", "provider/model-id"),
            )
            for value, shown in (("3", "3"), ('"a/b"', "'a/b'"), ("[{a = 1}]", "[{'a': 1}]"))
        ),
        (
            'max_concurrent_per_provider = {"a/b" = 1}',
            "max_concurrent_per_provider is {'a/b': 1}",
            "a table of providers",
        ),
        ('max_concurrent_per_provider = {"" = 1}', "is {'': 1}", "a table of providers"),
        (
            "max_concurrent_per_model = {two = 1}",
            "max_concurrent_per_model is {'two': 1}",
            "a table of provider/model-id",
        ),
        ('max_concurrent_per_model = {"a/" = 1}', "is {'a/': 1}", "a table of provider/model-id"),
        *(
            (
                f'max_concurrent_per_model = {{"a/b" = {value}}}',
                f"max_concurrent_per_model.a/b is {shown}",
                "a whole number from 1 to 1000",
            )
            for value, shown in (
                ("0", "0"),
                ("-1", "-1"),
                ("1.5", "1.5"),
                ("true", "True"),
                ("1001", "1001"),
                ('"many"', "'many'"),
            )
        ),
        ("answers = {action = 'deny'}", "answers is {'action': 'deny'}", "a list of tables"),
        ("answers = 'deny'", "answers is 'deny'", "a list of tables"),
        ("answers = ['deny']", "answers[0] is 'deny'", "a table of texts with keys among"),
        (
            "answers = [{action = 'deny'}, {action = 'deny', command = 'ls'}]",
            "answers[1] is {'action': 'deny', 'command': 'ls'}",
            "['action', 'agent', 'pattern', 'permission']",
        ),
        (
            "answers = [{action = 'deny', pattern = ['ls']}]",
            "answers[0] is {'action': 'deny', 'pattern': ['ls']}",
            "a table of texts",
        ),
        ("answers = [{}]", "answers[0].action is None", "allow, deny, ask"),
        ("answers = [{action = 'once'}]", "answers[0].action is 'once'", "allow, deny, ask"),
    ],
)
def test_a_bad_entry_is_named_with_what_is_allowed(
    env: dict[str, str], entry: str, words: str, allowed: str
) -> None:
    write(env, f"[background-agents]\n{entry}\n")
    with pytest.raises(BadSetting) as raised:
        load(env)
    said = str(raised.value)
    assert said.startswith(f"{config_path(env)}: ")
    assert f"{words}, but must be " in said
    assert allowed in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[background-agents]\nmax_concurrent = 0\n", "max_concurrent is 0"),
        ("[background-agents]\nmax_concurrent = true\n", "max_concurrent is True"),
        ("[background-agents]\ntimeout_minutes = []\n", "timeout_minutes is []"),
        ("[background-agents]\nmax_concurent = 4\n", "max_concurent is 4"),
        ("background-agents = 3\n", "must be a table"),
        ("not toml", "a readable TOML file"),
        (b"\xff\xfe", "a readable TOML file"),
    ],
)
def test_a_bad_file_is_named(env: dict[str, str], text: str | bytes, words: str) -> None:
    write(env, text)
    with pytest.raises(BadSetting) as raised:
        load(env)
    assert str(config_path(env)) in str(raised.value)
    assert words in str(raised.value)


def test_a_bad_value_in_the_file_is_named_even_when_the_environment_wins(
    env: dict[str, str],
) -> None:
    write(env, "[background-agents]\nmax_concurrent = 0\n")
    env["BACKGROUND_AGENTS_MAX_CONCURRENT"] = "4"
    with pytest.raises(BadSetting, match="max_concurrent is 0"):
        load(env)


def test_other_sections_are_nobodys_business(env: dict[str, str]) -> None:
    write(env, "[other]\nx = 1\n")
    assert load(env) == Settings()


def test_a_file_that_cannot_be_read_is_an_error(env: dict[str, str]) -> None:
    config_path(env).mkdir(parents=True)
    with pytest.raises(BadSetting, match="a readable TOML file"):
        load(env)


def test_places_follow_the_environment(env: dict[str, str], tmp_path: Path) -> None:
    assert config_path(env) == tmp_path / "config" / "background-agents" / "config.toml"
    assert config_path({"HOME": "/h"}) == Path("/h/.config/background-agents/config.toml")
    assert data_root({"HOME": "/h"}) == Path("/h/.local/share/opencode/delegations")
    assert data_root({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == Path("/d/opencode/delegations")
    assert data_root({"HOME": "/h", "XDG_DATA_HOME": ""}) == data_root({"HOME": "/h"})
