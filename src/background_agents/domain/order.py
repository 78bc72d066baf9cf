"""What a delegation is asked to be: the arguments of ``delegate``, the same wherever it is called.

The descriptions are what a model is told of each; defaults say what may be left out.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents.domain.delegation import Delegation


class Order(msgspec.Struct, frozen=True):
    """The arguments as they were given; ``service.checks`` says which can be meant."""

    prompt: Annotated[
        str,
        Meta(
            description="The whole task. The agent sees nothing of this conversation: name "
            "files, constraints and what to report."
        ),
    ] = ""
    agent: Annotated[str, Meta(description="Name of the agent that does it.")] = ""
    timeout_minutes: Annotated[
        float | None,
        Meta(description="Time limit, fractions allowed; 0 = none. Default 15."),
    ] = None
    model: Annotated[
        str | None,
        Meta(description="provider/model-id for this task alone; rarely needed."),
    ] = None
    continue_id: Annotated[
        str | None,
        Meta(description="Id of an ended one to go on from, with all it knows."),
    ] = None
    max_turns: Annotated[int | None, Meta(description="Model calls.")] = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    isolation: Annotated[
        str | None,
        Meta(description="worktree: in a copy of the project, for delegation_apply; none: not."),
    ] = None
    retry_id: Annotated[
        str | None,
        Meta(description="Id of an ended delegation to do once more, alike in what you leave out."),
    ] = None


def again(order: Order, before: Delegation) -> Order:
    """Return what is asked for by an order to do once more what ``before`` was to do.

    One that went on in an earlier session goes on there again.
    """
    minutes = before.timeout.total_seconds() / 60 if before.timeout else 0.0
    limits = before.limits
    usual = {
        "prompt": before.prompt,
        "agent": before.agent,
        "timeout_minutes": minutes,
        "model": before.model,
        "continue_id": before.continued_from,
        "isolation": before.isolation or None,
        "max_turns": limits.max_turns,
        "max_tokens": limits.max_tokens,
        "max_cost_usd": limits.max_cost_usd,
    }
    left_out = {name: value for name, value in usual.items() if getattr(order, name) in (None, "")}
    return msgspec.structs.replace(order, retry_id=before.id, **left_out)
