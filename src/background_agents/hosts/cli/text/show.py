"""The read model of one delegation for people: all that is known of it, as lines of text.

Times are local, since people compare them with their day. What agents wrote stands on lines of
its own, indented, without control characters; the prompt is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from background_agents.domain.text import age, one_line, span, used
from background_agents.views.changes import brief
from background_agents.views.json import NoticeSheet, ShowSheet, limits_of, on
from background_agents.views.model import cut

_INDENT = "  "

_WIDTH = len("time limit")

_RECEIPTS = {
    "queued": "not sent yet",
    "assigned": "perhaps sent, not received yet",
    "confirmed": "received",
    "dropped": "dropped: answered before, or the supervisor is gone",
}
"""By the state of a notice."""


def lines(shown: ShowSheet, now: datetime, *, has_artifact: bool) -> Iterator[str]:
    """Yield the lines; those that begin a part follow an empty one."""
    yield f"{shown.id}: {shown.state}{', unread' if shown.unread else ''}"
    yield one_line(shown.title)
    yield ""
    for name, value in _facts(shown, now, has_artifact=has_artifact):
        if value:
            yield f"{_INDENT}{name:<{_WIDTH}}  {value}"
    yield from _part("Prompt", [line.rstrip() for line in shown.prompt.splitlines()])
    yield from _part("Asks", [f"{_time(one.asked_at)}  {one.text}" for one in shown.requests])
    yield from _part("History", [f"{_time(one.at)}  {one.text}" for one in shown.history])
    yield from _part("Notices", list(map(_notice, shown.notices)))


def _facts(shown: ShowSheet, now: datetime, *, has_artifact: bool) -> Iterator[tuple[str, str]]:
    began, has_ended = shown.started_at or shown.registered_at, shown.ended_at is not None
    yield "labels", " ".join(shown.labels)
    yield "note", one_line(shown.note, len(shown.note))
    yield "agent", one_line(shown.agent)
    yield "model", one_line(on(shown))
    if shown.models and shown.model and shown.model not in shown.models:
        yield "asked for", one_line(shown.model)
    yield "delegated", f"{_time(shown.registered_at)} ({age(now - shown.registered_at)} ago)"
    yield "began", _time(shown.started_at)
    yield "ended", _time(shown.ended_at)
    yield "ran" if has_ended else "runs for", span(shown.elapsed_s)
    yield "time limit", span(shown.timeout_s) if shown.timeout_s else "none"
    yield "read", _time(shown.read_at)
    usage = used(shown.tokens, shown.cost_usd, shown.tool_calls, shown.unpriced_turns)
    if not has_ended and shown.as_of == began:
        usage += f" (as of {_time(began)}; the process that runs it does not answer)"
    yield "used", usage
    yield "limit", limits_of(shown)
    yield "error", one_line(shown.error or "")
    yield "cut", cut(shown.cut) if shown.cut else ""
    yield "summary", one_line(shown.summary)
    if shown.changes is not None and shown.changes.files:
        opens = f" (background-agents diff {shown.id} shows it)"
        yield "changed", f"{brief(shown.changes)}{opens}"
        yield "files", one_line(", ".join(shown.changes.names))
        yield "open", one_line("; ".join(shown.changes.open))
    left = f"{shown.result_chars:,} characters" if has_artifact else "the file is gone"
    yield "result", f"{one_line(shown.artifact)} ({left})" if shown.artifact else "none yet"
    yield "goes on", f"from {shown.continued_from}" if shown.continued_from else ""
    yield "retry", f"of {shown.retry_of}" if shown.retry_of else ""
    yield "below", f"{shown.above}, at depth {shown.depth}" if shown.above else ""
    yield "resumed", f"{shown.resumed} times cut off and told to go on" if shown.resumed else ""
    opens = f" (opencode -s {shown.session} opens it)" if shown.session else ""
    yield "session", one_line(f"{shown.session or ''}{opens}")
    yield "supervisor", one_line(shown.parent_session)
    yield "directory", one_line(shown.directory)
    yield "runtime", one_line(shown.runtime)


def _notice(one: NoticeSheet) -> str:
    message = f" in {one_line(one.message)}" if one.message else ""
    return f"{_time(one.created_at)}  {one.kind}: {_RECEIPTS[one.state]}{message}"


def _part(name: str, found: Sequence[str]) -> Iterator[str]:
    if found:
        yield ""
        yield name
        yield from (f"{_INDENT}{line}" for line in found)


def _time(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""
