"""What people type after ``list`` means what it says, and nothing they type breaks the search."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_agents.adapters.sqlite.finding import expression
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.query import MOST_WORDS, STATES, Query, parse
from background_agents.domain.status import ACTIVE, TERMINAL, Status


def test_nothing_asks_for_everything() -> None:
    assert parse() == parse([]) == parse(["", "  "]) == Query()


def test_words_phrases_and_facts_are_told_apart() -> None:
    query = parse(
        ['oauth "token refresh" @researcher model:acme/large', "state:failed", "id:brave"]
    )
    assert query == Query(
        words=("oauth",),
        phrases=("token refresh",),
        agents=("researcher",),
        models=("acme/large",),
        states=frozenset({Status.FAILED}),
        ids=("brave",),
    )
    assert query.is_full_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://example.org/a?b=c", ("http://example.org/a?b=c",)),
        ("TypeError: x", ("TypeError:", "x")),
        ("ids:3", ("ids:3",)),
        ("me@example.org", ("me@example.org",)),
        ("a - b & c", ("a", "b", "c")),
        ('5"disk', ('5"disk',)),
    ],
)
def test_what_only_looks_like_a_fact_is_a_word(text: str, words: tuple[str, ...]) -> None:
    assert parse([text]) == Query(words=words)


def test_a_fact_in_quotes_is_a_phrase_and_a_value_may_be_quoted() -> None:
    assert parse(['"state:failed"']) == Query(phrases=("state:failed",))
    assert parse(['@"my agent"', 'agent:"another one"']).agents == ("my agent", "another one")


def test_a_quote_that_is_not_closed_goes_to_the_end() -> None:
    assert parse(['"token refr']) == Query(phrases=("token refr",))


def test_states_are_alternatives_and_groups_stand_for_several() -> None:
    assert parse(["state:active"]).states == ACTIVE
    assert parse(states=["ended"]).states == TERMINAL
    assert parse(["state:failed"], states=["stopped"]).states == {Status.FAILED, Status.STOPPED}
    unread = parse(["state:active state:unread"])
    assert (unread.states, unread.or_unread, unread.only_unread) == (ACTIVE, True, False)
    assert parse(only_unread=True).only_unread


@pytest.mark.parametrize("given_as", ["query", "option"])
def test_a_state_that_there_is_not_is_refused_with_the_list(given_as: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(["state:dead"]) if given_as == "query" else parse(states=["dead"])
    assert all(state in str(refused.value) for state in STATES)
    assert "'dead'" in str(refused.value)


@pytest.mark.parametrize("text", ["id:", "@", "model:", "state:", 'agent:""'])
def test_a_fact_without_its_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="lacks its value"):
        parse([text])


@pytest.mark.parametrize("text", ["!!!", '""', "-", "\x00", "🤖"])
def test_what_has_no_letter_cannot_be_searched_for(text: str) -> None:
    if text.isprintable():
        with pytest.raises(InvalidRequest, match="needs a letter or a digit"):
            parse([text])
    else:
        assert parse([text]) == Query()


def test_a_pasted_page_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=rf"51 words, and {MOST_WORDS} is the most"):
        parse(["word"] * 51)


@pytest.fixture(scope="module")
def texts() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE texts USING fts5"
            "(text, tokenize = 'unicode61 remove_diacritics 2')"
        )
        connection.execute("INSERT INTO texts VALUES ('Die Größe des OAuth-Tokens: snake_case.')")
        yield connection


def hits(texts: sqlite3.Connection, *typed: str) -> int:
    found = texts.execute(
        "SELECT count(*) FROM texts WHERE texts MATCH ?", (expression(parse(typed)),)
    )
    return int(found.fetchone()[0])


ANYTHING = st.text(max_size=30) | st.text(alphabet="\"*^():-+{}ANDORNEAR '\\,.", max_size=30)


@settings(max_examples=400, deadline=None)
@given(typed=st.lists(ANYTHING, max_size=4))
def test_nothing_that_is_typed_breaks_the_search(
    texts: sqlite3.Connection, typed: list[str]
) -> None:
    """It is refused, or SQLite understands it."""
    try:
        query = parse(typed)
    except InvalidRequest:
        return
    if query.is_full_text:
        texts.execute(
            "SELECT rowid FROM texts WHERE texts MATCH ?", (expression(query),)
        ).fetchall()


@settings(max_examples=100, deadline=None)
@given(word=st.text(alphabet="abcäöüß中文0123", min_size=1, max_size=12), extra=ANYTHING)
def test_a_word_that_stands_there_is_found(word: str, extra: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE texts USING fts5"
            "(text, tokenize = 'unicode61 remove_diacritics 2')"
        )
        text = f"{word} {extra}".replace("\x00", "").encode(errors="replace").decode()
        connection.execute("INSERT INTO texts VALUES (?)", (text,))
        assert hits(connection, word) == 1


def test_words_are_beginnings_and_phrases_are_not(texts: sqlite3.Connection) -> None:
    assert hits(texts, "oau") == 1
    assert hits(texts, '"oau"') == 0
    assert hits(texts, "oauth tok grosse") == 0  # ß is no ss to SQLite
    assert hits(texts, "OAUTH TOK größe") == 1
    assert hits(texts, "grö") == 1
    assert hits(texts, "snake_case") == 1
    assert hits(texts, '"oauth tokens"') == 1
    assert hits(texts, '"tokens oauth"') == 0


def test_short_words_are_whole_ones(texts: sqlite3.Connection) -> None:
    """``go`` does not mean Google."""
    assert hits(texts, "oa") == 0
    assert hits(texts, "des") == 1
    texts.execute("INSERT INTO texts VALUES ('中文文本')")
    assert hits(texts, "中文") == 1
    texts.rollback()
