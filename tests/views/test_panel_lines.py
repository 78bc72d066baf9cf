"""What the panel shows, as pure functions: two lines of so many columns for each delegation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from background_agents.domain.asking import Ask, Question
from background_agents.domain.columns import columns, cut
from background_agents.domain.delegation import Delegation, OpenRequest, register
from background_agents.domain.events import Usage
from background_agents.domain.status import Status
from background_agents.domain.text import one_line
from background_agents.testing.contracts.samples import PERMISSION, QUESTION, at, registered
from background_agents.views import panel, panel_actions
from background_agents.views.json import ActiveSheet, LiveFacts, sheet

NOW = at(3600)

ANY = st.text(max_size=60)

FACTS = LiveFacts(
    time_left_s=726.0, place=None, heard_at=NOW, retry=None, last="read completed: src/app.py"
)


def one_of(
    status: Status = Status.RUNNING, name: str = "brave-amber-otter", **more: object
) -> Delegation:
    """Return a delegation in a state; ``more`` are members of its record."""
    one = replace(register(registered(name)), status=status, session="ses_child")
    if one.is_terminal:
        one = replace(one, ended_at=at(134), ran_for=timedelta(seconds=133))
    return replace(one, **more)


def row(one: Delegation, live: LiveFacts | None = FACTS, *, is_gone: bool = False) -> panel.Row:
    told = ActiveSheet(delegation=sheet(one, NOW), live=None if one.is_terminal else live)
    return panel.Row(one, told, is_gone)


def texts(one: panel.Row, width: int = 36) -> tuple[str, str]:
    first, second = panel.lines(one, NOW, width)
    return "".join(span.text for span in first), "".join(span.text for span in second)


def asking(*asked: Ask, **more: object) -> Delegation:
    requests = tuple(OpenRequest(ask, at(9)) for ask in asked)
    return one_of(Status.WAITING, requests=requests, **more)


CASES = [
    (row(one_of()), "● How PKCE works            12m left", "  researcher · read completed: src/…"),
    (
        row(one_of(usage=Usage(cost_usd=0.25)), replace(FACTS, time_left_s=59.9)),
        "● How PKCE works            <1m left",
        "  researcher · $0.2500 · read compl…",
    ),
    (
        row(one_of(timeout=None), replace(FACTS, time_left_s=None, last="")),
        "● How PKCE works             running",
        "  researcher",
    ),
    (
        row(one_of(Status.REGISTERED), replace(FACTS, time_left_s=None, place=2)),
        "○ How PKCE works              queued",
        "  researcher · number 2 in the queue",
    ),
    (
        row(asking(PERMISSION, QUESTION)),
        "? How PKCE works                asks",
        "  researcher · bash: ls (and 1 more)",
    ),
    (
        row(one_of(), None),
        "● How PKCE works             running",
        "  researcher · in another OpenCode",
    ),
    (
        row(one_of(), None, is_gone=True),
        "● How PKCE works             running",
        "  researcher · its OpenCode is gone",
    ),
    (
        row(one_of(Status.COMPLETED, usage=Usage(cost_usd=0.0125))),
        "✓ How PKCE works           completed",
        "  researcher · $0.0125 · 57m ago",
    ),
    (
        row(one_of(Status.TIMED_OUT, error="The time limit of 15m was over.")),
        "✗ How PKCE works           timed out",
        "  researcher · The time limit of 15…",
    ),
    (
        row(one_of(Status.STOPPED, title="A title that is longer than there is room")),
        "■ A title that is longer th… stopped",
        "  researcher · 57m ago",
    ),
]


@pytest.mark.parametrize(("shown", "first", "second"), CASES)
def test_two_lines_say_what_is_worth_knowing(shown: panel.Row, first: str, second: str) -> None:
    assert texts(shown) == (first, second)


@given(ANY, ANY, ANY, ANY, st.sampled_from(Status), st.integers(20, 80))
def test_lines_fit_whatever_an_agent_wrote(
    title: str, agent: str, last: str, error: str, status: Status, width: int
) -> None:
    asked = Ask(id="per_1", session="ses_child", permission=last, patterns=(error,))
    requests = (OpenRequest(asked, at(9)),) if status is Status.WAITING else ()
    one = one_of(status, title=title, agent=agent, error=error, requests=requests)
    for text in texts(row(one, replace(FACTS, last=last)), width):
        assert columns(text) <= width
        assert one_line(text) == " ".join(text.split())


@pytest.mark.parametrize(
    "title", ["認証の流れを直す" * 4, "Fix the 🚀 launch of 🛰 satellites now", "Café"]
)
def test_wide_characters_take_two_columns(title: str) -> None:
    for text in texts(row(one_of(title=title))):
        assert cell_len(text) <= 36
    first, _ = texts(row(one_of(title=title)))
    assert cell_len(first) == columns(first) == 36


def test_what_is_urgent_comes_first() -> None:
    found = [
        one_of(Status.COMPLETED, "a", ended_at=at(100)),
        one_of(Status.REGISTERED, "b"),
        one_of(Status.RUNNING, "c", registered_at=at(5)),
        one_of(Status.FAILED, "d", ended_at=at(200), read_at=NOW),
        one_of(Status.RUNNING, "e", registered_at=at(4)),
        asking(PERMISSION, id="f"),
        asking(PERMISSION, id="g", registered_at=at(3)),
    ]
    assert "".join(one.id for one in panel.in_order(found)) == "fgecbda"
    assert panel.counter(found) == "2 ask · 2 running · 1 queued · 1 unread"
    assert panel.counter(found[:2]) == "1 queued · 1 unread"
    assert panel.counter([]) == ""


def test_more_than_there_is_room_for_is_counted() -> None:
    found = [one_of(name=f"n{number}") for number in range(30)]
    told = panel.shown("ses_1", found, [row(one) for one in found[:8]], NOW, 36, [])
    assert (len(told.lines), told.more, told.head) == (16, "+22 more", "Delegations")
    assert told.ids == tuple(one.id for one in found[:8])
    none = panel.shown("ses_1", [], [], NOW, 36, [])
    assert (none.lines, none.more, none.head, none.counter) == ((), "", "", "")


def test_a_tone_says_nothing_that_a_word_or_a_sign_does_not() -> None:
    assert len({(word.sign, word.text) for word in panel.WORDS.values()}) == len(Status)
    assert set(panel.WORDS) == set(Status)


def test_news_holds_nothing_that_an_agent_wrote() -> None:
    evil = "</x> run rm -rf"
    asked = Ask(id="per_1", session="s", permission=evil, patterns=(evil,))
    for one in (
        asking(asked, title=evil, agent=evil, summary=evil),
        one_of(Status.FAILED, title=evil, agent=evil, error=evil, summary=evil),
    ):
        ((_, told),) = panel.news(one)
        assert evil not in f"{told.title}{told.message}"
        assert one.id in told.message
    assert panel.news(one_of()) == []


def test_questions_offer_what_they_suggest_and_words_of_ones_own() -> None:
    two = Ask(id="que_1", session="s", questions=(Question("Which?", ("A", "B")), Question("Why?")))
    entry = panel_actions.entry(row(asking(two)), NOW, is_sessions=True)
    answer = entry.actions[0]
    assert (answer.name, answer.asks, answer.request) == ("answer", "questions", "que_1")
    first, second = answer.questions
    assert [one.value for one in first.choices] == ["A", "B", "", "reject"]
    assert [(one.value, bool(one.hint)) for one in second.choices] == [
        ("", True),
        ("reject", False),
    ]


@given(ANY, st.integers(0, 60))
def test_a_cut_text_fits_and_is_a_beginning(text: str, width: int) -> None:
    shown = cut(text, width)
    assert columns(shown) <= width
    assert shown == text or text.startswith(shown.removesuffix("…"))
