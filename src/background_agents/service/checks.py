"""What a supervisor may ask for, checked before anything is changed.

Each check raises ``InvalidRequest`` with one sentence that says what to do instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from background_agents.config import MAX_TIMEOUT_MINUTES
from background_agents.domain.delegation import MESSAGE_CHARS, Delegation
from background_agents.domain.errors import (
    InvalidRequest,
    LeaveNeeded,
    LeaveToEdit,
    MayNotEdit,
    NotAnId,
    NotPermitted,
    NotReadOnly,
    OnlyPlanning,
    UnknownAgent,
    quote,
)
from background_agents.domain.ids import is_readable_id
from background_agents.domain.isolation import ISOLATIONS, NOT_ISOLATED, WORKTREE
from background_agents.domain.limits import MOST, Limits
from background_agents.domain.order import Order
from background_agents.domain.text import span
from background_agents.ports.runtime import Agent, Leave

MAX_PROMPT_CHARS = 1_000_000
"""Beyond every model's context; bounds what one call can make us store."""

MAX_REPLY_CHARS = 20_000
"""An answer to a question is words; material belongs into a file."""

MOST_IDS = 1_000
"""That one call can name; nobody has so many running."""

MAX_OFFSET = 10**9
"""Beyond the end of every artifact, and still a number that can be shown."""

PROMPT, INSTRUCTION, MESSAGE = "prompt", "instruction", "message"

MAX_WAIT_S = 600.0
"""Ten minutes: longer, and whoever waits had better end its turn and be woken."""

WAIT_S = 60.0
"""The default: about what a short task takes."""

EDIT = "edit"
"""The permission by which runtimes let agents write files."""

MODES = ("any", "all")

Number = TypeVar("Number", int, float)

_MODEL = re.compile(r"[^\s/]+/\S+")


def check_order(order: Order, default: timedelta | None) -> tuple[str | None, timedelta | None]:
    """Return the model and the time window of an order, as far as it tells them by itself."""
    check_text(PROMPT, order.prompt)
    return check_model(order.model), check_timeout(order.timeout_minutes, default)


def check_text(what: str, text: str) -> None:
    """Refuse a prompt or a message that says nothing, or too much."""
    if not text.strip():
        raise InvalidRequest(f"The {what} is empty; {_MEANT[what]}.")
    if what == MESSAGE:
        instead = "say what matters, and put the material into a file or your result"
        _check_length(what, text, MESSAGE_CHARS, instead)
    _check_length(what, text, MAX_PROMPT_CHARS)


_MEANT = {
    PROMPT: "say what the agent is to do",
    INSTRUCTION: "say what the agent is to do differently",
    MESSAGE: "say what your supervisor is to know",
}


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


def check_timeout(
    minutes: float | None, default: timedelta | None = None, *, name: str = "timeout_minutes"
) -> timedelta | None:
    """Return the time window that the argument ``name`` means; None for no limit."""
    if minutes is None:
        return default
    if not (math.isfinite(minutes) and 0 <= minutes <= MAX_TIMEOUT_MINUTES):
        raise InvalidRequest(
            f"{name} is {minutes!r}; give a number from 0 (no limit) to {MAX_TIMEOUT_MINUTES:,}."
        )
    return timedelta(minutes=minutes) if minutes else None


def check_longer(delegation: Delegation, more: timedelta | None) -> None:
    """Refuse more time where there is no limit, or where it would be more than one may be."""
    timeout = delegation.timeout + more if delegation.timeout and more else None
    if delegation.timeout is None:
        raise InvalidRequest(f"{delegation.id} has no time limit that could be extended.")
    if timeout is not None and timeout > timedelta(minutes=MAX_TIMEOUT_MINUTES):
        raise InvalidRequest(
            f"{delegation.id} would have {span(timeout)}, and {MAX_TIMEOUT_MINUTES:,} minutes is "
            "the most; 0 gives it no limit."
        )


def check_limits(order: Order, usual: Limits, *, may_exceed: bool) -> Limits:
    """Return what an order may use; ``usual`` is what its user has set for all.

    Only who ``may_exceed`` that can go beyond it: a model never decides for its human.
    """
    cost = _check_limit("max_cost_usd", order.max_cost_usd, usual.max_cost_usd, may_exceed)
    tokens = _check_limit("max_tokens", order.max_tokens, usual.max_tokens, may_exceed)
    turns = _check_limit("max_turns", order.max_turns, usual.max_turns, may_exceed)
    return Limits(cost, tokens, turns)


def _check_limit(
    name: str, given: Number | None, usual: Number | None, may_exceed: bool
) -> Number | None:
    if given is None:
        return usual
    if not (math.isfinite(given) and 0 <= given <= MOST):
        raise InvalidRequest(f"{name} is {given!r}; give a number above 0, or leave it out.")
    if usual is not None and not may_exceed and not 0 < given <= usual:
        raise InvalidRequest(
            f"{name} is {given!r}, and {usual!r} is the most that the user has set; give less, or "
            "leave it out."
        )
    return given or None


def check_isolation(
    given: str | None, agent: str, usual: Mapping[str, str], *, may_loosen: bool
) -> bool:
    """Return whether a delegation is to have a tree of its own; ``usual`` says it by agent.

    Only who ``may_loosen`` that can have an agent work in the project whose user wants it apart.
    """
    wanted = usual.get(agent, NOT_ISOLATED)
    chosen = (given or wanted).strip().lower()
    if chosen not in ISOLATIONS:
        raise InvalidRequest(f"isolation is {quote(given or '')}; give {' or '.join(ISOLATIONS)}.")
    if wanted == WORKTREE != chosen and not may_loosen:
        raise InvalidRequest(
            f"isolation is {quote(chosen)}, and the user has set {WORKTREE} for {quote(agent)}; "
            "leave it out."
        )
    return chosen == WORKTREE


def check_edit(by: str, granted: str, leave: Leave) -> None:
    """Refuse that a model's apply writes files that its agent may not edit itself.

    ``granted`` is as of ``check_leave``.
    """
    if not leave.may_edit:
        raise MayNotEdit(by)
    if leave.ask_to_edit and granted != EDIT:
        raise LeaveToEdit(by, EDIT)


def check_wait(seconds: float | None, mode: str | None) -> tuple[timedelta, str]:
    """Return how long to wait at most, and for ``any`` or ``all``."""
    limit = WAIT_S if seconds is None else seconds
    if not (math.isfinite(limit) and 0 <= limit <= MAX_WAIT_S):
        raise InvalidRequest(
            f"timeout_seconds is {seconds!r}; give a number from 0 to {MAX_WAIT_S:g}, or end your "
            "turn: you are notified when a delegation ends."
        )
    chosen = (mode or "all").strip().lower()
    if chosen not in MODES:
        raise InvalidRequest(f"mode is {quote(mode or '')}; give any or all.")
    return timedelta(seconds=limit), chosen


def check_reply(reply: str) -> None:
    """Refuse an answer that is too long; whether it answers anything is seen later."""
    _check_length("reply", reply, MAX_REPLY_CHARS)


def _check_length(
    what: str, text: str, most: int, instead: str = "put the material into a file and name its path"
) -> None:
    if len(text) > most:
        has = f"The {what} has {len(text):,} characters, and {most:,} is the most"
        raise InvalidRequest(f"{has}; {instead}.")


def check_ids(ids: Sequence[str] | None) -> None:
    """Refuse more ids than anybody can mean."""
    if ids is not None and len(ids) > MOST_IDS:
        raise InvalidRequest(
            f"{len(ids):,} ids are given, and {MOST_IDS:,} is the most; without ids all that run "
            "are waited for."
        )


def check_agent(name: str, agents: Sequence[Agent], *, leave_to: str = "") -> None:
    """Refuse an agent that does not exist or that only the runtime itself uses.

    With ``leave_to``, a tool, also one that may change things: it is left to that.
    """
    delegable = [agent for agent in agents if agent.delegable]
    names = [agent.name for agent in delegable if agent.read_only or not leave_to]
    if name in names:
        return
    for agent in delegable:
        if agent.name == name:
            raise NotReadOnly(name, names, agent.unknown_tools, native=leave_to)
    raise UnknownAgent(name, names)


def check_leave(agent: str, granted: str, leave: Leave, agents: Sequence[Agent]) -> None:
    """Refuse what the host's own rules deny, or want its user to be asked for before.

    ``granted`` is the permission that the user was asked for meanwhile, and gave.
    """
    if leave.denied_by:
        raise NotPermitted(agent, leave.denied_by)
    if leave.planning:
        names = [one.name for one in agents if one.delegable and not one.may_edit]
        if agent not in names:
            raise OnlyPlanning(agent, names)
    if leave.ask and leave.ask != granted:
        raise LeaveNeeded(agent, leave.ask)


def check_id(given: str) -> str:
    """Return the id without surrounding space or quotes, if it can be one at all."""
    name = given.strip().strip("`'\"")
    if not is_readable_id(name):
        raise NotAnId(given)
    return name


def check_offset(offset: int | None) -> int:
    """Return where to read from, in characters."""
    if offset is not None and offset < 0:
        shown = max(offset, -MAX_OFFSET)
        raise InvalidRequest(f"offset is {shown}; give 0 or a position further on.")
    return min(offset or 0, MAX_OFFSET)
