"""What a supervisor may ask for, checked before anything is changed.

Each check raises ``InvalidRequest`` with one sentence that says what to do instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from background_agents.config import MAX_TIMEOUT_MINUTES
from background_agents.domain.errors import InvalidRequest, UnknownAgent, quote
from background_agents.domain.ids import is_readable_id
from background_agents.ports import Agent

MAX_PROMPT_CHARS = 1_000_000
"""Beyond every model's context; bounds what one call can make us store."""

_MODEL = re.compile(r"[^\s/]+/\S+")


@dataclass(frozen=True)
class DelegateRequest:
    """The arguments of ``delegate``, as they were given."""

    prompt: str
    agent: str
    timeout_minutes: float | None = None
    model: str | None = None


def check_prompt(prompt: str) -> None:
    """Refuse a prompt that says nothing, or too much."""
    if not prompt.strip():
        raise InvalidRequest("The prompt is empty; say what the agent is to do.")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            f"The prompt has {len(prompt):,} characters, and {MAX_PROMPT_CHARS:,} is the most; "
            "put the material into a file and name its path."
        )


def check_model(model: str | None) -> str | None:
    """Return the model, or None for an empty one, which stands for the agent's default."""
    if model is None or not model.strip():
        return None
    if _MODEL.fullmatch(model) is None:
        raise InvalidRequest(
            f"{quote(model)} does not name a model; write provider/model-id, or leave it out "
            "for the agent's own default."
        )
    return model


def check_timeout(minutes: float | None, default: timedelta | None) -> timedelta | None:
    """Return the time window; None for no limit."""
    if minutes is None:
        return default
    if not (math.isfinite(minutes) and 0 <= minutes <= MAX_TIMEOUT_MINUTES):
        raise InvalidRequest(
            f"timeout_minutes is {minutes!r}; give a number from 0 (no limit) to "
            f"{MAX_TIMEOUT_MINUTES:,}."
        )
    return timedelta(minutes=minutes) if minutes else None


def check_agent(name: str, agents: Sequence[Agent]) -> None:
    """Refuse an agent that does not exist or that only the runtime itself uses."""
    delegable = [agent.name for agent in agents if agent.delegable]
    if name not in delegable:
        raise UnknownAgent(name, delegable)


def check_id(given: str) -> str:
    """Return the id without surrounding space or quotes, if it can be one at all."""
    name = given.strip().strip("`'\"")
    if not is_readable_id(name):
        raise InvalidRequest(
            f"{quote(given)} is not the id of a delegation; ids look like brave-amber-otter "
            "and delegation_list() shows them."
        )
    return name


def check_offset(offset: int | None) -> int:
    """Return where to read from, in characters."""
    if offset is not None and offset < 0:
        raise InvalidRequest(f"offset is {offset}; give 0 or a position further on.")
    return offset or 0
