"""The read model of one delegation for people: all that is known of it, as lines of text.

Times are local, since people compare them with their day. What agents wrote stands on lines of
its own, indented, without control characters; the prompt is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from background_agents.domain.delegation import Delegation
from background_agents.domain.events import Event
from background_agents.domain.notice import Notice
from background_agents.domain.text import one_line, span
from background_agents.hosts.cli.text import list as list_text
from background_agents.views.events import told
from background_agents.views.json import Sheet, on
from background_agents.views.model import cut

LINE_CHARS = 1_000

INDENT = "  "

_WIDTH = len("time limit")


@dataclass(frozen=True)
class Portrait:
    """What is shown of a delegation."""

    delegation: Delegation
    known: Sheet
    """The same with what the process that runs it knows, where one does."""
    history: Sequence[Event]
    notices: Sequence[Notice]
    artifact: Path
    has_artifact: bool
    now: datetime


def lines(shown: Portrait) -> Iterator[str]:
    """Yield the lines; those that begin a part follow an empty one."""
    one = shown.delegation
    unread = ", unread" if list_text.is_unread(one.status, one.read_at) else ""
    yield f"{one.id}: {one.status.value}{unread}"
    yield _flat(one.title)
    yield ""
    for name, value in _facts(shown):
        if value:
            yield f"{INDENT}{name:<{_WIDTH}}  {value}"
    yield from _part("Prompt", [part.rstrip() for part in one.prompt.splitlines()])
    yield from _part(
        "Asks", [f"{_time(asked.asked_at)}  {asked.ask.text}" for asked in one.requests]
    )
    yield from _part("History", [f"{_time(event.at)}  {told(event)}" for event in shown.history])
    yield from _part("Notices", list(map(_notice, shown.notices)))


def _facts(shown: Portrait) -> Iterator[tuple[str, str]]:
    one, known, now = shown.delegation, shown.known, shown.now
    yield "agent", _flat(one.agent)
    yield "model", _flat(on(known))
    if known.models and one.model and one.model not in known.models:
        yield "asked for", _flat(one.model)
    yield "delegated", f"{_time(one.registered_at)} ({list_text.age(now - one.registered_at)} ago)"
    yield "began", _time(one.launched_at)
    yield "ended", _time(one.ended_at)
    ran = span(timedelta(seconds=known.elapsed_s))
    yield "ran" if one.is_terminal else "runs for", ran
    yield "time limit", span(one.timeout) if one.timeout else "none"
    yield "read", _time(one.read_at)
    calls = f"{known.tool_calls:,} tool call{'' if known.tool_calls == 1 else 's'}"
    used = f"{known.tokens:,} tokens, ${known.cost_usd:.4f}, {calls}"
    yield "used", used + _as_of(shown)
    yield "error", _flat(one.error or "")
    yield "cut", cut(one.cut) if one.cut else ""
    yield "summary", _flat(one.summary)
    yield "result", _result(shown)
    yield "goes on", f"from {one.continued_from}" if one.continued_from else ""
    yield "resumed", f"{one.relaunches} times cut off and told to go on" if one.relaunches else ""
    yield "session", _flat(one.session or "")
    yield "supervisor", _flat(one.parent_session)
    yield "directory", _flat(one.directory)


def _as_of(shown: Portrait) -> str:
    """Say of when the numbers are that only the process which runs it could tell."""
    one, known = shown.delegation, shown.known
    begun = one.launched_at or one.registered_at
    if one.is_terminal or known.as_of != begun:
        return ""
    return f" (as of {_time(begun)}; the process that runs it does not answer)"


def _result(shown: Portrait) -> str:
    one = shown.delegation
    if not one.is_terminal:
        return "none yet"
    if not shown.has_artifact:
        return f"{_flat(str(shown.artifact))} (the file is gone)"
    return f"{_flat(str(shown.artifact))} ({one.result_chars:,} characters)"


def _notice(one: Notice) -> str:
    receipt = {
        "queued": "not sent yet",
        "assigned": "perhaps sent, not received yet",
        "confirmed": "received",
        "dropped": "dropped: answered before, or the supervisor is gone",
    }[one.state.value]
    message = f" in {_flat(one.message)}" if one.message else ""
    return f"{_time(one.created_at)}  {one.kind.value}: {receipt}{message}"


def _part(name: str, found: Sequence[str]) -> Iterator[str]:
    if found:
        yield ""
        yield name
        yield from (f"{INDENT}{line}" for line in found)


def _time(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _flat(text: str) -> str:
    return one_line(text, LINE_CHARS)
