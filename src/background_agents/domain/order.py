"""What a delegation is asked to be: the arguments of ``delegate``, the same wherever it is called.

The descriptions are what a model is told of each; defaults say what may be left out.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Order(msgspec.Struct, frozen=True):
    """The arguments as they were given; ``service.checks`` says which can be meant."""

    prompt: Annotated[
        str,
        Meta(
            description="The whole task. The agent sees nothing of this conversation: name "
            "files, constraints and what to report."
        ),
    ]
    agent: Annotated[str, Meta(description="Name of the agent that does it.")]
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
        Meta(description="Id of an ended delegation to go on from, with all it knows."),
    ] = None
    max_turns: Annotated[int | None, Meta(description="Most model calls.")] = None
    max_tokens: Annotated[int | None, Meta(description="Most tokens, cached ones aside.")] = None
    max_cost_usd: Annotated[float | None, Meta(description="Most US dollars.")] = None
    isolation: Annotated[
        str | None,
        Meta(
            description="worktree: it works in a copy of the project, and nothing reaches the "
            "project before delegation_apply; none: in the project. Default as set for the agent."
        ),
    ] = None
