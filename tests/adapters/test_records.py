"""People's programs read the database by index, and say what they cannot read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_agents.adapters.sqlite import finding
from background_agents.adapters.sqlite.records import Records
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.query import Query, parse
from background_agents.domain.status import Status
from background_agents.testing.contracts.samples import NOON
from lab.harness.archive import Plan, fill, name_of

STORED = 120

PLAN = Plan(STORED, newest=NOON, artifacts=False, prompt_words=5, result_words=5)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    folder = tmp_path_factory.mktemp("records") / "project"
    fill(folder, PLAN)
    opened = Records.open(folder / "delegations.db")
    assert opened is not None
    with opened:
        yield opened


@pytest.fixture(scope="module")
def everything(records: Records) -> list[Delegation]:
    return list(records.delegations(records.find(Query()).numbers))


def test_all_of_them_newest_first(records: Records, everything: list[Delegation]) -> None:
    assert [one.id for one in everything] == [name_of(number) for number in range(STORED)][::-1]
    lines = list(records.lines(records.find(Query()).numbers))
    assert [(one.id, one.status, one.read_at) for one in lines] == [
        (one.id, one.status, one.read_at) for one in everything
    ]


@pytest.mark.parametrize(("limit", "offset"), [(1, 0), (50, 0), (50, 100), (120, 0), (7, 500)])
def test_a_page_knows_how_many_there_are(records: Records, limit: int, offset: int) -> None:
    found = records.find(Query(), limit, offset)
    assert found.total == STORED
    assert list(found.numbers) == list(range(STORED - offset, 0, -1))[:limit]


def test_unread_is_the_same_in_records_in_lines_and_in_sql(
    records: Records, everything: list[Delegation]
) -> None:
    unread = [one.id for one in everything if one.is_unread]
    assert {one.is_terminal for one in everything if not one.is_unread} == {True, False}
    assert all(one.is_terminal and one.read_at is None for one in everything if one.is_unread)
    found = records.lines(records.find(Query(only_unread=True)).numbers)
    assert [one.id for one in found] == unread != []
    lines = records.lines(records.find(Query()).numbers)
    assert [one.id for one in lines if one.is_unread] == unread


QUERIES = st.builds(
    Query,
    agents=st.lists(st.sampled_from(["explore", "general", "none"]), max_size=2).map(tuple),
    models=st.lists(st.sampled_from(["acme", "UMBRELLA/fast", "/"]), max_size=2).map(tuple),
    ids=st.lists(st.sampled_from(["brave", "calm-amber-crow", "q"]), max_size=2).map(tuple),
    states=st.frozensets(st.sampled_from(list(Status)), max_size=3),
    or_unread=st.booleans(),
    only_unread=st.booleans(),
    since=st.none() | st.integers(0, 900).map(lambda minutes: NOON - timedelta(minutes=minutes)),
)


@settings(max_examples=200, deadline=None)
@given(query=QUERIES, limit=st.none() | st.integers(1, 30))
def test_a_query_finds_what_it_says(
    records: Records, everything: list[Delegation], query: Query, limit: int | None
) -> None:
    """As a plain reading of its meaning does, one delegation after the other."""
    found = records.find(query, limit)
    expected = [one.id for one in everything if _is_meant(query, one)]
    assert [one.id for one in records.lines(found.numbers)] == expected[:limit]
    assert found.total == len(expected)


def _is_meant(query: Query, one: Delegation) -> bool:
    model = (one.model or "").lower()
    return (
        (not query.agents or one.agent in query.agents)
        and (not query.models or any(part.lower() in model for part in query.models))
        and (not query.ids or one.id.startswith(query.ids))
        and (
            not (query.states or query.or_unread)
            or one.status in query.states
            or (query.or_unread and one.is_unread)
        )
        and (not query.only_unread or one.is_unread)
        and (query.since is None or one.registered_at >= query.since)
    )


@pytest.mark.parametrize(
    "typed", ["state:failed", "@explore", "state:unread", "id:brave", "state:ended @explore id:q"]
)
def test_no_record_is_read_to_find_one(records: Records, typed: str) -> None:
    """What is filtered by stands in an index; a record has pages of its own."""
    for statement in (
        finding.numbers(parse([typed]), 20, 0, by_rank=False),
        finding.count(parse([typed])),
    ):
        plan = _plan(records, statement)
        assert "COVERING INDEX delegations_facts" in plan
        assert "SCAN delegations /" not in f"{plan} /"


def test_the_newest_are_found_without_sorting(records: Records) -> None:
    assert "TEMP B-TREE" not in _plan(records, finding.numbers(Query(), 20, 0, by_rank=False))
    assert "COVERING INDEX" in _plan(records, finding.count(Query()))


def _plan(records: Records, statement: finding.Statement) -> str:
    rows = records._connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values)
    return " / ".join(row[3] for row in rows)


def test_nothing_can_be_written_by_a_reader(records: Records) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        records._connection.execute("DELETE FROM delegations")


def test_one_that_is_pruned_meanwhile_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    fill(folder, Plan(3, newest=NOON, artifacts=False, active=0))
    records = Records.open(folder / "delegations.db")
    assert records is not None
    with records, closing(sqlite3.connect(folder / "delegations.db")) as other:
        numbers = records.find(Query()).numbers
        with other:
            other.execute("DELETE FROM delegations WHERE id = ?", (name_of(1),))
        assert [one.id for one in records.lines(numbers)] == [name_of(2), name_of(0)]
        with other:
            other.execute("UPDATE delegations SET record = x'7b'")
        with pytest.raises(StoreUnavailable, match="doctor"):
            list(records.delegations(numbers))
