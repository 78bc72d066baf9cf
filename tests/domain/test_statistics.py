"""Numbers about many delegations: which model ran, what it cost, and where the time went."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.events import Usage
from background_agents.domain.statistics import (
    NO_MODEL,
    By,
    Fact,
    Order,
    Spent,
    summarize,
)
from background_agents.domain.status import Status
from background_agents.hosts.cli.text import stats as words
from background_agents.testing.contracts.samples import at


def over(agent: str = "general", **facts: object) -> Fact:
    """Return one that was delegated at 0 s, began at 10 s and ended at 110 s."""
    usual: dict[str, object] = {
        "registered_at": at(0),
        "launched_at": at(10),
        "ended_at": at(110),
        "status": Status.COMPLETED,
        "ran_for": timedelta(seconds=100),
        "tools_for": timedelta(0),
    }
    return Fact(agent=agent, **{**usual, **facts})  # type: ignore[arg-type]


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_the_time_of_a_run_is_its_models_but_for_tools_people_and_the_queue() -> None:
    """A tool that waits for a permission is no tool at work."""
    assert over(tools_for=s(60), waited_in_all=s(25)).spent == Spent(40.0, 35.0, 25.0, 10.0)
    assert over().spent == Spent(100.0, 0.0, 0.0, 10.0)
    never_began = over(launched_at=None, ran_for=s(0))
    assert never_began.spent == Spent(0.0, 0.0, 0.0, 110.0)


def test_where_it_was_not_noted_or_is_not_over_it_is_not_known() -> None:
    old, runs = over(tools_for=None), over(ended_at=None)
    adopted = over(tools_for=None, launched_at=None)
    assert (old.spent, runs.spent, adopted.spent) == (None, None, None)
    whole, _ = summarize([old, runs, over()], By.AGENT)
    assert (whole.count, whole.untimed, whole.spent) == (3, 1, Spent(100.0, 0.0, 0.0, 10.0))


@given(*[st.floats(0, 1e6) for _ in range(3)])
def test_the_parts_are_the_whole_whatever_clocks_have_done(
    ran: float, tools: float, waited: float
) -> None:
    spent = over(ran_for=s(ran), tools_for=s(tools), waited_in_all=s(waited)).spent
    assert spent is not None
    assert min(spent) >= 0
    assert sum(spent) == pytest.approx(s(ran).total_seconds() + 10.0)


def test_the_model_that_ran_counts_and_not_the_one_that_was_asked_for() -> None:
    facts = [over(models=("a/one", "a/two")), over(models=("a/two",)), over(models=())]
    _, groups = summarize(facts, By.MODEL)
    assert {group.key: group.count for group in groups} == {"a/two": 2, NO_MODEL: 1}


def test_groups_are_in_the_order_that_is_wanted() -> None:
    facts = [
        over("often", usage=Usage(cost_usd=0.1)),
        over("often", usage=Usage(cost_usd=0.1)),
        over("dear", usage=Usage(cost_usd=5.0)),
        over("slow", ended_at=at(9000), ran_for=s(8990)),
    ]
    wanted = {None: "often", Order.COUNT: "often", Order.COST: "dear", Order.TIME: "slow"}
    for order, first in wanted.items():
        assert summarize(facts, By.AGENT, order)[1][0].key == first


def test_sums_of_which_some_price_is_not_known_say_so() -> None:
    free, paid = Usage(9, turns=2, unpriced_turns=2), Usage(9, cost_usd=1.5, turns=1)
    for usages, shown in (([free], "unknown"), ([paid], "$1.50"), ([free, paid], "$1.50+")):
        whole, groups = summarize([over(usage=one) for one in usages], By.AGENT)
        assert words.row(groups[0])[-1] == shown
        assert any(f"{shown} and 0 tool calls" in one for one in words.sentences(whole, None))


def test_where_the_time_went_is_told_in_shares() -> None:
    _, (group,) = summarize([over(tools_for=s(60), waited_in_all=s(25))], By.AGENT)
    assert words.spent_row(group) == ("general", "1m 50s", "36%", "32%", "23%", "9%")
