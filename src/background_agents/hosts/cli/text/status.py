"""The read model for people at a terminal: plain text made of sheets.

What agents wrote is made fit here: one line, bounded, and without characters that a terminal
obeys. Knows no colours; who draws adds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from background_agents.domain.actor import Actor
from background_agents.domain.text import TITLE_CHARS, cost, one_line, printable, span, worker
from background_agents.views.changes import brief
from background_agents.views.json import (
    ActiveSheet,
    CallSheet,
    LiveFacts,
    PeekSheet,
    Sheet,
    SteerSheet,
    limits_of,
    on,
)
from background_agents.views.model import cut

_ERROR_CHARS = 300
"""Of one line that says why; what a provider says is seldom longer."""

_INDENT = " " * 4

_NARROW = 24
"""Columns that an indented line takes at least."""


def active(one: ActiveSheet, columns: int) -> str:
    """Tell of an active delegation in a few lines."""
    stored, live = one.delegation, one.live
    head = f"{stored.id}  {stored.state}  "
    head += one_line(stored.title, max(columns - len(head), _NARROW))
    lines = [head, *_folded(", ".join(_facts(stored, live)), columns)]
    if live is not None and live.last:
        lines += _folded(f"last: {one_line(live.last, _ERROR_CHARS)}", columns)
    for request in stored.requests:
        what = one_line(request.text, _ERROR_CHARS)
        asks = f"asks: {what}  (background-agents answer {stored.id} REPLY)"
        lines += _folded(asks, columns)
    return "\n".join(lines)


def _facts(stored: Sheet, live: LiveFacts | None) -> Iterator[str]:
    yield worker(stored.agent, on(stored))
    if stored.above:
        yield f"below {stored.above}"
    yield f"{span(stored.elapsed_s)} elapsed"
    if live is not None and live.time_left_s is not None:
        yield f"{span(live.time_left_s)} left"
    elif stored.timeout_s is None:
        yield "no timeout"
    yield f"{stored.tool_calls} tool calls"
    yield f"{stored.tokens:,} tokens"
    yield cost(stored.cost_usd, stored.unpriced_turns)
    if stored.changes is not None and stored.changes.files:
        yield f"{brief(stored.changes)} changed"
    if limits := limits_of(stored):
        yield f"limit: {limits}"
    if stored.reached:
        yield f"has reached its {stored.reached}"
    if stored.steers_confirmed or stored.steers_pending:
        yield f"instructions: {stored.steers_confirmed} taken up, {stored.steers_pending} pending"
    if stored.resumed:
        yield f"resumed {stored.resumed} times"
    if live is None:
        yield "the process that ran it does not answer; see `background-agents recover`"
    elif live.place is not None:
        yield f"number {live.place} in the queue for a slot"
    if live is not None and live.retry is not None:
        why = one_line(live.retry.message, TITLE_CHARS)
        yield f"the provider refuses, attempt {live.retry.attempt}: {why}"


def peek(found: PeekSheet) -> str:
    """Show the newest part of what a run has written."""
    cut = [f"… {found.cut:,} characters before this", ""] if found.cut else []
    calls = [_call(one) for one in (found.active.live.running if found.active.live else ())]
    text = printable(found.text).strip("\n")
    text = text or ("" if calls else "(Nothing has been written yet.)")
    steers = [_steer(one) for one in found.steers]
    shown = [text] if text else []
    return "\n".join([*cut, *shown, *calls, *([""] if steers else []), *steers])


def _call(one: CallSheet) -> str:
    since = f" since {one.began_at.astimezone():%H:%M:%S}" if one.began_at else ""
    title = f": {one_line(one.title, _ERROR_CHARS)}" if one.title else ""
    return f"[{one_line(one.tool, TITLE_CHARS)} runs{since}{title}]"


def _steer(one: SteerSheet) -> str:
    receipt = "taken up" if one.confirmed_at else "pending"
    whose = "supervisor" if one.by == Actor.SUPERVISOR else "user"
    return f"[instruction of the {whose}, {receipt}: {one_line(one.text, _ERROR_CHARS)}]"


def ended(one: Sheet) -> str:
    """Say in one line how a delegation ended, or that it has not."""
    if one.ended_at is None:
        return f"{one.id}  {one.state}  {span(one.elapsed_s)} so far"
    why = one_line(one.error, _ERROR_CHARS) if one.error else cut(one.cut) if one.cut else ""
    return f"{one.id}  {one.state}  after {span(one.elapsed_s)}{'  ' if why else ''}{why}"


def _folded(text: str, columns: int) -> list[str]:
    """Return text as indented lines that fit."""
    room = max(columns, _NARROW)
    # An id stays whole, so that it can be copied.
    return wrap(
        text, room, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
    )
