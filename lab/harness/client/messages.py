"""Messages as tests look at them, whichever line has stored them."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True):
    """A part of a message; only ``text`` parts have text, only ``tool`` parts the last five."""

    id: str
    type: str
    text: str = ""
    synthetic: bool = False
    """No human wrote it, and none is shown it."""
    tool: str = ""
    status: str = ""
    output: str = ""
    error: str = ""
    input: dict[str, object] = {}
    took_ms: float = 0.0
    """By OpenCode's own clock, in whole milliseconds; 0 while it runs."""


class Info(msgspec.Struct, frozen=True):
    """The head of a message."""

    id: str
    role: str
    parent: str | None = None
    """Of an answer: the message that it answers."""
    agent: str | None = None
    model: str | None = None
    """As ``provider/model-id``."""
    variant: str | None = None
    finish: str | None = None
    error: str | None = None


class StoredMessage(msgspec.Struct, frozen=True):
    """A message with its parts."""

    info: Info
    parts: list[Part]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if part.type == "text")
