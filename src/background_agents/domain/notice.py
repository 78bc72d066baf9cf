"""A notice to a supervisor, from the commit that creates it to its receipt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from background_agents.domain.asking import Ask
from background_agents.domain.changes import Changes


class NoticeState(StrEnum):
    """How far a notice has come."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    """It has a message id and its final text; it may have been sent."""
    CONFIRMED = "confirmed"
    """The supervisor's transcript holds it."""
    DROPPED = "dropped"
    """The supervisor's session no longer exists."""


class NoticeKind(StrEnum):
    """What a notice tells of."""

    ENDED = "ended"
    REQUEST = "request"
    """A permission or a question that waits for an answer."""
    MESSAGE = "message"
    """The child has something to say and goes on."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell a supervisor. What came from an agent is still raw in here."""

    id: str
    """Also the id of the message part that carries it (``prt_...``)."""
    delegation: str
    supervisor: str
    """The session that delegated."""
    created_at: datetime
    status: str
    title: str
    agent: str = ""
    """Who did the work; empty in a notice of before it was told."""
    summary: str
    elapsed: str
    error: str | None = None
    cut: str | None = None
    """Why the result may not be whole, as ``Delegation.cut``."""
    unkept: str = ""
    """That a limit of cost could not be kept, if so."""
    relaunches: int = 0
    """How often its run was cut off and resumed."""
    kind: NoticeKind = NoticeKind.ENDED
    ask: Ask | None = None
    """What is asked, by a notice of that kind."""
    words: str = ""
    """What the child says, in a notice of that kind."""
    more: tuple[str, ...] = ()
    """What it has said after that, where it is told together."""
    changes: Changes = Changes()
    """What it has changed, in a notice of its end."""
    wakes: bool = True
    """Whether a supervisor that rests is to take it up at once, rather than at its next turn."""
    state: NoticeState = NoticeState.QUEUED
    message: str | None = None
    """The message (``msg_...``) that carries it; several notices may share one."""
    text: str | None = None
    """What is sent, fixed when the message is assigned, so that a retry repeats it."""
