"""The parts of line 1's API objects that are used, as typed structures.

Every field that some supported version leaves out has a default (1.15 to 1.18 seen).
"""

from __future__ import annotations

import msgspec

from background_agents.adapters.opencode.messages import (
    Error as Error,
)
from background_agents.adapters.opencode.messages import (
    ErrorData as ErrorData,
)
from background_agents.adapters.opencode.messages import (
    MessageInfo as MessageInfo,
)
from background_agents.adapters.opencode.messages import (
    Part as Part,
)
from background_agents.adapters.opencode.messages import (
    StoredMessage as StoredMessage,
)
from background_agents.adapters.opencode.messages import (
    Times as Times,
)
from background_agents.adapters.opencode.messages import (
    Tokens as Tokens,
)
from background_agents.adapters.opencode.messages import (
    ToolState as ToolState,
)
from background_agents.adapters.opencode.messages import (
    ToolTimes as ToolTimes,
)
from background_agents.adapters.opencode.wire import ERROR_CHARS as ERROR_CHARS
from background_agents.adapters.opencode.wire import Model as Model
from background_agents.adapters.opencode.wire import PermissionRule, as_named


class Struct(msgspec.Struct, rename=as_named):
    """A part of an API object; members that are not used are skipped."""


class SessionInfo(Struct):
    id: str
    parent_id: str | None = None
    directory: str = ""
    """In which its agents work; others of the same project may be open as well."""
    revert: dict[str, object] | None = None
    """There until the messages that its user has undone are back, or deleted by the next one."""
    permission: list[PermissionRule] | None = None
    """Rules of its own, which come after its agent's."""


class Status(Struct):
    type: str
    attempt: int = 0
    message: str = ""
    next: float | None = None


# --- properties of events --------------------------------------------------


class SessionProperties(Struct):
    info: SessionInfo


class MessageProperties(Struct):
    info: MessageInfo


class PartProperties(Struct):
    part: Part


class OfSession(Struct):
    """What concerns one session; ``session.idle`` says no more."""

    session_id: str


class StatusProperties(OfSession):
    status: Status


class ErrorProperties(Struct):
    session_id: str | None = None
    error: Error | None = None


class OfMessage(OfSession):
    message_id: str


class OfPart(OfMessage):
    part_id: str


class DeltaProperties(OfPart):
    field: str
    delta: str


# --- permissions and questions ---------------------------------------------


class Permission(OfSession):
    """A permission that a session waits for; also the properties of ``permission.asked``."""

    id: str
    permission: str = ""
    patterns: list[str] = []


class Option(Struct):
    label: str = ""


class QuestionInfo(Struct):
    question: str = ""
    options: list[Option] = []


class Questions(OfSession):
    """Questions that a session waits for; also the properties of ``question.asked``."""

    id: str
    questions: list[QuestionInfo] = []


class SettledProperties(OfSession):
    """Of ``permission.replied``, ``question.replied`` and ``question.rejected``."""

    request_id: str
    reply: str = ""
    answers: list[list[str]] = []
