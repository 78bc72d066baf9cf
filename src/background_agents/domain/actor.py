"""Who did something to a delegation: steered, answered, or ended it."""

from __future__ import annotations

from enum import StrEnum


class Actor(StrEnum):
    """The word for each stands in events, in JSON and in the files of results."""

    SUPERVISOR = "supervisor"
    """The supervisor's model."""
    COMMAND_LINE = "command line"
    """The user, outside of the conversation."""
    PANEL = "panel"
    """The user, in the panel inside the host's own screen."""
    DIALOGUE = "user"
    """The user, in the runtime's own dialogue."""
    RULE = "policy"
    """A rule in the configuration."""
    DEADLINE = "deadline"
    """Nobody: a time window was over."""
    LIMIT = "limit"
    """Nobody: what it may use is used up, or nearly."""
    LOOP = "loop detector"
    """Nobody: it makes the same call over and over."""
    DELETION = "deletion"
    """Whoever deleted the supervisor's session."""
    END_ABOVE = "end above"
    """Nobody: the delegation that had delegated it has ended."""


PEOPLE = frozenset({Actor.COMMAND_LINE, Actor.PANEL})
"""The user outside of the conversation, wherever."""

OF_ITSELF = frozenset({Actor.LIMIT, Actor.LOOP})
"""Those in whose name the service itself gives an instruction, which buys no further time."""
