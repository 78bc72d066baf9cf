"""Which of line 2's events are read, and what their data are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from background_agents.adapters.opencode.v2 import wire

KINDS: Mapping[str, type] = {
    "session.created": wire.Created,
    "session.deleted": wire.OfSession,
    "session.input.admitted": wire.OfInput,
    "session.inbox.enqueued": wire.OfInput,
    "session.input.promoted": wire.OfInput,
    "session.inbox.delivered": wire.OfInput,
    "session.execution.succeeded": wire.OfSession,
    "session.execution.failed": wire.Failed,
    "session.execution.interrupted": wire.Interrupted,
    "session.step.started": wire.StepStarted,
    "session.step.ended": wire.StepEnded,
    "session.step.failed": wire.StepEnded,
    "session.retry.scheduled": wire.Retry,
    "session.text.started": wire.Text,
    "session.text.delta": wire.Text,
    "session.text.ended": wire.Text,
    "session.tool.input.started": wire.Tool,
    "session.tool.called": wire.Tool,
    "session.tool.success": wire.Tool,
    "session.tool.failed": wire.Tool,
    "session.agent.selected": wire.AgentSelected,
    "session.model.selected": wire.ModelSelected,
    "session.moved": wire.Moved,
    "session.renamed": wire.Renamed,
    "session.revert.staged": wire.Staged,
    "session.revert.cleared": wire.OfSession,
    "session.revert.committed": wire.Committed,
    "permission.asked": wire.Permission,
    "permission.replied": wire.Replied,
    "form.created": wire.FormCreated,
    "form.replied": wire.FormSettled,
    "form.cancelled": wire.FormSettled,
    "agent.updated": dict,
}
"""The events that are read, live or from a log."""

DETAILS = frozenset(one for one in KINDS if one.startswith(("session.text.", "session.tool.")))
"""Those that matter of sessions alone that somebody follows."""


def decoded(event: wire.Event) -> object:
    """Return an event's data. Raises what ``UNREADABLE`` says."""
    return msgspec.json.decode(event.data, type=KINDS[event.type])


UNREADABLE = (ValueError, OverflowError, RecursionError)
"""What is raised by events that are none, or whose numbers are none of a run's."""
