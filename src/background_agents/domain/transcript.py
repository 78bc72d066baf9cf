"""What a session's messages say about a run: its result, and whether it is over.

Runtime-neutral: an adapter turns its own messages into these and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce

import msgspec

from background_agents.domain.events import Usage

CALL_OVER = ("completed", "error")
"""States of a tool call that is not changed any more."""

WHOLE = "stop"
"""The reason that a model gives for an answer that is as long as it wanted it to be."""


class ToolCall(msgspec.Struct, frozen=True):
    """A tool call in an assistant message; ``state`` is the runtime's own word."""

    tool: str
    state: str
    title: str = ""
    """The runtime's, or what it was called with where there is none yet."""
    failure: str = ""
    """Why it did not do what was wanted, if it did not."""
    began_at: datetime | None = None
    fingerprint: str = ""
    """Of what it was called with and what came of it, once it is over; alike for equal calls."""
    ended_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.state in CALL_OVER


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a session."""

    id: str
    role: str
    """``user`` or ``assistant``."""
    text: str = ""
    answers: str | None = None
    """For an assistant message: the user message it answers."""
    tools: tuple[ToolCall, ...] = ()
    finished: bool = False
    """The model said on its own that it is done, with nothing left to call."""
    finish: str = ""
    """The reason that the model, or its provider, gave for the end of it; empty before that."""
    model: str = ""
    """For an assistant message: ``provider/model-id``, with the variant in parentheses."""
    error: str | None = None
    aborted: bool = False
    usage: Usage = Usage()
    """What the runtime tells of it: tokens and cost."""

    @property
    def used(self) -> Usage:
        """What an assistant message has used, itself counted."""
        is_unpriced = not self.usage.cost_usd and self.usage.tokens > 0
        counts = {"tool_calls": len(self.tools), "turns": 1, "unpriced_turns": int(is_unpriced)}
        return msgspec.structs.replace(self.usage, **counts)

    @property
    def goes_on(self) -> bool:
        """Whether it has called tools, whose answers its model is to see next."""
        return bool(self.tools) and not self.finished and self.error is None

    @property
    def has_its_answers(self) -> bool:
        """Whether all the tools that it has called are over."""
        return all(call.is_over for call in self.tools)


class Verdict(StrEnum):
    """What a transcript proves about the run that answers a prompt."""

    GOING_ON = "going on"
    FINISHED = "finished"
    FAILED = "failed"
    ABORTED = "aborted"


class Transcript(msgspec.Struct, frozen=True):
    """The messages of one session, oldest first."""

    messages: tuple[Message, ...] = ()

    def since(self, message: str | None) -> Transcript:
        """Return the part that begins with the user message ``message`` (all, if unknown)."""
        for index, one in enumerate(self.messages):
            if one.id == message:
                return Transcript(self.messages[index:])
        return self

    def until(self, moment: str) -> Transcript:
        """Return the part before what its user said after the sortable id ``moment`` was made."""
        later = (at for at, m in enumerate(self.messages) if m.role == "user" and m.id > moment)
        return Transcript(self.messages[: next(later, None)])

    def completed_by(self, kept: Mapping[str, str]) -> Transcript:
        """Return it with texts that were kept as they streamed, where more of them was kept.

        After a hard kill the runtime may have stored less of a message than was streamed.
        """
        if not kept:
            return self
        return Transcript(tuple(_longer(one, kept.get(one.id, "")) for one in self.messages))

    @property
    def answers(self) -> list[Message]:
        """The assistant's messages, oldest first."""
        return [message for message in self.messages if message.role == "assistant"]

    @property
    def verdict(self) -> Verdict:
        """What the newest messages prove."""
        newest = self.answers[-1] if self.answers else None
        if newest is None:
            return Verdict.GOING_ON
        if newest.aborted:
            return Verdict.ABORTED
        if newest.error is not None:
            return Verdict.FAILED
        newest_prompt = next((m.id for m in reversed(self.messages) if m.role == "user"), None)
        answered = newest_prompt in (None, newest.answers) or self.messages[-1] is newest
        return Verdict.FINISHED if newest.finished and answered else Verdict.GOING_ON

    def has_answered(self, message: str) -> bool:
        """Return whether the assistant has begun to answer a user's message, or a later one."""
        ids = [one.id for one in self.messages]
        later = self.messages[ids.index(message) :] if message in ids else ()
        return any(one.role == "assistant" for one in later)

    @property
    def result(self) -> str:
        """The answer of a finished run: what its last message that has text says."""
        return next((m.text for m in reversed(self.answers) if m.text.strip()), "")

    @property
    def everything(self) -> str:
        """All that the assistant wrote, for a run that was cut off."""
        return "\n\n".join(message.text for message in self.answers if message.text.strip())

    @property
    def tools_for(self) -> timedelta:
        """How long at least one tool was at work, or waited for a permission or an answer."""
        spans = sorted(
            (call.began_at, call.ended_at)
            for message in self.answers
            for call in message.tools
            if call.began_at and call.ended_at
        )
        together, upto = timedelta(0), None
        for begin, end in spans:
            begin = max(begin, upto or begin)
            together += max(end - begin, timedelta(0))
            upto = max(end, upto or end)
        return together

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answered, each once; the newest is the last."""
        newest_first = dict.fromkeys(one.model for one in reversed(self.answers) if one.model)
        return tuple(reversed(newest_first))

    @property
    def cut(self) -> str | None:
        """Why the newest answer may not be whole: the reason that was given for its end."""
        finish = self.answers[-1].finish if self.answers else ""
        return finish if finish not in ("", WHOLE) else None

    @property
    def usage(self) -> Usage:
        """What all its messages have used together."""
        return total(message.used for message in self.answers)


def _longer(message: Message, kept: str) -> Message:
    more = len(kept) > len(message.text) and kept.startswith(message.text)
    return msgspec.structs.replace(message, text=kept) if more else message


def total(usages: Iterable[Usage]) -> Usage:
    """Return the sum of usages."""

    def add(one: Usage, other: Usage) -> Usage:
        fields = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
        return Usage(*(left + right for left, right in fields))

    return reduce(add, usages, Usage())
