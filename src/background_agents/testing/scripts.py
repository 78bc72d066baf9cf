"""The scripts that a prompt carries, and which step of one comes next.

Whoever writes the prompt also writes the model's side, so a test, the demo and a
benchmark read as one piece. Knows only what a conversation says, not how it travels.

A prompt carries its script as ``<script>JSON</script>``, where JSON is a list of
steps or ``{"steps": [...], "on_notice": [...]}``. Each model request plays one step:
the n-th request after the scripted message plays step n. When the steps are used up
and the newest user message is a notice, ``on_notice`` is played in the same way, once
for each notice. Steps are:

* ``{"say": TEXT, "repeat": N, "every_ms": MS, "per_chunk": K}``: stream TEXT N times,
  K copies to a chunk, MS milliseconds apart;
* ``{"call": TOOL, "args": {...}}`` or ``{"calls": [{"call": ..., "args": ...}, ...]}``:
  ask for tool calls. ``{id}``, here and in TEXT, becomes the newest delegation id that
  the conversation shows;
* ``{"fail": STATUS, "message": TEXT, "times": N, "retry_after_s": S}``: answer with an
  HTTP error; with ``times``, N times and then go on to the next step;
* ``{"hang": true}``: send nothing until the client goes away.

A ``say`` or a call may carry ``"gate": NAME``: its text is streamed, and its answer ends
once the test has called ``open(NAME)``. What passes the same gate ends at one moment. It may
carry ``"finish": REASON``, which the answer ends with in place of ``stop`` or ``tool_calls``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec

READABLE_ID = re.compile(r"\b[a-z]+-[a-z]+-[a-z]+(?:-[0-9]+)?\b")
"""The form of a delegation's id as the supervisor's model sees it."""

NOTICE = "<task-notification>"

NATIVE_NOTICES = ("<task id=", "<subagent id=")
"""How a notice of OpenCode's own background subagents begins, on OpenCode 1 and on 2."""

NOTICES = (NOTICE, "<delegation-request>", "<child-notification>", *NATIVE_NOTICES)
"""How the messages begin that a supervisor's model gets about its delegations."""

CUT_OFF = "You were cut off: "
"""How an agent is told to go on whose runtime has ended in the middle of an answer."""

_decoder = msgspec.json.Decoder()


class Call(msgspec.Struct, frozen=True):
    """One tool call of a step."""

    call: str
    args: dict[str, object] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model answer; the module's docstring gives the meaning of each field."""

    say: str | None = None
    repeat: int = 1
    every_ms: float = 0
    per_chunk: int = 1
    call: str | None = None
    args: dict[str, object] = {}
    calls: list[Call] = []
    fail: int | None = None
    message: str = "scripted failure"
    times: int | None = None
    retry_after_s: float | None = None
    hang: bool = False
    gate: str | None = None
    finish: str | None = None

    def tool_calls(self) -> list[Call]:
        return [Call(self.call, self.args)] if self.call else self.calls


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model does after the message that carries this, and after notices."""

    steps: list[Step] = []
    on_notice: list[Step] = []


def script(*steps: Mapping[str, object], on_notice: Sequence[Mapping[str, object]] = ()) -> str:
    """Return the text to put into a prompt so that the model plays ``steps``."""
    body = {"steps": list(steps), "on_notice": list(on_notice)}
    return "<script>" + msgspec.json.encode(body).decode() + "</script>"


class Said(Protocol):
    """A message of a conversation."""

    @property
    def role(self) -> str:
        """Who said it: ``user``, ``assistant``, ``tool`` or ``system``."""

    @property
    def text(self) -> str:
        """What was said."""


def plan(messages: Sequence[Said]) -> Iterator[Step]:
    """Yield the step to play for this conversation, then the ones that follow it.

    Raises ``msgspec.ValidationError`` when the newest script is malformed.
    """
    for index in reversed(range(len(messages))):
        if messages[index].role != "user":
            continue
        found = _script_in(messages[index].text)
        if found is None:
            continue
        played = _answers(messages[index:])
        if played < len(found.steps):
            return iter(found.steps[played:])
        newest = max(i for i, message in enumerate(messages) if message.role == "user")
        if _is_notice(messages[newest]):
            return iter(found.on_notice[_answers(messages[newest:]) :])
        return iter(())
    return iter(())


def _is_notice(message: Said) -> bool:
    return any(tag in message.text for tag in NOTICES)


def _answers(messages: Sequence[Said]) -> int:
    """Count the answers that were begun; OpenCode 2 keeps none of one that it was killed in."""
    kept = sum(message.role == "assistant" for message in messages)
    lost = sum(
        before.role == "user" and message.text.startswith(CUT_OFF)
        for before, message in pairwise(messages)
    )
    return kept + lost


def _script_in(text: str) -> Script | None:
    start = text.find("<script>")
    if start < 0:
        return None
    # Scripts nest (a supervisor's script holds its children's prompts) inside JSON
    # strings, so the first opening tag belongs to the last closing one.
    body = text[start + len("<script>") : text.rindex("</script>")].encode()
    return msgspec.convert(_as_object(_decoder.decode(body)), Script)


def _as_object(value: object) -> object:
    return {"steps": value} if isinstance(value, list) else value


def newest_id(messages: Sequence[Said]) -> str:
    """Return the newest delegation id that tools or notices showed."""
    for message in reversed(messages):
        shown = message.role == "tool" or _is_notice(message)
        if shown and (match := READABLE_ID.search(message.text)):
            return match.group()
    return "no-such-delegation"
