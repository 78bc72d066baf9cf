"""The messages of one session, put together from events as they stream.

What an event brought is kept even when OpenCode never stored it: after a hard kill the
text of an unfinished message exists only in the deltas that were sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from background_agents.adapters.opencode.wire import (
    MessageInfo,
    Part,
    StoredMessage,
    Tokens,
)
from background_agents.domain.events import Usage
from background_agents.domain.transcript import Message, ToolCall, Transcript

STILL_CALLING = frozenset({"tool-calls", "unknown"})
"""Finish reasons after which OpenCode's loop goes on by itself (seen on 1.15 to 1.18)."""


class LivePart:
    """A part and, for text, the pieces that it was streamed in."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._pieces = [part.text]

    def replace(self, part: Part) -> None:
        """Take a newer version; text that is a mere beginning of what was streamed stays."""
        streamed = self.text
        self._part = part
        self._pieces = [streamed if streamed.startswith(part.text) else part.text]

    def append(self, delta: str) -> None:
        self._pieces.append(delta)

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def spoken(self) -> str | None:
        """The text, if this is text that the model said."""
        return self.text if self._part.type == "text" else None

    @property
    def tool_call(self) -> ToolCall | None:
        if self._part.type != "tool":
            return None
        state = self._part.state
        return ToolCall(self._part.tool, state.status, state.title or "")


class LiveSession:
    """The messages of one session, oldest first."""

    def __init__(self) -> None:
        self._infos: dict[str, MessageInfo] = {}
        self._parts: dict[str, dict[str, LivePart]] = {}

    def message(self, info: MessageInfo) -> None:
        self._infos[info.id] = info

    def remove_message(self, message: str) -> None:
        self._infos.pop(message, None)
        self._parts.pop(message, None)

    def part(self, part: Part) -> None:
        parts = self._parts.setdefault(part.message_id, {})
        if part.id in parts:
            parts[part.id].replace(part)
        else:
            parts[part.id] = LivePart(part)

    def remove_part(self, message: str, part: str) -> None:
        self._parts.get(message, {}).pop(part, None)

    def delta(self, message: str, part: str, text: str) -> None:
        # A delta whose part was never announced belongs to nothing that can be shown.
        if live := self._parts.get(message, {}).get(part):
            live.append(text)

    def merge(self, stored: Iterable[StoredMessage]) -> None:
        """Take what OpenCode has stored; what was only streamed stays."""
        for message in stored:
            self.message(message.info)
            for part in message.parts:
                self.part(part)

    def one(self, message: str) -> Message | None:
        info = self._infos.get(message)
        return None if info is None else self._as_message(info)

    def is_answer(self, message: str) -> bool:
        """Whether the message is known as the assistant's."""
        info = self._infos.get(message)
        return info is not None and info.role == "assistant"

    def being_written(self) -> Message | None:
        """Return the newest answer while it is not finished."""
        newest = max((key for key in self._infos if self.is_answer(key)), default=None)
        if newest is None or self._infos[newest].time.completed is not None:
            return None
        return self._as_message(self._infos[newest])

    def transcript(self) -> Transcript:
        # Ids sort by time, and a merge may bring older messages after newer ones.
        return Transcript(tuple(self._as_message(self._infos[key]) for key in sorted(self._infos)))

    def _as_message(self, info: MessageInfo) -> Message:
        parts = list(self._parts.get(info.id, {}).values())
        done = info.time.completed is not None and info.finish is not None
        return Message(
            id=info.id,
            role=info.role,
            text="".join(part.spoken or "" for part in parts),
            answers=info.parent_id,
            tools=tuple(call for part in parts if (call := part.tool_call)),
            finished=done and info.finish not in STILL_CALLING,
            error=info.error.text if info.error else None,
            aborted=info.error is not None and info.error.aborted,
            usage=_usage(info.tokens, info.cost),
        )


def _usage(tokens: Tokens, cost_usd: float) -> Usage:
    return Usage(
        input_tokens=int(tokens.input),
        output_tokens=int(tokens.output),
        reasoning_tokens=int(tokens.reasoning),
        cache_read_tokens=int(tokens.cache.read),
        cache_write_tokens=int(tokens.cache.write),
        cost_usd=cost_usd,
    )
