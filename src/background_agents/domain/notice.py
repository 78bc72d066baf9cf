"""A notice to a supervisor, from the commit that creates it to its receipt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class NoticeState(StrEnum):
    """How far a notice has come."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    """It has a message id and its final text; it may have been sent."""
    CONFIRMED = "confirmed"
    """The supervisor's transcript holds it."""
    DROPPED = "dropped"
    """The supervisor's session no longer exists."""


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
    summary: str
    elapsed: str
    error: str | None = None
    state: NoticeState = NoticeState.QUEUED
    message: str | None = None
    """The message (``msg_...``) that carries it; several notices may share one."""
    text: str | None = None
    """What is sent, fixed when the message is assigned, so that a retry repeats it."""
