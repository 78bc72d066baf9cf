"""The exit codes of the command line, in one place: scripts depend on them."""

from __future__ import annotations

from enum import IntEnum

from background_agents.domain.errors import DelegationError, NotServed


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    NOT_WELL = 1
    """It worked, and what it reports is bad: a delegation did not complete, doctor found faults."""
    BAD_INPUT = 2
    """What was asked cannot be done as asked, and nothing was changed."""
    NOT_SERVED = 3
    """No living service can do it: OpenCode is closed, or does not answer."""
    TIME_OVER = 4
    """A wait reached its limit first."""
    UNHEARD = 141
    """Whoever read the output has left before a wait or a look at a run was over, so that no code
    tells how that ended; as shells count an end by SIGPIPE."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, as shells count it."""


def code_of(error: DelegationError) -> Exit:
    """Return the exit code that tells of an error."""
    return Exit.NOT_SERVED if isinstance(error, NotServed) else Exit.BAD_INPUT
