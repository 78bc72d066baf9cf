"""Reading the settings: each with where its value comes from, and every error at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.config.settings import Settings
from background_agents.domain.errors import BadSetting

PREFIX = "BACKGROUND_AGENTS_"

SECTION = "background-agents"


class Origin(StrEnum):
    """Where a value comes from."""

    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Source:
    """A setting that was read."""

    name: str
    origin: Origin
    value: object
    """None if what was given is not allowed; then nothing is served at all."""


@dataclass(frozen=True)
class Reading:
    """All settings, and all that is wrong with them."""

    path: Path
    """The configuration file, whether it exists or not."""
    settings: tuple[Source, ...]
    errors: tuple[BadSetting, ...]


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        BadSetting: a value is not allowed, or the file is not TOML.
    """
    reading = read(env)
    if reading.errors:
        raise reading.errors[0]
    found = {one.name: one.value for one in reading.settings}
    return Settings(**found)  # type: ignore[arg-type]  # each parser returns its field's type


def read(env: Mapping[str, str] = os.environ) -> Reading:
    """Read the settings, and go on after an error: for whoever shows or mends them."""
    path = config_path(env)
    errors: list[BadSetting] = []
    said = {
        Origin.ENVIRONMENT: _from_environment(env, path, errors),
        Origin.FILE: _from_file(path, errors),
        Origin.DEFAULT: defaults(),
    }
    found = {name: next(one for one in said if name in said[one]) for name in KINDS}
    settings = (Source(name, origin, said[origin][name]) for name, origin in found.items())
    return Reading(path, tuple(settings), tuple(errors))


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def config_path(env: Mapping[str, str]) -> Path:
    """Return where the configuration file is, whether it exists or not."""
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "background-agents" / "config.toml"


def data_root(env: Mapping[str, str]) -> Path:
    """Return the folder that holds one folder for each project."""
    home = Path(env.get("HOME", "~")).expanduser()
    base = env.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return Path(base) / "opencode" / "delegations"


def defaults() -> Mapping[str, object]:
    """Return what holds where nothing is set."""
    return vars(Settings())


def _from_environment(
    env: Mapping[str, str], path: Path, errors: list[BadSetting]
) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in KINDS:
        given = variable(name)
        if given not in env:
            continue
        if name in FILE_ONLY:
            allowed = f"set in {path}, not in the environment"
            errors.append(BadSetting(given, env[given], allowed))
        else:
            found[name] = _parsed(name, given, env[given], errors)
    return found


def _from_file(path: Path, errors: list[BadSetting]) -> dict[str, object]:
    try:
        content = _section(path)
    except BadSetting as error:
        errors.append(error)
        return {}
    found: dict[str, object] = {}
    for name, value in content.items():
        given = f"{path}: {name}"
        if name in KINDS:
            found[name] = _parsed(name, given, value, errors)
        else:
            errors.append(BadSetting(given, value, f"one of the settings {sorted(KINDS)}"))
    return found


def _parsed(name: str, given: str, value: object, errors: list[BadSetting]) -> object:
    try:
        return KINDS[name].parse(given, value)
    except BadSetting as error:
        errors.append(error)
        return None


def _section(path: Path) -> dict[str, object]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(str(path), str(error), "a readable TOML file") from error
    section = content.get(SECTION, {})
    if not isinstance(section, dict):
        raise BadSetting(f"{path}: {SECTION}", section, "a table")
    return section
