"""Whether an agent makes the same call over and over, and gets the same answer each time.

A call whose answer changes is a look at something that goes on, and no loop; so is what has
other calls in between.
"""

from __future__ import annotations

from typing import NamedTuple

from background_agents.domain.transcript import ToolCall, Transcript

TOLD_AT = 3
"""Equal calls in a row after which an agent, and its supervisor, are told."""

ENDED_AT = 6
"""Equal calls in a row after which a run is ended: it was told, and has gone on three times."""


class Loop(NamedTuple):
    """The newest call, and how often it was made in a row."""

    call: ToolCall
    times: int
    since: str
    """The message with the first of them."""


def newest_loop(transcript: Transcript) -> Loop | None:
    """Return the newest call that is over, with how often it was made; None if there is none."""
    found: Loop | None = None
    for message in reversed(transcript.answers):
        for call in reversed(message.tools):
            if not call.is_over:
                continue
            if found is not None and not _equal(call, found.call):
                return found
            found = Loop(found.call if found else call, found.times + 1 if found else 1, message.id)
    return found


def _equal(one: ToolCall, other: ToolCall) -> bool:
    is_known = bool(one.fingerprint)
    return is_known and (one.tool, one.fingerprint) == (other.tool, other.fingerprint)
