"""The one read model: every text that a model or a person asks for is made here.

Pure functions of records. What agents wrote is untrusted and is bounded and escaped here,
at the last moment, so that the records keep what was really said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from background_agents.domain.actor import PEOPLE, Actor
from background_agents.domain.asking import Ask
from background_agents.domain.delegation import MESSAGES_AT_ONCE, MESSAGES_WINDOW, Delegation
from background_agents.domain.limits import LIMIT
from background_agents.domain.status import Status
from background_agents.domain.text import (
    AGENT_CHARS,
    TITLE_CHARS,
    counted,
    fitting,
    one_line,
    span,
)
from background_agents.ports.storage import Line
from background_agents.views.changes import brief
from background_agents.views.limits import most

WAIT_CHARS = 8_000
"""About 2,000 tokens: what a wait for many delegations may answer."""

_READ_CHARS = 45_000
_READ_BYTES, _READ_LINES = 48_000, 1_900
"""OpenCode cuts a tool's answer at 51,200 bytes of UTF-8 or 2,000 lines, whatever comes
first; a page stays below, with room for how to go on."""

LIST_CHARS = 4_000
"""About 1,000 tokens: what a list may cost the supervisor."""

LIST_LINES = 40
"""More lines than ever fit into ``LIST_CHARS``."""

_LIST_SUMMARY_CHARS = 90

_OUTPUT_LIMIT = "length"
"""The reason for an end that models give whose output limit was reached."""

_MARKS = {
    Status.TIMED_OUT: "[TIMEOUT REACHED]",
    Status.STOPPED: "[STOPPED]",
    Status.FAILED: "[FAILED]",
    Status.INTERRUPTED: "[INTERRUPTED]",
}
"""The first line of an artifact whose run did not complete."""

_STOP_MARKS: Mapping[str, str] = {
    Actor.SUPERVISOR: "[STOPPED BY SUPERVISOR]",
    **dict.fromkeys(PEOPLE, "[STOPPED BY USER]"),
}
"""The same, where somebody asked for the end."""

_STOP_REASONS: Mapping[str, str] = {
    Actor.SUPERVISOR: "Stopped by the supervisor.",
    Actor.COMMAND_LINE: "Stopped by the user, from the command line.",
    Actor.PANEL: "Stopped by the user, from the panel.",
    Actor.DELETION: "Its supervisor's session was deleted.",
    Actor.END_ABOVE: "The delegation above it has ended, and with it what that had delegated.",
}


class Reading(NamedTuple):
    """What a read found: the artifact's text, or None while the delegation is active."""

    delegation: Delegation
    text: str | None
    offset: int
    path: Path
    now: datetime


class Answered(NamedTuple):
    """What was answered, and the delegation that had asked it."""

    delegation: Delegation
    ask: Ask | None


class Listing(NamedTuple):
    """The newest delegations of a root session, and how many it has in all."""

    lines: Sequence[Line]
    total: int
    folder: Path
    now: datetime


class Waited(NamedTuple):
    """What a wait found at its end."""

    delegations: Sequence[Delegation]
    """All that were waited for, as they now are."""
    spoke: Sequence[str]
    """Those that have told their supervisor something meanwhile."""
    limit: timedelta
    now: datetime

    @property
    def ended(self) -> list[Delegation]:
        return [one for one in self.delegations if one.is_terminal]


def session_title(delegation: Delegation) -> str:
    """Return the title of a delegation's child session."""
    return f"{delegation.agent} · {delegation.id}"


def delegated(delegation: Delegation, *, ends_with_turn: bool = False) -> str:
    """Tell the supervisor's model that its delegation was taken.

    ``ends_with_turn``: what runs it ends with the turn that delegates it.
    """
    limit = f"time limit {span(delegation.timeout)}" if delegation.timeout else "no time limit"
    if used := most(delegation.limits):
        limit += f", at most {used}"
    then = (
        "It runs in the background, and this OpenCode ends with this turn: go on with other work, "
        "then call delegation_wait() until nothing runs, and only then end your turn."
        if ends_with_turn
        else "It runs in the background and you are notified when it ends: go on with other "
        "work, or end your turn. Do not poll."
    )
    return f"Delegated to {one_line(delegation.agent, 60)} as {delegation.id} ({limit}). {then}"


def artifact_body(delegation: Delegation, text: str) -> str:
    """Return what stands in an artifact below its front matter."""
    if delegation.status is Status.COMPLETED:
        whole = text or "(The agent ended without writing an answer.)"
        return f"[CUT] {cut(delegation.cut)}\n\n{whole}" if delegation.cut else whole
    mark = _MARKS[delegation.status]
    if delegation.status is Status.STOPPED:
        mark = _STOP_MARKS.get(delegation.stop_requested_by or "", mark)
    head = f"{mark} {delegation.error}" if delegation.error else mark
    return f"{head}\n\n{text or '(Nothing had been written yet.)'}"


def why_stopped(by: str) -> str:
    """Say in one line who ended a run."""
    return _STOP_REASONS.get(by, f"Stopped by {by}.")


def cut(reason: str) -> str:
    """Say in one line that a result may not be whole, and why."""
    if reason.startswith(LIMIT):
        return f"It had to end at its {reason}: it may not be whole."
    if reason == _OUTPUT_LIMIT:
        return "The model's output limit cut it off: it is not whole."
    told = one_line(reason, AGENT_CHARS)
    return f"The model ended it for the reason {told!r}, not by itself: it may not be whole."


def state(one: Delegation | Line) -> str:
    """Return a delegation's status, and whether its result may not be whole."""
    return f"{one.status}, cut" if one.is_cut else str(one.status)


def steered(delegation: Delegation) -> str:
    """Tell the supervisor's model that its instruction was sent, and not more than that."""
    return (
        f"Sent to {delegation.id}, which takes it up at its next step; delegation_status() "
        "shows when it has. Its time limit starts anew."
    )


def stopped(delegation: Delegation) -> str:
    """Tell the supervisor's model what its stop has come to."""
    if delegation.status is not Status.STOPPED:
        return ended(delegation)
    written = f"{delegation.result_chars:,} characters of partial output are kept"
    return f'{delegation.id} is stopped; {written}: delegation_read("{delegation.id}").'


def request(delegation: str, ask: Ask) -> str:
    """Tell the supervisor's model what a delegation waits for, and who answers how."""
    return f"waits for a {ask.kind}, {ask.text}; {to_answer(delegation, ask)}"


def to_answer(delegation: str, ask: Ask) -> str:
    """Tell the supervisor's model how a request is answered, and by whom."""
    call = f'delegation_answer("{delegation}", '
    if ask.questions:
        return f"{call}reply): {how_to_answer(ask)}"
    if ask.model_grants_once:
        return f'{call}reply): reply "once" or "reject: why"'
    dialogue = "in OpenCode's dialogue, " if ask.in_chat else ""
    return (
        f"only your human may grant it, so ask them; they answer {dialogue}with "
        f"`bga answer {delegation} once` in a terminal, or by an answers rule in the "
        f'configuration. You may refuse it: {call}"reject: why")'
    )


def how_to_answer(ask: Ask) -> str:
    """Say which replies there are, for people."""
    if not ask.questions:
        return 'reply "once", "always" (also for others, until OpenCode restarts) or "reject: why"'
    if len(ask.questions) == 1:
        return 'reply with the answer, or "reject"'
    return f'reply with {len(ask.questions)} lines, one for each question in order, or "reject"'


def answered(found: Answered) -> str:
    """Tell the supervisor's model which request its answer went to, and what is left."""
    delegation = found.delegation
    done = f"Answered: {found.ask.text if found.ask else ''}"
    if not delegation.requests:
        return f"{done}. {delegation.id} goes on."
    left = request(delegation.id, delegation.requests[0].ask)
    return f"{done}. {delegation.id} still {left}"


def waited(found: Waited) -> str:
    """Tell the supervisor's model what its waiting has come to."""
    if not found.delegations:
        return "Nothing is running; delegation_list() shows what there is."
    lines = [_after_waiting(one, found) for one in found.delegations]
    if sum(map(len, lines)) > WAIT_CHARS:
        # What has ended or asks stays: it is what the supervisor can do something for.
        urgent_first = sorted(
            found.delegations, key=lambda one: not (one.requests or one.is_terminal)
        )
        lines = within(WAIT_CHARS, [_after_waiting(one, found) for one in urgent_first])
    # Where the supervisor has something to do first, waiting makes no sense.
    is_asked = bool(found.spoke) or any(one.requests for one in found.delegations)
    if is_asked or len(found.ended) == len(found.delegations):
        return "\n".join(lines)
    limit = f"Waited {span(found.limit)}." if not found.ended else "Some still run."
    return "\n".join([*lines, f"{limit} You are notified when the rest ends: end your turn."])


def _after_waiting(delegation: Delegation, found: Waited) -> str:
    if delegation.is_terminal:
        return f"- {ended(delegation)}"
    if delegation.requests:
        return f"- {delegation.id} {request(delegation.id, delegation.requests[0].ask)}"
    said = " and has a message for you, which follows" if delegation.id in found.spoke else ""
    return f"- {delegation.id} is {delegation.status} ({span(delegation.elapsed(found.now))}){said}"


def notified(delegation: Delegation) -> str:
    """Tell a background agent what becomes of its message."""
    if delegation.kept:
        budget = f"{MESSAGES_AT_ONCE} messages in {span(MESSAGES_WINDOW)}"
        return (
            f"Kept: your supervisor hears at once of {budget}, and you have said more. It gets "
            "this with your others as one message when that time is over, or with your result. "
            "Do not say it again; go on, and put into your result what can wait for it."
        )
    return (
        "Your supervisor has it. Go on with what does not depend on the answer, which comes as an "
        "instruction, if at all; do not wait for it."
    )


def ended(delegation: Delegation) -> str:
    """Say that a delegation does not run any more."""
    return (
        f"{delegation.id} has ended ({state(delegation)}); "
        f'delegation_read("{delegation.id}") returns what it left.'
    )


def reading(found: Reading) -> str:
    """Return one page of an artifact and how to get the next; or that there is none yet."""
    delegation, text = found.delegation, found.text
    if text is None:
        running_for = span(delegation.elapsed(found.now))
        return (
            f"{delegation.id} is {delegation.status} ({running_for}) and has no result yet; "
            "you are notified when it ends."
        )
    page = _page(text[found.offset : found.offset + _READ_CHARS])
    following = found.offset + len(page)
    if not page and found.offset:
        return f"{delegation.id} has {len(text):,} characters; offset {found.offset:,} is past it."
    if following >= len(text):
        return page
    return (
        f"{page}\n\n[Characters {found.offset:,} to {following:,} of {len(text):,}. Go on with "
        f'delegation_read("{delegation.id}", offset={following}), or read the file {found.path}]'
    )


def _page(text: str) -> str:
    """Return as much of the beginning of ``text`` as fits into one tool answer."""
    lines = "".join(text.splitlines(keepends=True)[:_READ_LINES])
    return lines.encode()[:_READ_BYTES].decode(errors="ignore")


def listing(found: Listing) -> str:
    """List delegations, newest first, within ``LIST_CHARS``."""
    if found.total == 0:
        return "Nothing has been delegated in this session yet."
    head = f"{counted(found.total, 'delegation')}, newest first:\n"
    room = LIST_CHARS - len(head) - len(_older(found.total, found.folder)) - 2
    shown = fitting([line(one, found.now) for one in found.lines], room)
    older = found.total - len(shown)
    return "\n".join([head, *shown, *(["", _older(older, found.folder)] if older else [])])


def _older(count: int, folder: Path) -> str:
    return (
        f"… and {count:,} older. Each is a markdown file in {folder}: search there, then "
        "delegation_read(id)."
    )


def headline(one: Delegation) -> str:
    """Return what stands above a result that a person reads."""
    error = f": {one_line(one.error, LIST_CHARS)}" if one.error else ""
    return f"{one_line(one.title, TITLE_CHARS)} ({one.id}, {state(one)}{error})"


def line(one: Line, now: datetime) -> str:
    """Return what a list says of a delegation."""
    told = f"{state(one)}, unread" if one.is_unread else state(one)
    age = span(now - (one.ended_at or one.registered_at))
    summary = one_line(one.summary, _LIST_SUMMARY_CHARS)
    said = f": {summary}" if summary else ""
    changed = f" {{{brief(one.changes)}}}" if one.changes.files else ""
    title = one_line(one.title, TITLE_CHARS)
    agent = one_line(one.agent, AGENT_CHARS)
    return f"- {one.id}{below(one)} [{told}] {title} ({agent}, {age} ago){changed}{said}"


def below(one: Delegation | Line) -> str:
    """Say which delegation another one is below, if it is."""
    return f" (below {one.above})" if one.above else ""


def within(limit: int, lines: Sequence[str]) -> list[str]:
    """Return as many lines as fit, at least one, and one that says how many more there are."""
    shown = fitting(lines, limit - 60) or lines[:1]
    left = len(lines) - len(shown)
    return [*shown, *([f"… and {left:,} more; delegation_list() names them."] if left else [])]
