"""Settings: the environment wins over the file, and what cannot be meant is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from background_agents.config import BadSetting, Settings, config_path, data_root, load


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
