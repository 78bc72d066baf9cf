"""OpenCode's events as facts of the demo: typed, and without what it does not show.

Knows the wire and the form of a notice; who did what, and when, is ``timeline.py``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import msgspec

from lab.harness.client import Seen

NOTICE = "<task-notification>"


class Times(msgspec.Struct, frozen=True):
    """When something began and ended, in milliseconds."""

    start: float = 0
    end: float | None = None


class ToolState(msgspec.Struct, frozen=True):
    status: str = "pending"
    title: str = ""
    output: str = ""
    error: str = ""
    input: dict[str, object] = {}
    metadata: dict[str, object] = {}
    time: Times = Times()


class Part(msgspec.Struct, frozen=True):
    """A part of a message: a text or a tool call; others have neither."""

    id: str
    type: str
    session: str = msgspec.field(name="sessionID")
    message: str = msgspec.field(name="messageID")
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    state: ToolState = ToolState()
    time: Times = Times()

    @property
    def call_ms(self) -> float:
        """How long a finished tool call took."""
        return (self.state.time.end or self.state.time.start) - self.state.time.start


class Info(msgspec.Struct, frozen=True):
    """The head of a message."""

    id: str
    role: str
    session: str = msgspec.field(name="sessionID")
    parent: str = msgspec.field(name="parentID", default="")
    finish: str = ""


class Session(msgspec.Struct, frozen=True):
    id: str
    title: str = ""
    parent: str = msgspec.field(name="parentID", default="")


@dataclass(frozen=True)
class Notice:
    """A notice, as it stands in the supervisor's transcript."""

    id: str
    status: str
    elapsed: str
    remaining: str
    told: str
    """The error, or the summary."""
    all_complete: bool

    @classmethod
    def all_in(cls, text: str) -> list[Notice]:
        return [cls._of(block) for block in text.split(NOTICE)[1:]]

    @classmethod
    def _of(cls, block: str) -> Notice:
        tags = {tag: html.unescape(value) for tag, value in _TAG.findall(block)}
        return cls(
            id=tags.get("task-id", ""),
            status=tags.get("status", ""),
            elapsed=tags.get("elapsed", ""),
            remaining=tags.get("remaining", ""),
            told=tags.get("error") or tags.get("summary", ""),
            all_complete=tags.get("all-complete") == "true",
        )


_TAG = re.compile(r"<([a-z-]+)>(.*?)</\1>")


def part(seen: Seen) -> Part:
    """Return the part that a ``message.part.updated`` event carries."""
    return msgspec.convert(seen.properties["part"], Part, strict=False)


def info(seen: Seen) -> Info:
    """Return the message that a ``message.updated`` event carries."""
    return msgspec.convert(seen.properties["info"], Info, strict=False)


def session(seen: Seen) -> Session:
    """Return the session that a ``session.created`` event carries."""
    return msgspec.convert(seen.properties["info"], Session, strict=False)


def error(seen: Seen) -> str:
    """Return what a ``session.error`` event says, in one line."""
    found = seen.properties.get("error")
    data = found.get("data") if isinstance(found, dict) else None
    message = data.get("message") if isinstance(data, dict) else None
    name = found.get("name") if isinstance(found, dict) else None
    return " ".join(str(message or name or "unknown error").split())


def delta(seen: Seen) -> str:
    """Return the text that a ``message.part.delta`` event adds; "" for other fields."""
    is_text = seen.properties.get("field") == "text"
    return str(seen.properties.get("delta", "")) if is_text else ""
