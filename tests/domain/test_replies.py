"""What is asked is one bounded line, and an answer means one thing or is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.asking import (
    ASKED_CHARS,
    OPTIONS_SHOWN,
    Ask,
    Question,
    Reply,
)
from background_agents.domain.errors import InvalidRequest, NotAnAnswer
from background_agents.domain.replies import reply_to
from background_agents.views.errors import for_people
from background_agents.views.model import how_to_answer

PERMISSION = Ask(id="per_1", session="ses_1", permission="bash", patterns=("rm -rf *", "ls"))

ONE = Ask(id="que_1", session="ses_1", questions=(Question("Which one?", ("S256", "plain")),))

TWO = Ask(id="que_2", session="ses_1", questions=(Question("Where?", ("Here",)), Question("Why?")))

TEXTS = st.builds(lambda text, times: text * times, st.text(max_size=5), st.sampled_from([1, 90]))
"""All of Unicode, and long texts too, made from short ones so that they cost little."""

FEW_TEXTS = st.lists(TEXTS, max_size=4).map(tuple)

ASKS = st.one_of(
    st.builds(
        lambda permission, patterns: Ask(
            id="per_1", session="ses_1", permission=permission, patterns=patterns
        ),
        TEXTS,
        FEW_TEXTS,
    ),
    st.builds(
        lambda texts, options: Ask(
            id="que_1", session="ses_1", questions=tuple(Question(text, options) for text in texts)
        ),
        st.lists(TEXTS, min_size=1, max_size=4),
        FEW_TEXTS,
    ),
)


@given(ASKS)
def test_what_is_asked_is_one_bounded_line(ask: Ask) -> None:
    """Whatever an agent asks, it stays within its room and on its line."""
    text = ask.text
    assert len(text) <= ASKED_CHARS
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def test_hundreds_of_questions_are_bounded_too() -> None:
    """No number of questions makes the line longer than it may be."""
    many = tuple(Question("Really? " * 50) for _ in range(ASKED_CHARS + 1))
    assert len(Ask(id="que_1", session="ses_1", questions=many).text) <= ASKED_CHARS


def test_it_says_what_is_asked_and_what_it_suggests() -> None:
    """A permission names its patterns, a question its first options."""
    assert (PERMISSION.kind, PERMISSION.text) == ("permission", "bash: rm -rf *, ls")
    assert (ONE.kind, ONE.text) == ("question", "Which one? (S256, plain)")
    assert TWO.text == "Where? (Here) / Why?"
    options = tuple(f"o{number}" for number in range(OPTIONS_SHOWN + 1))
    many = Ask(id="que_1", session="ses_1", questions=(Question("Which?", options),))
    assert f"o{OPTIONS_SHOWN - 1})" in many.text


@pytest.mark.parametrize(
    ("given", "reply"),
    [
        ("once", Reply(word="once")),
        (" ONCE \n", Reply(word="once")),
        ("Always", Reply(word="always")),
        ("reject", Reply(word="reject")),
        ("REJECT: use staging: now", Reply(word="reject", reason="use staging: now")),
        ("reject :  no ", Reply(word="reject", reason="no")),
        ("reject:", Reply(word="reject")),
    ],
)
def test_an_answer_to_a_permission(given: str, reply: Reply) -> None:
    """Case and space do not matter, and a rejection may give its reason."""
    assert reply_to(PERMISSION, given) == reply


@pytest.mark.parametrize("given", ["", " \n", "yes", "once more", "once: yes", "rejected", "no"])
def test_what_is_no_answer_to_a_permission(given: str) -> None:
    """What is no answer is refused, with the answers that there are."""
    with pytest.raises(NotAnAnswer) as refused:
        reply_to(PERMISSION, given)
    assert '"once", "always"' in for_people(refused.value)


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ("s256", ("S256",)),
        (" PLAIN ", ("plain",)),
        ("neither: use\nboth", ("neither: use\nboth",)),
        ("once", ("once",)),
        ("S25", ("S25",)),
    ],
)
def test_an_answer_to_a_question(given: str, answers: tuple[str, ...]) -> None:
    """An option is given as it was offered; other words stay as they are."""
    assert reply_to(ONE, given) == Reply(answers=answers)


def test_a_question_may_be_rejected() -> None:
    """A question that nobody will answer is rejected, with a reason if there is one."""
    assert reply_to(ONE, "Reject: ask later") == Reply(word="reject", reason="ask later")
    assert reply_to(TWO, "reject").is_rejection


def test_an_option_that_is_called_reject_can_be_chosen() -> None:
    """What a question offers is an answer to it, also where it is a word of ours."""
    merge = Ask(id="que_1", session="ses_1", questions=(Question("And?", ("Accept", "Reject")),))
    assert reply_to(merge, "reject") == Reply(answers=("Reject",))


def test_several_questions_take_one_line_each() -> None:
    """Lines answer questions in their order; blank ones do not count."""
    assert reply_to(TWO, "here\n\n  Because.  \n") == Reply(answers=("Here", "Because."))


@pytest.mark.parametrize("given", ["here", "one\ntwo\nthree"])
def test_a_wrong_number_of_lines_is_refused(given: str) -> None:
    """Nothing is guessed: how many lines there were and are to be is said."""
    lines = len(given.splitlines())
    with pytest.raises(InvalidRequest, match=f"2 questions are asked and the reply has {lines} l"):
        reply_to(TWO, given)


def test_how_to_answer_fits_what_is_asked() -> None:
    """The words that are suggested are words that are taken."""
    assert "once" in how_to_answer(PERMISSION)
    assert how_to_answer(ONE) == 'reply with the answer, or "reject"'
    assert "2 lines" in how_to_answer(TWO)


def test_a_reply_reads_as_it_was_given() -> None:
    """The history shows a word or the answers, on one bounded line."""
    assert Reply(word="reject", reason="no").text == "reject"
    assert Reply(answers=("S256", "two\nlines")).text == "S256 / two lines"
    assert len(Reply(answers=("x" * 10_000,)).text) == ASKED_CHARS
