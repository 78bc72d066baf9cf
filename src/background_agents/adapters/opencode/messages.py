"""What a session's messages are made of, as line 1 names it in its API.

Line 2 tells of its messages in events of other forms, which its adapter brings into these.
Every field that some supported version leaves out has a default (1.15 to 1.18 seen).
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec

from background_agents.adapters.opencode.wire import ERROR_CHARS, Model, as_named
from background_agents.domain.transcript import CALL_OVER

LATEST_MS = 4_102_444_800_000
"""The year 2100, in milliseconds; what lies beyond is no time of a call."""


FINGERPRINT_CHARS = 16
"""Of two different calls among a million, one in a million has the same name in so many."""

_encoder = msgspec.json.Encoder()

ABORTED = "MessageAbortedError"
"""The name of the error of a message that somebody has aborted."""


class Struct(msgspec.Struct, rename=as_named):
    """A part of an API object; members that are not used are skipped."""


class Cache(Struct):
    read: float = 0
    write: float = 0


class Tokens(Struct):
    input: float = 0
    output: float = 0
    reasoning: float = 0
    cache: Cache = msgspec.field(default_factory=Cache)


class Times(Struct):
    created: float = 0
    completed: float | None = None


class ErrorData(Struct):
    message: str = ""

    def __post_init__(self) -> None:
        self.message = self.message[:ERROR_CHARS]


class Error(Struct):
    name: str = "UnknownError"
    data: ErrorData = msgspec.field(default_factory=ErrorData)

    @property
    def aborted(self) -> bool:
        return self.name == ABORTED

    @property
    def text(self) -> str:
        return (self.data.message or self.name)[:ERROR_CHARS]


class MessageInfo(Struct):
    """A user or assistant message without its parts."""

    id: str
    role: str
    session_id: str
    rank: int = 0
    """Its place among the session's messages, where their ids do not sort by time."""
    parent_id: str | None = None
    agent: str | None = None
    model: Model | None = None
    provider_id: str = ""
    model_id: str = ""
    variant: str | None = None
    finish: str | None = None
    error: Error | None = None
    time: Times = msgspec.field(default_factory=Times)
    tokens: Tokens = msgspec.field(default_factory=Tokens)
    cost: float = 0.0

    @property
    def answered_by(self) -> str:
        """The model of an assistant message."""
        if not self.model_id:
            return ""
        model = f"{self.provider_id}/{self.model_id}"
        return f"{model} ({self.variant})" if self.variant else model


class ToolInput(Struct):
    """What tells of a call what it is about, by how much; models may give anything for each."""

    command: object = None
    filePath: object = None  # noqa: N815  # the tools' own names
    path: object = None
    pattern: object = None
    url: object = None
    query: object = None
    description: object = None


class ToolTimes(Struct):
    start: float = 0
    end: float | None = None

    @property
    def began_at(self) -> datetime | None:
        return _moment(self.start)

    @property
    def ended_at(self) -> datetime | None:
        return _moment(self.end or 0)


def _moment(at_ms: float) -> datetime | None:
    return datetime.fromtimestamp(at_ms / 1000, UTC) if 0 < at_ms < LATEST_MS else None


class ToolMetadata(Struct):
    exit: object = None
    """What a command exited with."""
    id: object = None
    """Of the delegation, by ``delegate``."""


def fingerprint(*parts: bytes) -> str:
    """Return a short name of some JSON, as the plugins make it (``identity`` in service.js)."""
    return sha256(b"\n".join(parts)).hexdigest()[:FINGERPRINT_CHARS]


class ToolState(Struct):
    status: str = "pending"
    title: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    error: object = None
    fingerprint: str = ""
    """Of the input and what came of it, where a plugin has cut them; as ``fingerprint`` is."""
    time: ToolTimes = msgspec.field(default_factory=ToolTimes)
    metadata: msgspec.Raw = msgspec.Raw()

    @property
    def subject(self) -> str:
        """What it is about: its title, or the first of its arguments that says so."""
        if self.title:
            return self.title
        given = _decoded(self.input, ToolInput)
        said = (getattr(given, name) for name in ToolInput.__struct_fields__)
        return next((one for one in said if one and isinstance(one, str)), "")

    @property
    def failure(self) -> str:
        """Why it failed; a command that ran to its end fails by its exit code."""
        if self.status == "error":
            return str(self.error or "no reason was given")
        code = _decoded(self.metadata, ToolMetadata).exit
        return f"exit code {code}" if isinstance(code, int) and code else ""

    @property
    def identity(self) -> str:
        """What equal calls with equal answers have in common; empty before there is one."""
        if self.fingerprint or self.status not in CALL_OVER:
            return self.fingerprint
        answer = self.output if self.status == "completed" else _encoder.encode(self.error)
        return fingerprint(bytes(self.input), bytes(answer))

    @property
    def answered_id(self) -> str:
        """The id that a call of ``delegate`` has answered."""
        named = _decoded(self.metadata, ToolMetadata).id
        return named if self.status == "completed" and isinstance(named, str) else ""


S = TypeVar("S", ToolInput, ToolMetadata)


def _decoded(raw: msgspec.Raw, kind: type[S]) -> S:
    """Return what is declared of an object; nothing of it where it is none."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return kind()


class Span(Struct):
    end: float | None = None


class Part(Struct):
    """A part of a message: text, reasoning, a tool call, or one that is skipped."""

    id: str
    type: str
    session_id: str
    message_id: str
    text: str = ""
    tool: str = ""
    state: ToolState = msgspec.field(default_factory=ToolState)
    time: Span = msgspec.field(default_factory=Span)

    @property
    def bookkeeping(self) -> bool:
        """Whether OpenCode and not the agent wrote it."""
        return self.type in ("step-start", "step-finish", "snapshot", "patch")

    @property
    def whole(self) -> bool:
        """Whether this is a text that has come to its end."""
        return self.type == "text" and self.time.end is not None


class StoredMessage(Struct):
    """A message as ``GET /session/{id}/message`` lists it."""

    info: MessageInfo
    parts: list[Part] = []
