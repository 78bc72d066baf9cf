"""Settings, from the environment and a file; the environment wins.

A value that cannot be meant is an error that names the variable, the value and what is
allowed: a supervisor with a wrong limit is worse than one that does not start.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from background_agents.domain.errors import DelegationError

MAX_TIMEOUT_MINUTES = 7 * 24 * 60
"""A week; what lasts longer is not one piece of work."""

DATABASE = "delegations.db"
"""Its name in the folder of each project."""

LOG_LEVELS = ("debug", "info", "warning", "error")


class BadSetting(DelegationError):
    """A setting has a value that it cannot have."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, but must be {allowed}.")


ACTIONS = ("allow", "deny", "ask")

REPLIES = ("once", "always", "reject")

_PROVIDER = re.compile(r"[^\s/]+")

_MODEL = re.compile(r"[^\s/]+/\S+")


@dataclass(frozen=True)
class AnswerRule:
    """How a permission is answered that a background agent asks for.

    ``*`` and ``?`` are wildcards. Of several rules that fit, the last one counts, as among
    OpenCode's own.
    """

    action: str
    """``allow`` (this once), ``deny`` or ``ask`` (the supervisor and its human)."""
    permission: str = "*"
    """What is asked for: ``bash``, ``edit``, ``external_directory`` and so on."""
    pattern: str = "*"
    """The command, path or the like that it is asked for."""
    agent: str = "*"


@dataclass(frozen=True)
class Settings:
    """What a user can set. Each field's variable is ``BACKGROUND_AGENTS_`` and its name.

    What is a table or a list can be set in the file only.
    """

    timeout_minutes: float = 15.0
    """Default time window of a delegation, in minutes; 0 = none."""
    max_concurrent: int = 8
    """Delegations that run at once in one project."""
    max_concurrent_per_provider: Mapping[str, int] = field(default_factory=dict)
    """Further limits, by provider."""
    max_concurrent_per_model: Mapping[str, int] = field(default_factory=dict)
    """Further limits, by ``provider/model-id``."""
    strict_readonly: bool = False
    """Only agents that can neither edit, nor write, nor run commands may be delegated to."""
    allow_task: bool = False
    """OpenCode's native ``task`` tool is left alone."""
    answers: tuple[AnswerRule, ...] = ()
    """What is answered without asking anybody; the rest is asked."""
    answer_minutes: float = 0.0
    """How long a question or permission waits before ``answer_default`` is given; 0 = for ever."""
    answer_default: str = "reject"
    """``once``, ``always`` or ``reject``; a question is rejected in any case."""
    resume: bool = True
    """A run that was cut off with its process is told to go on; else it ends as interrupted."""
    log: str = "warning"
    """Level of the log file."""

    @property
    def default_timeout(self) -> timedelta | None:
        return timedelta(minutes=self.timeout_minutes) if self.timeout_minutes else None

    @property
    def answer_window(self) -> timedelta | None:
        return timedelta(minutes=self.answer_minutes) if self.answer_minutes else None


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        BadSetting: a value is not allowed, or the file is not TOML.
    """
    path = config_path(env)
    found: dict[str, object] = {}
    for name in (one.name for one in fields(Settings)):
        variable = f"BACKGROUND_AGENTS_{name.upper()}"
        if variable in env and name in FILE_ONLY:
            raise BadSetting(variable, env[variable], f"set in {path}, not in the environment")
        if variable in env:
            found[name] = _PARSERS[name](variable, env[variable])
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


def _switch(name: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("1", "true"):
        return True
    if text in ("0", "false", ""):
        return False
    raise BadSetting(name, value, "1 or 0")


def _reply(name: str, value: object) -> str:
    if value not in REPLIES:
        raise BadSetting(name, value, "one of " + ", ".join(REPLIES))
    return str(value)


def _per_provider(name: str, value: object) -> Mapping[str, int]:
    return _limits(name, value, _PROVIDER, "providers")


def _per_model(name: str, value: object) -> Mapping[str, int]:
    return _limits(name, value, _MODEL, "provider/model-id")


def _limits(name: str, value: object, key: re.Pattern[str], keys: str) -> Mapping[str, int]:
    # A key that nothing can ever have would be no limit at all.
    if not isinstance(value, dict) or not all(key.fullmatch(one) for one in value):
        raise BadSetting(name, value, f"a table of {keys} and whole numbers from 1 to 1000")
    return {one: _count(f"{name}.{one}", limit) for one, limit in value.items()}


def _rules(name: str, value: object) -> tuple[AnswerRule, ...]:
    if not isinstance(value, list):
        raise BadSetting(name, value, "a list of tables")
    return tuple(_rule(f"{name}[{index}]", one) for index, one in enumerate(value))


def _rule(name: str, value: object) -> AnswerRule:
    known = [one.name for one in fields(AnswerRule)]
    texts = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    if not isinstance(value, dict) or not texts or not set(value) <= set(known):
        raise BadSetting(name, value, f"a table of texts with keys among {sorted(known)}")
    if value.get("action") not in ACTIONS:
        raise BadSetting(f"{name}.action", value.get("action"), "one of " + ", ".join(ACTIONS))
    return AnswerRule(**value)


_PARSERS: Mapping[str, Callable[[str, object], object]] = {
    "timeout_minutes": _minutes,
    "max_concurrent": _count,
    "max_concurrent_per_provider": _per_provider,
    "max_concurrent_per_model": _per_model,
    "strict_readonly": _switch,
    "allow_task": _switch,
    "answers": _rules,
    "answer_minutes": _minutes,
    "answer_default": _reply,
    "resume": _switch,
    "log": _level,
}

FILE_ONLY = frozenset({"max_concurrent_per_provider", "max_concurrent_per_model", "answers"})
"""What no environment variable can say."""
