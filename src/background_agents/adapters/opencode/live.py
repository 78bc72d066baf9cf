"""The messages of one session, put together from events as they stream.

What an event brought is kept even when OpenCode never stored it: after a hard kill the
text of an unfinished message exists only in the deltas that were sent. A child that never
stops writing costs no more than a bounded amount of memory.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from background_agents.adapters.opencode import messages as wire
from background_agents.domain.events import Usage
from background_agents.domain.transcript import Message, ToolCall, Transcript

STILL_CALLING = frozenset({"tool-calls", "unknown"})
"""Finish reasons after which OpenCode's loop goes on by itself (seen on 1.15 to 1.18)."""

SAID = "text"
"""The type of parts that are the model's, or a user's, words."""

SESSION_CHARS = 8_000_000
"""Kept of one session, in one to four bytes each: above any result seen (5 MB)."""

HEAD_CHARS, TAIL_CHARS = 2_000_000, 4_000_000
"""Kept of one text that grows beyond both; the newest matters most."""

SLACK_CHARS = 1_000_000
"""How far a limit is passed before text is given up, so that copying is rare."""

JOIN_AT = 4096
"""Pieces that are joined into one block: a piece of one token weighs ten times its text."""

NAME_CHARS = 1_000
"""Of a tool's name or title; far less is ever shown."""

MOST = 10**12
"""Tokens or dollars of one message; more is no number that could be added up and stored."""


class LiveText:
    """A text that grows at its end. Far beyond anything useful, its middle is given up."""

    def __init__(self, text: str = "") -> None:
        self.begin(text)

    def begin(self, text: str) -> None:
        """Take a text in place of the one that there is."""
        self.kept = 0
        """How many characters are held."""
        self._left_out = 0
        self._head = ""
        """The beginning, once something was left out."""
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        """The newest of what is held, not joined yet."""
        self.append(text)

    def append(self, piece: str) -> int:
        """Add to the end; return how many more characters are held than before."""
        added = len(piece)
        self.kept += added
        self._pieces.append(piece)
        if len(self._pieces) >= JOIN_AT:
            self._blocks.append("".join(self._pieces))
            self._pieces = []
        if self.kept > HEAD_CHARS + TAIL_CHARS + SLACK_CHARS:
            added -= self._leave_out()
        return added

    def forget(self) -> None:
        """Keep nothing but how much there was."""
        self._head, self._blocks, self._pieces = "", [], []
        self._left_out += self.kept
        self.kept = 0

    def begins_with(self, text: str) -> bool:
        """Whether ``text`` is a mere beginning of it, as far as it is still known."""
        known = self._head if self._left_out else self._end()
        is_longer = len(text) > self.kept + self._left_out
        return not is_longer and known.startswith(text[: len(known)])

    def __str__(self) -> str:
        if not self._left_out:
            return self._end()
        return f"{self._head}\n\n[… {self._left_out:,} characters left out …]\n\n{self._end()}"

    def _end(self) -> str:
        """Return what is kept after the head."""
        if self._pieces or len(self._blocks) != 1:
            self._blocks = ["".join((*self._blocks, *self._pieces))]
            self._pieces = []
        return self._blocks[0]

    def _leave_out(self) -> int:
        """Give up the middle; return how many characters that is."""
        end = self._end()
        if not self._left_out:
            self._head, end = end[:HEAD_CHARS], end[HEAD_CHARS:]
        given_up = max(len(end) - TAIL_CHARS, 0)
        self._blocks, self._pieces = [end[given_up:]], []
        self._left_out += given_up
        self.kept -= given_up
        return given_up


class LivePart(LiveText):
    """A part and, for text that is said, what was streamed of it."""

    def __init__(self, part: wire.Part) -> None:
        super().__init__(_said(part))
        self._part = _without_text(part)

    def replace(self, part: wire.Part) -> None:
        """Take a newer version; text that is a mere beginning of what was streamed stays."""
        self._part = _without_text(part)
        if not self.begins_with(text := _said(part)):
            self.begin(text)

    def stream(self, delta: str) -> int:
        """Take what was streamed; return how many more characters are held than before."""
        return self.append(delta) if self._part.type == SAID else 0

    @property
    def lean(self) -> wire.Part:
        return self._part

    @property
    def tool_call(self) -> ToolCall | None:
        if self._part.type != "tool":
            return None
        state = self._part.state
        failure = str(state.error or "")
        return ToolCall(
            self._part.tool,
            state.status,
            state.title or "",
            failure,
            state.time.began_at,
            state.fingerprint,
            state.time.ended_at,
        )


def _said(part: wire.Part) -> str:
    # What a model thinks is shown to nobody and not worth its memory.
    return part.text if part.type == SAID else ""


def _without_text(part: wire.Part) -> wire.Part:
    """Return what is to be held of a part besides its text."""
    seen = part.state
    state = wire.ToolState(
        seen.status,
        seen.subject[:NAME_CHARS],
        error=seen.failure[:NAME_CHARS],
        fingerprint=seen.identity[:NAME_CHARS],
        time=seen.time,
    )
    return msgspec.structs.replace(part, text="", tool=part.tool[:NAME_CHARS], state=state)


class LiveSession:
    """The messages of one session, oldest first, in bounded memory."""

    def __init__(self) -> None:
        self._infos: dict[str, wire.MessageInfo] = {}
        self._parts: dict[str, dict[str, LivePart]] = {}
        self._kept_chars = 0
        self._made: dict[str, Message] = {}
        """What was made of messages and has not changed since: a look at a long session, one for
        each token while somebody follows it, makes the newest message anew and no other."""

    def message(self, info: wire.MessageInfo) -> None:
        self._infos[info.id] = info
        self._made.pop(info.id, None)

    def remove_message(self, message: str) -> None:
        self._infos.pop(message, None)
        self._made.pop(message, None)
        for part in tuple(self._parts.get(message, ())):
            self.remove_part(message, part)
        self._parts.pop(message, None)

    def remove_from(self, message: str) -> None:
        """Remove a message and all that came after it."""
        if message in self._infos:
            first = self._place(message)
            for one in [key for key in self._infos if self._place(key) >= first]:
                self.remove_message(one)

    def part(self, part: wire.Part) -> None:
        parts = self._parts.setdefault(part.message_id, {})
        if live := parts.get(part.id):
            before = live.kept
            live.replace(part)
        else:
            before = 0
            live = parts[part.id] = LivePart(part)
        self._made.pop(part.message_id, None)
        self._grow(live.kept - before, live)

    def remove_part(self, message: str, part: str) -> None:
        if live := self._parts.get(message, {}).pop(part, None):
            self._made.pop(message, None)
            self._kept_chars -= live.kept

    def delta(self, message: str, part: str, text: str) -> None:
        # A delta whose part was never announced belongs to nothing that can be shown.
        if live := self._parts.get(message, {}).get(part):
            self._made.pop(message, None)
            self._grow(live.stream(text), live)

    def _grow(self, chars: int, newest: LivePart) -> None:
        """Count what is held; when it is too much, forget the oldest texts, but not the newest."""
        self._kept_chars += chars
        if self._kept_chars <= SESSION_CHARS:
            return
        for message in sorted(self._parts, key=self._place):
            for old in self._parts[message].values():
                if self._kept_chars <= SESSION_CHARS - SLACK_CHARS:
                    return
                if old is not newest:
                    self._made.pop(message, None)
                    self._kept_chars -= old.kept
                    old.forget()

    def merge(self, stored: Iterable[wire.StoredMessage]) -> None:
        """Take what OpenCode has stored; what was only streamed stays."""
        for message in stored:
            self.message(message.info)
            for part in message.parts:
                self.part(part)

    def info(self, message: str) -> wire.MessageInfo | None:
        return self._infos.get(message)

    def known(self, message: str, part: str) -> wire.Part | None:
        """Return what is held of a part besides its text."""
        live = self._parts.get(message, {}).get(part)
        return None if live is None else live.lean

    def one(self, message: str) -> Message | None:
        info = self._infos.get(message)
        return None if info is None else self._message(info)

    def is_answer(self, message: str) -> bool:
        """Whether the message is known as the assistant's."""
        info = self._infos.get(message)
        return info is not None and info.role == "assistant"

    def being_written(self) -> Message | None:
        """Return the newest answer while it is not finished."""
        answers = (key for key in self._infos if self.is_answer(key))
        newest = max(answers, key=self._place, default=None)
        if newest is None or self._infos[newest].time.completed is not None:
            return None
        return self._message(self._infos[newest])

    def transcript(self) -> Transcript:
        return Transcript(
            tuple(self._message(self._infos[key]) for key in sorted(self._infos, key=self._place))
        )

    def _place(self, message: str) -> tuple[int, str]:
        # A merge may bring older messages after newer ones.
        info = self._infos.get(message)
        return (info.rank if info else 0, message)

    def _message(self, info: wire.MessageInfo) -> Message:
        """Return a message as it now is."""
        if (made := self._made.get(info.id)) is None:
            made = self._made[info.id] = self._make(info)
        return made

    def _make(self, info: wire.MessageInfo) -> Message:
        parts = list(self._parts.get(info.id, {}).values())
        done = info.time.completed is not None and info.finish is not None
        return Message(
            id=info.id,
            role=info.role,
            text="".join(map(str, parts)),
            answers=info.parent_id,
            tools=tuple(call for part in parts if (call := part.tool_call)),
            finished=done and info.finish not in STILL_CALLING,
            finish=info.finish or "" if done else "",
            model=info.answered_by,
            error=info.error.text if info.error else None,
            aborted=info.error is not None and info.error.aborted,
            usage=_usage(info.tokens, info.cost),
        )


def _usage(tokens: wire.Tokens, cost_usd: float) -> Usage:
    return Usage(
        input_tokens=_count(tokens.input),
        output_tokens=_count(tokens.output),
        reasoning_tokens=_count(tokens.reasoning),
        cache_read_tokens=_count(tokens.cache.read),
        cache_write_tokens=_count(tokens.cache.write),
        cost_usd=min(max(cost_usd, 0.0), float(MOST)),
    )


def _count(number: float) -> int:
    return int(min(max(number, 0), MOST))
