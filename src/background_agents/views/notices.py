"""What supervisors and their users are told: notices, and the toasts that go with them.

Pure functions of records, the part of the read model that is sent rather than asked for. What
agents wrote is untrusted: it is escaped, one line and bounded here, at the last moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from background_agents.domain.actor import PEOPLE
from background_agents.domain.asking import ASKED_CHARS, Ask
from background_agents.domain.delegation import MESSAGE_CHARS, Delegation
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.status import Status
from background_agents.domain.text import (
    AGENT_CHARS,
    SUMMARY_CHARS,
    TITLE_CHARS,
    escape,
    one_line,
    span,
)
from background_agents.views import changes
from background_agents.views.limits import not_kept
from background_agents.views.model import cut, to_answer

TOASTED, TOASTED_CHARS = 4, 120
"""Notices that a toast names one by one, and of each; OpenCode's covers a corner of the chat."""

_TOASTS = {
    Status.COMPLETED: ("Delegation completed", "success"),
    Status.FAILED: ("Delegation failed", "error"),
    Status.TIMED_OUT: ("Delegation timed out", "warning"),
    Status.STOPPED: ("Delegation stopped", "warning"),
    Status.INTERRUPTED: ("Delegation interrupted", "error"),
}


def new(
    delegation: Delegation,
    kind: NoticeKind,
    part: str,
    now: datetime,
    *,
    ask: Ask | None = None,
    words: Sequence[str] = (),
) -> Notice:
    """Return a notice about a delegation as it is; ``part`` becomes its id."""
    return Notice(
        id=part,
        delegation=delegation.id,
        supervisor=delegation.parent_session,
        created_at=now,
        status=delegation.status,
        title=delegation.title,
        agent=delegation.agent,
        summary=_summary(delegation),
        elapsed=span(delegation.elapsed(now)),
        error=delegation.error,
        cut=delegation.cut,
        unkept=not_kept(delegation.limits, delegation.usage),
        relaunches=delegation.relaunches,
        kind=kind,
        ask=ask,
        words=words[0] if words else "",
        changes=delegation.changes,
        more=tuple(words[1:]),
        wakes=_wakes(delegation, kind),
    )


def _wakes(delegation: Delegation, kind: NoticeKind) -> bool:
    """Return whether the supervisor's model is to take it up at once.

    Not what a person does at a terminal or in the panel: to stop a delegation, or to go on with
    an earlier one or do it once more.
    A supervisor that is a background agent has nobody who would speak to it later.
    """
    if delegation.above:
        return True
    if (delegation.continued_from or delegation.retry_of) and not delegation.supervisor_agent:
        return False
    is_stop = kind is NoticeKind.ENDED and delegation.status is Status.STOPPED
    return not is_stop or delegation.stop_requested_by not in PEOPLE


def text(notice: Notice, remaining: int) -> str:
    """Return the XML for the supervisor's model; ``remaining`` of its delegations are active."""
    match notice.kind:
        case NoticeKind.ENDED:
            return _ended(notice, remaining)
        case NoticeKind.REQUEST:
            return _request(notice)
        case NoticeKind.MESSAGE:
            return _message(notice)


def _ended(notice: Notice, remaining: int) -> str:
    fields: dict[str, str | changes.Counted | None] = {
        "task-id": notice.delegation,
        "status": notice.status,
        "title": one_line(notice.title, TITLE_CHARS),
        "summary": one_line(notice.summary, SUMMARY_CHARS),
        "error": one_line(notice.error, SUMMARY_CHARS) if notice.error else None,
        "cut": cut(notice.cut) if notice.cut else None,
        "changes": changes.names(notice.changes),
        "isolated": changes.apart(notice.changes, notice.delegation),
        "left-its-tree": one_line(notice.changes.strayed, SUMMARY_CHARS) or None,
        "still-writing": changes.still_writing(notice.changes),
        "limit": notice.unkept or None,
        "elapsed": notice.elapsed,
        "resumed": str(notice.relaunches) if notice.relaunches else None,
        "remaining": str(remaining),
        "all-complete": "true" if remaining == 0 else None,
    }
    retrieval = _call(notice, "delegation_read")
    if notice.cut:
        goes_on = f'delegate(prompt, agent, continue_id="{notice.delegation}")'
        retrieval += f"; {goes_on} goes on where it was cut"
    return _xml("task-notification", fields, "retrieval", retrieval)


def _request(notice: Notice) -> str:
    ask = _ask_of(notice)
    fields: dict[str, str | changes.Counted | None] = {
        "task-id": notice.delegation,
        "agent": one_line(notice.agent, AGENT_CHARS) or None,
        "title": one_line(notice.title, TITLE_CHARS),
        ask.kind: ask.text,
        "elapsed": notice.elapsed,
    }
    return _xml("delegation-request", fields, "answer", to_answer(notice.delegation, ask))


def _ask_of(notice: Notice) -> Ask:
    if notice.ask is None:
        raise AssertionError(f"{notice.id} asks nothing")
    return notice.ask


def _message(notice: Notice) -> str:
    fields: dict[str, str | changes.Counted | None] = {
        "task-id": notice.delegation,
        "title": one_line(notice.title, TITLE_CHARS),
        "message": None if notice.more else one_line(notice.words, MESSAGE_CHARS),
        "messages": _together(notice) if notice.more else None,
        "elapsed": notice.elapsed,
    }
    return _xml("child-notification", fields, "reply", _call(notice, "delegation_steer", "message"))


def _together(notice: Notice) -> str:
    """Return several messages, a line for each, in the order in which they were said."""
    said = (one_line(words, MESSAGE_CHARS) for words in (notice.words, *notice.more))
    return "\n".join(["", *(f"{number}. {words}" for number, words in enumerate(said, 1)), ""])


def _xml(
    tag: str, fields: Mapping[str, str | changes.Counted | None], last: str, instruction: str
) -> str:
    """Put what is known into elements; the instruction is ours and stays readable."""
    lines = [_element(name, said) for name, said in fields.items() if said is not None]
    return "\n".join([f"<{tag}>", *lines, f"<{last}>{instruction}</{last}>", f"</{tag}>"])


def _element(name: str, said: str | changes.Counted) -> str:
    if isinstance(said, str):
        return f"<{name}>{escape(said)}</{name}>"
    numbers = "".join(f' {what}="{number}"' for what, number in said.numbers.items())
    return f"<{name}{numbers}>{escape(said.text)}</{name}>"


def _call(notice: Notice, tool: str, more: str = "") -> str:
    return f'{tool}("{notice.delegation}"{f", {more}" if more else ""})'


def toast(told: Sequence[Notice]) -> tuple[str, str, str]:
    """Return title, message and variant of the toast for the user that tells of some notices."""
    if len(told) == 1:
        return _toast(told[0])
    kinds = [one.kind for one in told]
    counts = ", ".join(f"{kinds.count(k)} {word}" for k, word in _TOGETHER.items() if k in kinds)
    urgent_first = sorted(told, key=lambda one: list(_TOGETHER).index(one.kind))
    lines = [one_line(_told(one), TOASTED_CHARS) for one in urgent_first[:TOASTED]]
    more = [f"… and {len(told) - TOASTED} more"] if len(told) > TOASTED else []
    variant = "warning" if NoticeKind.REQUEST in kinds else "info"
    return f"Delegations: {counts}", "\n".join([*lines, *more]), variant


_TOGETHER = {
    NoticeKind.REQUEST: "asking",
    NoticeKind.MESSAGE: "with a message",
    NoticeKind.ENDED: "ended",
}
"""What is told together, the most urgent first."""


def ended_title(status: Status) -> str:
    """Say for a person in two or three words of ours that a delegation has ended, and how."""
    return _TOASTS[status][0]


def asks_title(ask: Ask) -> str:
    """Say so that one asks, and for what."""
    wanted = "permission" if ask.kind == "permission" else "decision"
    return f"Delegation asks for a {wanted}"


def _toast(notice: Notice) -> tuple[str, str, str]:
    match notice.kind:
        case NoticeKind.ENDED:
            title, variant = _TOASTS[Status(notice.status)]
            told = one_line(notice.error or notice.title, TITLE_CHARS)
            if notice.cut:
                title, variant = f"{title}, cut", "warning"
                told = f"{told}. {cut(notice.cut)}"
        case NoticeKind.REQUEST:
            ask = _ask_of(notice)
            title, variant = asks_title(ask), "warning"
            told = one_line(ask.text, ASKED_CHARS)
            if not ask.in_chat:
                told += f" (bga answer {notice.delegation})"
        case NoticeKind.MESSAGE:
            title, variant = "Message from a delegation", "info"
            more = f" (and {len(notice.more)} more)" if notice.more else ""
            told = one_line(notice.words, SUMMARY_CHARS) + more
    who = one_line(notice.agent, TITLE_CHARS)
    return title, f"{who} · {notice.delegation} ({notice.elapsed}): {told}", variant


def description(batch: Sequence[Notice]) -> str:
    """Return the user's line about a message with these notices, for hosts that show one."""
    if len(batch) > 1:
        told = dict.fromkeys(one.delegation for one in batch)
        return one_line(f"{len(batch)} notices of delegations: {', '.join(told)}")
    return one_line(_told(batch[0]))


def _told(notice: Notice) -> str:
    title, message, _ = _toast(notice)
    return f"{title}: {message}"


def _summary(delegation: Delegation) -> str:
    """Return what is told of the result; an instruction that was never taken up comes first."""
    missed = len(delegation.open_steers)
    if not missed or not delegation.is_terminal:
        return delegation.summary
    what = "instruction was" if missed == 1 else "instructions were"
    return f"{missed} {what} never taken up. {delegation.summary}"
