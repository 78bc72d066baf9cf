"""The read model of running delegations: what a status and a peek show.

Pure functions of what is in memory; the part of ``views`` that looks at transcripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.text import TITLE_CHARS, cost, one_line, span, worker
from background_agents.domain.transcript import Message, ToolCall, Transcript
from background_agents.ports.runtime import Retrying
from background_agents.ports.storage import Line
from background_agents.views.changes import brief
from background_agents.views.limits import used
from background_agents.views.model import below, line, request, within

PEEK_CHARS = 4_000
"""About 1,000 tokens of a transcript's newest part."""

STATUS_CHARS = 8_000
"""About 2,000 tokens, and 25 delegations."""

_PEEK_CALLS = 10
"""Tool calls shown of one message; the newest."""

_FAILURE_CHARS = 160
"""Of why a tool call failed: the first line or two of what a tool says."""

_REQUESTS_SHOWN = 4
"""Open requests of one delegation; they are answered in this order."""

_UNREAD_LINES = 10
"""Lines of at most 400 characters, as a list's."""


_WHOSE: Mapping[str, str] = {
    Actor.SUPERVISOR: "your",
    Actor.LIMIT: "its limit's",
    Actor.LOOP: "the loop detector's",
}


class Live(NamedTuple):
    """An active delegation as it is now, all from memory."""

    delegation: Delegation
    transcript: Transcript
    time_left: timedelta | None
    place: int | None
    """Its place in the queue for a slot, from 1; None once it has one."""
    heard_at: datetime | None
    retry: Retrying | None
    now: datetime


class Position(NamedTuple):
    """How much of a transcript somebody has seen."""

    message: str = ""
    """The newest answer that was looked at; those before it have been seen whole."""
    chars: int = 0
    """Of its text."""
    calls: int = 0
    """Of its tool calls, in their order."""
    is_begun: bool = False
    """There was something to see, in this answer or before it."""


BEGINNING = Position()
"""Nothing has been seen yet."""


class Tail(NamedTuple):
    """What came after a position, as text for a terminal, and how far that is."""

    text: str
    position: Position


class StatusReport(NamedTuple):
    """What runs for a root session, and its newest delegations."""

    live: Sequence[Live]
    newest: Sequence[Line]
    now: datetime


def status(report: StatusReport) -> str:
    """Say how active delegations are doing; where there are none, which are unread."""
    if report.live:
        # What waits for an answer comes first: it is what the supervisor can do something for.
        urgent_first = sorted(report.live, key=lambda one: not one.delegation.requests)
        return "\n".join(within(STATUS_CHARS, [_live_line(one) for one in urgent_first]))
    unread = [one for one in report.newest if one.is_unread]
    if not unread:
        return "Nothing is running, and nothing is unread."
    shown = [line(one, report.now) for one in unread[:_UNREAD_LINES]]
    return "\n".join(["Nothing is running. Unread:", "", *shown])


def _live_line(live: Live) -> str:
    delegation, usage = live.delegation, live.delegation.usage
    left = "no timeout" if delegation.timeout is None else f"{span(delegation.timeout)} allowed"
    facts = [
        f"{span(delegation.elapsed(live.now))} elapsed",
        f"{span(live.time_left)} left" if live.time_left is not None else left,
        f"{usage.tool_calls} tool calls",
        f"{usage.tokens:,} tokens",
        cost(usage.cost_usd, usage.unpriced_turns),
        *_limits(delegation),
    ]
    if delegation.changes.files:
        facts.append(f"{brief(delegation.changes)} changed")
    if delegation.relaunches:
        facts.append(f"resumed {delegation.relaunches} times")
    if delegation.steers:
        taken = len(delegation.steers) - len(delegation.open_steers)
        facts.append(f"instructions: {taken} taken up, {len(delegation.open_steers)} pending")
    if delegation.kept:
        facts.append(f"{len(delegation.kept)} messages for you, which follow as one")
    if live.place is not None:
        facts.append(f"waits for a slot, number {live.place} in the queue")
    if live.heard_at is not None:
        facts.append(f"last heard of {span(live.now - live.heard_at)} ago")
    if live.retry is not None:
        facts.append(_retry(live.retry, live.now))
    who = worker(delegation.agent, delegation.model_told)
    name = f"{delegation.id}{below(delegation)}"
    head = f"- {name} [{delegation.status}] {one_line(delegation.title, TITLE_CHARS)}"
    told = f"{head} ({who}): {', '.join(facts)}. {_last(live)}".rstrip()
    asks = [f"  {request(delegation.id, one.ask)}" for one in delegation.requests[:_REQUESTS_SHOWN]]
    more = len(delegation.requests) - len(asks)
    return "\n".join([told, *asks, *([f"  … and for {more} more answers"] if more else [])])


def _limits(delegation: Delegation) -> Iterator[str]:
    if limits := used(delegation.limits, delegation.usage):
        yield f"limit: {limits}"
    if delegation.reached is not None:
        yield f"has reached its {delegation.reached.what}, so that its tools are refused"


def _retry(retry: Retrying, now: datetime) -> str:
    why = one_line(retry.message, TITLE_CHARS)
    again = f", again in {span(retry.next_at - now)}" if retry.next_at else ""
    return f"the provider refuses, attempt {retry.attempt}{again}: {why}"


def running(transcript: Transcript) -> tuple[ToolCall, ...]:
    """Return the tool calls that are not over, oldest first."""
    newest = transcript.answers[-1:]
    return tuple(call for one in newest for call in one.tools if not call.is_over)


def activity(transcript: Transcript) -> str:
    """Say what the agent did last, in a few words; nothing if it has done nothing yet."""
    newest = transcript.answers[-1] if transcript.answers else None
    if newest is None:
        return ""
    if newest.tools:
        return _tool_line(next(iter(running(transcript)), newest.tools[-1]))
    return f"…{one_line(newest.text[-TITLE_CHARS:], TITLE_CHARS)}" if newest.text else ""


def _last(live: Live) -> str:
    done = activity(live.transcript)
    begun = next((call.began_at for call in running(live.transcript) if call.began_at), None)
    since = f", for {span(live.now - begun)} now" if begun else ""
    return f"Last: {done}{since}" if done else ""


def peek(live: Live) -> str:
    """Return the newest part of a running delegation's transcript, within ``PEEK_CHARS``."""
    head, steers = _live_line(live), live.delegation.steers[-_PEEK_CALLS:]
    room = PEEK_CHARS - len(head) - (TITLE_CHARS + 40) * len(steers)
    shown: list[str] = []
    for message in reversed(live.transcript.answers):
        text = _digest(message, room)
        if not text:
            continue
        shown.insert(0, text)
        room -= len(text) + 2
        if room < PEEK_CHARS // 20:
            break
    for steer in steers:
        receipt = "taken up" if steer.confirmed_at else "pending"
        whose = _WHOSE.get(steer.by, "the user's")
        shown.append(f"[{whose} instruction, {receipt}: {one_line(steer.text, TITLE_CHARS)}]")
    body = "\n\n".join(shown) or "(Nothing has been written yet.)"
    return f"{head}\n\n{body}"


def tail(transcript: Transcript, seen: Position) -> Tail:
    """Return what an agent has written and done since ``seen``; a call counts once it is over."""
    pieces: list[str] = []
    for message in transcript.answers:
        if message.id < seen.message:  # ids sort by time
            continue
        begun = seen if message.id == seen.message else Position(message.id, is_begun=seen.is_begun)
        text = message.text[begun.chars :]
        over = list(takewhile(lambda call: call.is_over, message.tools[begun.calls :]))
        if text and begun.chars == 0 and begun.is_begun:
            pieces.append("\n\n")  # another message than the one before it
        pieces += [text, *(f"\n[{_tool_line(call)}]" for call in over)]
        seen = Position(
            message.id,
            begun.chars + len(text),
            begun.calls + len(over),
            begun.is_begun or bool(text or over),
        )
    return Tail("".join(pieces), seen)


def whole(delegation: Delegation, transcript: Transcript) -> Tail:
    """Return all of a run: what its agent was told, as quotations, and what it wrote and did."""
    pieces: list[str] = []
    for message in transcript.messages:
        if message.role == "user":
            pieces.append("\n".join(f"> {line}".rstrip() for line in message.text.splitlines()))
            continue
        calls = takewhile(lambda call: call.is_over or delegation.is_terminal, message.tools)
        error = [f"({one_line(message.error)})"] if message.error else []
        pieces += ["\n".join([message.text, *(f"[{_tool_line(one)}]" for one in calls), *error])]
    text = "\n\n".join(filter(None, (piece.lstrip("\n") for piece in pieces)))
    return Tail(text, tail(transcript, BEGINNING).position)


def _digest(message: Message, room: int) -> str:
    """Return the end of what a message says, then its tool calls."""
    calls = [f"[{_tool_line(call)}]" for call in message.tools[-_PEEK_CALLS:]]
    room -= sum(len(call) + 1 for call in calls)
    text = message.text.strip()
    if len(text) > room:
        text = "…" + text[-max(room - 1, 0) :] if room > 1 else ""
    return "\n".join([*([text] if text else []), *calls])


def _tool_line(call: ToolCall) -> str:
    title = one_line(call.title, TITLE_CHARS)
    told = f"{one_line(call.tool, TITLE_CHARS)} {call.state}{f': {title}' if title else ''}"
    return f"{told} ({one_line(call.failure, _FAILURE_CHARS)})" if call.failure else told
