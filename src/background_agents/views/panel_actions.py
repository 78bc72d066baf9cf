"""The read model of the panel's list: rows, what a person may do with each, results in parts.

Pure functions; what is said of a delegation comes from ``panel``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from background_agents.domain.asking import ONCE, OPTIONS_SHOWN, REJECT, Ask, Question
from background_agents.domain.delegation import Delegation
from background_agents.domain.text import LINE_CHARS, one_line, printable
from background_agents.views.model import headline
from background_agents.views.panel import WORDS, Row, right, told

ENTRIES = 200
"""Rows of the list: more than anybody looks through by hand."""

PAGE_CHARS = 20_000
"""Of a result at a time: some ten screens, which a terminal still renders at once."""


class Choice(msgspec.Struct, frozen=True):
    """One of the answers that are offered."""

    value: str
    title: str
    hint: str = ""
    """Where it is not empty, words are asked for by it, and put behind ``value``."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the person at the panel."""

    text: str
    choices: tuple[Choice, ...]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may do with a delegation now."""

    name: str
    title: str
    asks: str = ""
    """What is needed before: nothing, ``text``, ``confirm`` or ``questions``."""
    hint: str = ""
    questions: tuple[Asked, ...] = ()
    request: str = ""
    """Of an answer: the id of what it answers."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list."""

    id: str
    title: str
    detail: str
    footer: str
    group: str
    state: str
    project: str
    agent: str
    session: str | None
    """The child session, once there is one."""
    owner: str
    """The process that runs, or ran, it: ``pid:start``."""
    actions: tuple[Action, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a result, as markdown for people."""

    title: str
    text: str
    next_offset: int | None
    """Where the next part begins; null: this is the last one."""


def entry(row: Row, now: datetime, *, is_sessions: bool) -> Entry:
    """Return the row of the list for a delegation."""
    one, word = row.one, WORDS[row.one.status]
    return Entry(
        id=one.id,
        title=f"{word.sign} {one_line(one.title, LINE_CHARS)}",
        detail=f"{one.id} · {told(row, now)}",
        footer=f"{right(row)}{', unread' if one.is_unread else ''}",
        group="This session" if is_sessions else "This project",
        state=one.status.value,
        project=one.project,
        agent=one.agent,
        session=one.session,
        owner=one.owner,
        actions=tuple(_actions(row)),
    )


def page(one: Delegation, result: str, offset: int) -> Page:
    """Return the part of a result that begins at an offset."""
    end = offset + PAGE_CHARS
    return Page(
        title=headline(one),
        text=printable(result[offset:end]),
        next_offset=end if end < len(result) else None,
    )


def _actions(row: Row) -> Iterator[Action]:
    """Yield what a person may do with a delegation now, the likeliest first."""
    one, is_at_work = row.one, not row.one.is_terminal and not row.is_gone
    if one.requests and is_at_work:
        yield _answer(one.requests[0].ask)
    if one.is_terminal:
        yield Action(name="read", title="Read the result")
    elif is_at_work:
        yield Action(name="peek", title="Watch it work")
        if one.session:
            yield Action(
                name="steer", title="Give it an instruction", asks="text", hint="What is it to do?"
            )
        if one.timeout is not None:
            hint = "Minutes more; 0 for no limit"
            yield Action(name="extend", title="Give it more time", asks="text", hint=hint)
        kept = "What it has written is kept."
        yield Action(name="stop", title="Stop it", asks="confirm", hint=f"Stop {one.id}? {kept}")
    if one.session:
        yield Action(name="open", title="Open its session")
    if one.is_terminal:
        if one.session:
            hint = "What it is to do next"
            yield Action(name="continue", title="Let it go on", asks="text", hint=hint)
        hint = f"Have what {one.id} was to do done once more?"
        yield Action(name="retry", title="Do it once more", asks="confirm", hint=hint)
    yield Action(name="copy", title="Copy its id")


def _answer(ask: Ask) -> Action:
    if ask.questions:
        title, asked = "Answer its question", tuple(map(_asked, ask.questions))
    else:
        title, asked = "Grant or refuse what it asks", (Asked(text=ask.text, choices=_GRANTS),)
    return Action(name="answer", title=title, asks="questions", questions=asked, request=ask.id)


_GRANTS = (
    Choice(ONCE, "Allow it once"),
    Choice("always", "Allow it always, until OpenCode restarts"),
    Choice(REJECT, "Refuse it"),
    Choice(f"{REJECT}: ", "Refuse it, and say why", "Why not?"),
)


def _asked(question: Question) -> Asked:
    offered = (Choice(one, one_line(one)) for one in question.options[:OPTIONS_SHOWN])
    own = Choice("", "Answer in words of your own", "Your answer")
    return Asked(
        text=one_line(question.text), choices=(*offered, own, Choice(REJECT, "Do not answer"))
    )
