"""Settings, from the environment and a file; the environment wins.

A value that cannot be meant is an error that names the variable, the value and what is
allowed: a supervisor with a wrong limit is worse than one that does not start.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

from background_agents.domain.errors import DelegationError

MAX_TIMEOUT_MINUTES = 7 * 24 * 60
"""A week; what lasts longer is not one piece of work."""

LOG_LEVELS = ("debug", "info", "warning", "error")


class BadSetting(DelegationError):
    """A setting has a value that it cannot have."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, but must be {allowed}.")


@dataclass(frozen=True)
class Settings:
    """What a user can set. Each field's variable is ``BACKGROUND_AGENTS_`` and its name."""

    timeout_minutes: float = 15.0
    """Default time window of a delegation, in minutes; 0 = none."""
    max_concurrent: int = 8
    """Delegations that run at once in one project."""
    log: str = "warning"
    """Level of the log file."""

    @property
    def default_timeout(self) -> timedelta | None:
        return timedelta(minutes=self.timeout_minutes) if self.timeout_minutes else None


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        BadSetting: a value is not allowed, or the file is not TOML.
    """
    path = config_path(env)
    found: dict[str, object] = {}
    for field in fields(Settings):
        variable = f"BACKGROUND_AGENTS_{field.name.upper()}"
        if variable in env:
            found[field.name] = _PARSERS[field.name](variable, env[variable])
    stored = _from_file(path)
    for name, value in stored.items():
        if name not in _PARSERS:
            raise BadSetting(f"{path}: {name}", value, f"one of the settings {sorted(_PARSERS)}")
        found.setdefault(name, _PARSERS[name](f"{path}: {name}", value))
    return Settings(**found)  # type: ignore[arg-type]  # each parser returns its field's type


def config_path(env: Mapping[str, str]) -> Path:
    """Return where the configuration file is, whether it exists or not."""
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "background-agents" / "config.toml"


def data_root(env: Mapping[str, str]) -> Path:
    """Return the folder that holds one folder for each project."""
    home = Path(env.get("HOME", "~")).expanduser()
    base = env.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return Path(base) / "opencode" / "delegations"


def _from_file(path: Path) -> dict[str, object]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(str(path), str(error), "a readable TOML file") from error
    section = content.get("background-agents", {})
    if not isinstance(section, dict):
        raise BadSetting(f"{path}: background-agents", section, "a table")
    return section


def _minutes(name: str, value: object) -> float:
    allowed = f"a number of minutes from 0 (no limit) to {MAX_TIMEOUT_MINUTES}"
    try:
        minutes = float(str(value))
    except ValueError:
        raise BadSetting(name, value, allowed) from None
    if not (math.isfinite(minutes) and 0 <= minutes <= MAX_TIMEOUT_MINUTES):
        raise BadSetting(name, value, allowed)
    return minutes


def _count(name: str, value: object) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise BadSetting(name, value, "a whole number from 1 to 1000")
    return int(text)


def _level(name: str, value: object) -> str:
    if str(value).lower() not in LOG_LEVELS:
        raise BadSetting(name, value, "one of " + ", ".join(LOG_LEVELS))
    return str(value).lower()


_PARSERS: Mapping[str, Callable[[str, object], object]] = {
    "timeout_minutes": _minutes,
    "max_concurrent": _count,
    "log": _level,
}
