"""What is counted, how much of a limit that is, and what is said of it."""

from __future__ import annotations

import pytest

from background_agents.domain.events import Usage
from background_agents.domain.limits import Limits, Reached, Share, nearest
from background_agents.domain.text import cost, money
from background_agents.domain.transcript import Message, Transcript
from background_agents.views import limits as words


def test_what_was_read_from_a_cache_is_not_counted() -> None:
    used = Usage(10, 20, 30, cache_read_tokens=1_000, cache_write_tokens=40)
    assert (used.counted_tokens, used.tokens) == (100, 1_100)


@pytest.mark.parametrize(
    ("limits", "used", "share"),
    [
        (Limits(), Usage(10, turns=5), None),
        (Limits(max_turns=20), Usage(turns=16), Share(0.8, "limit of 20 turns")),
        (Limits(max_turns=1), Usage(turns=1), Share(1.0, "limit of 1 turn")),
        (Limits(max_tokens=2_000), Usage(500, 500), Share(0.5, "limit of 2,000 tokens")),
        (Limits(max_cost_usd=2.0), Usage(cost_usd=3.0), Share(1.5, "limit of $2.00")),
        (Limits(2.0, 100, 10), Usage(50, cost_usd=1.5, turns=2), Share(0.75, "limit of $2.00")),
    ],
)
def test_the_limit_of_which_most_is_used_counts(
    limits: Limits, used: Usage, share: Share | None
) -> None:
    assert nearest(limits, used) == share


def test_a_message_counts_as_a_turn_and_says_whether_its_price_is_known() -> None:
    free = Message(id="a1", role="assistant", usage=Usage(10, 2))
    paid = Message(id="a2", role="assistant", usage=Usage(10, 2, cost_usd=0.5))
    begun = Message(id="a3", role="assistant")
    used = Transcript((Message(id="u1", role="user"), free, paid, begun)).usage
    assert used == Usage(20, 4, cost_usd=0.5, turns=3, unpriced_turns=1)


def test_what_is_used_is_told_limit_by_limit() -> None:
    used = Usage(1_500, cost_usd=0.4, turns=12)
    assert words.used(Limits(), used) == ""
    assert words.used(Limits(max_turns=20), used) == "12 of 20 turns"
    assert words.used(Limits(1.0, 2_000, 20), used) == (
        "12 of 20 turns, 1,500 of 2,000 tokens, $0.4000 of $1.00"
    )


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (Usage(10, turns=2, unpriced_turns=2), "price unknown"),
        (Usage(10, cost_usd=0.1, turns=5, unpriced_turns=1), "price of 1 turn unknown"),
        (Usage(10, cost_usd=0.1, turns=5), ""),
    ],
)
def test_an_unknown_price_is_said_and_never_taken_for_free(used: Usage, told: str) -> None:
    assert words.unpriced(used) == told
    kept = words.not_kept(Limits(max_cost_usd=1.0), used)
    assert kept == (f"Its limit of $1.00 could not be kept: {told}." if told else "")
    assert words.not_kept(Limits(max_turns=1), used) == ""


def test_the_end_is_one_line() -> None:
    assert words.stopped(Reached("limit of 20 turns", 20)) == "Stopped at its limit of 20 turns."


@pytest.mark.parametrize(
    ("dollars", "unpriced", "in_a_column", "in_a_sentence"),
    [
        (0.0, 0, "$0.0000", "$0.0000"),
        (0.0123, 0, "$0.0123", "$0.0123"),
        (1234.5, 0, "$1,234.50", "$1,234.50"),
        (0.0, 3, "unknown", "price unknown"),
        (0.5, 3, "$0.5000+", "$0.5000+"),
    ],
)
def test_a_price_that_nobody_knows_is_not_told_as_nothing(
    dollars: float, unpriced: int, in_a_column: str, in_a_sentence: str
) -> None:
    assert money(dollars, unpriced) == in_a_column
    assert cost(dollars, unpriced) == in_a_sentence
