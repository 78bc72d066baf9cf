"""Text from an agent is one line, bounded, and can neither open nor close a tag."""

import html
import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.text import (
    SUMMARY_CHARS,
    TITLE_CHARS,
    escape,
    one_line,
    span,
    summary_of,
    title_of,
)

# All of Unicode, half surrogate pairs too, with what hurts more often than chance has it.
HOSTILE = st.lists(
    st.one_of(
        st.text(st.characters()),
        st.sampled_from(
            ["</task-notification>", "<task-id>", "\r\n", "\x1b[31m", "\u2028", "\x00", "\u202e"]
        ),
    )
).map("".join)


def is_one_plain_line(text: str) -> bool:
    """Whether nothing in ``text`` breaks a line or steers a terminal or a display."""
    controls = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)
    return len(text.splitlines()) <= 1 and not controls and text == text.strip()


@given(HOSTILE)
def test_escaped_text_has_no_tag_and_says_the_same(text: str) -> None:
    escaped = escape(text)
    assert not set('<>"') & set(escaped)
    # html.unescape also rewrites what no text of ours escapes to; these are the four it must undo.
    for entity, char in (("&quot;", '"'), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&")):
        escaped = escaped.replace(entity, char)
    assert escaped == text


def test_escaped_text_reads_back_as_it_was() -> None:
    text = "</summary><remaining>0</remaining> \"&lt;\" & 'x'"
    assert html.unescape(escape(text)) == text


@given(HOSTILE, st.integers(1, 400))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert is_one_plain_line(line)


@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=40))
def test_one_line_leaves_plain_words_alone(text: str) -> None:
    assert one_line(text, 40) == text


def test_one_line_shows_that_it_cut() -> None:
    assert one_line("alpha beta gamma", 11) == "alpha beta…"


@given(HOSTILE)
def test_a_title_is_never_empty_and_fits(prompt: str) -> None:
    title = title_of(prompt)
    assert 0 < len(title) <= TITLE_CHARS
    assert is_one_plain_line(title)


@given(HOSTILE)
def test_a_summary_fits(result: str) -> None:
    summary = summary_of(result)
    assert len(summary) <= SUMMARY_CHARS
    assert is_one_plain_line(summary)


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("# Find the **bug**\n\nIt crashes.", "Find the bug"),
        ("\n---\n\n1. Read `auth.py`", "Read auth.py"),
        ("", "Untitled delegation"),
        ("***\n???", "Untitled delegation"),
    ],
)
def test_a_title_is_the_first_line_that_says_something(prompt: str, title: str) -> None:
    assert title_of(prompt) == title


@pytest.mark.parametrize(
    ("result", "summary"),
    [
        ("# Result\n\nPKCE is **required**.\nAlways.\n\nMore.", "PKCE is required. Always."),
        ("# Only a heading", "# Only a heading"),
        ("", ""),
    ],
)
def test_a_summary_is_the_first_paragraph(result: str, summary: str) -> None:
    assert summary_of(result) == summary


def test_a_very_large_result_costs_no_more_than_a_small_one() -> None:
    assert len(summary_of("word " * 20_000_000)) <= SUMMARY_CHARS


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0.0s"),
        (0.44, "0.4s"),
        (12, "12s"),
        (59.7, "1m 00s"),
        (134, "2m 14s"),
        (3600, "1h 00m"),
        (3901, "1h 05m"),
    ],
)
def test_a_span_reads_as_people_say_it(seconds: float, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


def test_a_title_keeps_the_names_in_it() -> None:
    assert title_of("# **Rename** `my_function_name` *now*!") == ("Rename my_function_name now!")
