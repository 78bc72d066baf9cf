"""What each setting may be: the parsers of values, each beside what it allows in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import NamedTuple

from background_agents.config.settings import MAX_TIMEOUT_MINUTES, AnswerRule, Settings
from background_agents.domain.errors import BadSetting
from background_agents.domain.isolation import ISOLATIONS, WORKTREE
from background_agents.domain.limits import MOST

ACTIONS = ("allow", "deny", "ask")


class Kind(NamedTuple):
    """What a setting may be."""

    parse: Callable[[str, object], object]
    """Takes the name that an error shall give, and a value of the environment or the file."""
    allowed: str
    """The same in words; it follows on "must be"."""
    example: object = None
    """For those whose default tells nothing of how they are written."""


MINUTES = f"a number of minutes from 0 (no limit) to {MAX_TIMEOUT_MINUTES}"

DOLLARS = f"a number of US dollars from 0 (no limit) to {MOST}"

LIMIT = f"a whole number from 0 (no limit) to {MOST}"

COUNT = "a whole number from 1 to 1000"

MEGABYTES = "a whole number from 1 to 1000000"

MOST_DEEP = 8
"""Each level multiplies what one request of a user may cost."""

DEPTH = f"a whole number from 1 to {MOST_DEEP}"

SWITCH = "1 or 0"

SWITCHES = f"{SWITCH}, or in the file true or false"

SHELL_LINE = "one line for the shell; empty = none"

RULES = "a list of tables"

NAMES = "a list of names"

ISOLATED_AGENTS = f"a table of agents and one of {', '.join(ISOLATIONS)}"


def _minutes(name: str, value: object) -> float:
    try:
        minutes = float(str(value))
    except ValueError:
        raise BadSetting(name, value, MINUTES) from None
    if not (math.isfinite(minutes) and 0 <= minutes <= MAX_TIMEOUT_MINUTES):
        raise BadSetting(name, value, MINUTES)
    return minutes


def _dollars(name: str, value: object) -> float:
    try:
        dollars = float(str(value))
    except ValueError:
        raise BadSetting(name, value, DOLLARS) from None
    if not (math.isfinite(dollars) and 0 <= dollars <= MOST):
        raise BadSetting(name, value, DOLLARS)
    return dollars


def _limit(name: str, value: object) -> int:
    return _whole(name, value, range(MOST + 1), LIMIT)


def _count(name: str, value: object) -> int:
    return _whole(name, value, range(1, 1001), COUNT)


def _megabytes(name: str, value: object) -> int:
    return _whole(name, value, range(1, 1_000_001), MEGABYTES)


def _depth(name: str, value: object) -> int:
    return _whole(name, value, range(1, MOST_DEEP + 1), DEPTH)


def _whole(name: str, value: object, among: range, allowed: str) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) in among):
        raise BadSetting(name, value, allowed)
    return int(text)


def _switch(name: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("1", "true"):
        return True
    if text in ("0", "false", ""):
        return False
    raise BadSetting(name, value, SWITCH)


def _shell_line(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise BadSetting(name, value, SHELL_LINE)
    return value.strip()


def _one_of(*words: str, any_case: bool = False) -> Kind:
    allowed = f"one of {', '.join(words)}"

    def parse(name: str, value: object) -> str:
        word = str(value).lower() if any_case else value
        if word not in words:
            raise BadSetting(name, value, allowed)
        return str(word)

    return Kind(parse, allowed)


def _limits(of: str, key: str, example: Mapping[str, int]) -> Kind:
    allowed = f"a table of {of} and whole numbers from 1 to 1000"

    def parse(name: str, value: object) -> Mapping[str, int]:
        # A key that nothing can ever have would be no limit at all.
        if not isinstance(value, dict) or not all(re.fullmatch(key, one) for one in value):
            raise BadSetting(name, value, allowed)
        return {one: _count(f"{name}.{one}", limit) for one, limit in value.items()}

    return Kind(parse, allowed, example)


def _isolation(name: str, value: object) -> Mapping[str, str]:
    kinds = value.values() if isinstance(value, dict) else [None]
    if not isinstance(value, dict) or not set(kinds) <= set(ISOLATIONS):
        raise BadSetting(name, value, ISOLATED_AGENTS)
    return value


def _names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise BadSetting(name, value, NAMES)
    return tuple(value)


def _rules(name: str, value: object) -> tuple[AnswerRule, ...]:
    if not isinstance(value, list):
        raise BadSetting(name, value, RULES)
    return tuple(_rule(f"{name}[{index}]", one) for index, one in enumerate(value))


def _rule(name: str, value: object) -> AnswerRule:
    known = [one.name for one in fields(AnswerRule)]
    texts = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    if not isinstance(value, dict) or not texts or not set(value) <= set(known):
        raise BadSetting(name, value, f"a table of texts with keys among {sorted(known)}")
    if value.get("action") not in ACTIONS:
        raise BadSetting(f"{name}.action", value.get("action"), "one of " + ", ".join(ACTIONS))
    return AnswerRule(**value)


KINDS: Mapping[str, Kind] = {
    "timeout_minutes": Kind(_minutes, MINUTES),
    "max_concurrent": Kind(_count, COUNT),
    "max_concurrent_per_provider": _limits("providers", r"[^\s/]+", {"anthropic": 4}),
    "max_concurrent_per_model": _limits(
        "provider/model-id", r"[^\s/]+/\S+", {"anthropic/claude-opus-4": 2}
    ),
    "max_depth": Kind(_depth, DEPTH),
    "strict_readonly": Kind(_switch, SWITCHES),
    "safe_tools": Kind(_names, NAMES, ("context7_*",)),
    "allow_task": Kind(_switch, SWITCHES),
    "answers": Kind(
        _rules,
        f"{RULES}, each with an `action` ({', '.join(ACTIONS)}) and, as wanted, `permission`, "
        "`pattern` and `agent`",
        (AnswerRule("allow", permission="bash", pattern="git status"),),
    ),
    "model_grants": _one_of("none", "once"),
    "ask_in_chat": Kind(_switch, SWITCHES),
    "answer_minutes": Kind(_minutes, MINUTES),
    "answer_default": _one_of("once", "always", "reject"),
    "isolation": Kind(_isolation, ISOLATED_AGENTS, {"build": WORKTREE}),
    "resume": Kind(_switch, SWITCHES),
    "changes_max_file_mb": Kind(_count, COUNT),
    "changes_days": Kind(_count, COUNT),
    "changes_max_mb": Kind(_megabytes, MEGABYTES),
    "max_turns": Kind(_limit, LIMIT),
    "max_tokens": Kind(_limit, LIMIT),
    "max_cost_usd": Kind(_dollars, DOLLARS),
    "day_cost_usd": Kind(_dollars, DOLLARS),
    "notify_command": Kind(_shell_line, SHELL_LINE),
    "notify_desktop": Kind(_switch, SWITCHES),
    "log": _one_of("debug", "info", "warning", "error", any_case=True),
}
"""By the names of ``Settings``' fields."""

FILE_ONLY = frozenset(
    name for name, usual in vars(Settings()).items() if isinstance(usual, Mapping | tuple)
)
"""What no environment variable can say: tables and lists."""
