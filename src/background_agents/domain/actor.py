"""Who did something to a delegation: steered, answered, or ended it."""

from __future__ import annotations

from enum import StrEnum


class Actor(StrEnum):
    """The word for each stands in events, in JSON and in the files of results."""

    SUPERVISOR = "supervisor"
    """The supervisor's model."""
    COMMAND_LINE = "command line"
    """The user, outside of the conversation."""
    DIALOGUE = "user"
    """The user, in the runtime's own dialogue."""
    RULE = "policy"
    """A rule in the configuration."""
    DEADLINE = "deadline"
    """Nobody: a time window was over."""
    DELETION = "deletion"
    """Whoever deleted the supervisor's session."""
