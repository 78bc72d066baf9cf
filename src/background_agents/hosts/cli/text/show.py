"""The read model of one delegation for people: all that is known of it, as lines of text.

Times are local, since people compare them with their day. What agents wrote stands on lines of
its own, indented, without control characters; the prompt is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from background_agents.domain.delegation import Delegation
from background_agents.domain.events import Event
from background_agents.domain.notice import Notice
from background_agents.domain.text import age, one_line, span, used
from background_agents.views.events import told
from background_agents.views.json import Sheet, on
from background_agents.views.model import cut

_INDENT = "  "

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
    unread = ", unread" if one.is_unread else ""
    yield f"{one.id}: {one.status.value}{unread}"
    yield one_line(one.title)
    yield ""
    for name, value in _facts(shown):
        if value:
            yield f"{_INDENT}{name:<{_WIDTH}}  {value}"
    yield from _part("Prompt", [part.rstrip() for part in one.prompt.splitlines()])
    yield from _part(
        "Asks", [f"{_time(asked.asked_at)}  {asked.ask.text}" for asked in one.requests]
    )
    yield from _part("History", [f"{_time(event.at)}  {told(event)}" for event in shown.history])
    yield from _part("Notices", list(map(_notice, shown.notices)))


def _facts(shown: Portrait) -> Iterator[tuple[str, str]]:
    one, known, now = shown.delegation, shown.known, shown.now
    yield "agent", one_line(one.agent)
    yield "model", one_line(on(known))
    if known.models and one.model and one.model not in known.models:
        yield "asked for", one_line(one.model)
    yield "delegated", f"{_time(one.registered_at)} ({age(now - one.registered_at)} ago)"
    yield "began", _time(one.launched_at)
    yield "ended", _time(one.ended_at)
    yield "ran" if one.is_terminal else "runs for", span(known.elapsed_s)
    yield "time limit", span(one.timeout) if one.timeout else "none"
    yield "read", _time(one.read_at)
    yield "used", used(known.tokens, known.cost_usd, known.tool_calls) + _as_of(shown)
    yield "error", one_line(one.error or "")
    yield "cut", cut(one.cut) if one.cut else ""
    yield "summary", one_line(one.summary)
    yield "result", _result(shown)
    yield "goes on", f"from {one.continued_from}" if one.continued_from else ""
    yield "resumed", f"{one.relaunches} times cut off and told to go on" if one.relaunches else ""
    yield "session", one_line(one.session or "")
    yield "supervisor", one_line(one.parent_session)
    yield "directory", one_line(one.directory)


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
        return f"{one_line(str(shown.artifact))} (the file is gone)"
    return f"{one_line(str(shown.artifact))} ({one.result_chars:,} characters)"


def _notice(one: Notice) -> str:
    receipt = {
        "queued": "not sent yet",
        "assigned": "perhaps sent, not received yet",
        "confirmed": "received",
        "dropped": "dropped: answered before, or the supervisor is gone",
    }[one.state.value]
    message = f" in {one_line(one.message)}" if one.message else ""
    return f"{_time(one.created_at)}  {one.kind.value}: {receipt}{message}"


def _part(name: str, found: Sequence[str]) -> Iterator[str]:
    if found:
        yield ""
        yield name
        yield from (f"{_INDENT}{line}" for line in found)


def _time(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""
