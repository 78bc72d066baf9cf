"""Statements for a query of people: which delegations, in which order, and how many in all.

Composed of fixed pieces; what was typed is only ever a value. Facts that a list filters by are
answered by one index without reading a record; the model alone stands in the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from background_agents.domain.query import Query
from background_agents.domain.statistics import Fact
from background_agents.domain.status import TERMINAL

WEIGHTS = "10.0, 5.0, 2.0, 1.0"
"""Of title, summary, prompt and result in a ranking: a title is a choice of words."""

PREFIX_CHARS = 3
"""A shorter word is meant as it is, unless its script writes whole words so."""

_ALL = "SELECT number FROM delegations"

_FACTS = f"{_ALL} INDEXED BY delegations_facts WHERE "

_BEGINS = f"number IN ({_ALL} WHERE id >= ? AND id < ?)"
"""Ids are of a-z, 0-9 and "-"; "~" comes after all of these."""

_ENDED = ", ".join(f"'{one}'" for one in sorted(TERMINAL))

_UNREAD = f"(status IN ({_ENDED}) AND read_at IS NULL)"
"""As ``domain.status.is_unread`` has it; a test holds both together."""


_SORTS: Mapping[str, str] = {
    "age": "-julianday(coalesce(ended_at, registered_at))",
    "state": "status",
    "title": "lower(title)",
    "model": "model_of(record)",
    "elapsed": "number_of('elapsed', record)",
    "tokens": "number_of('tokens', record)",
    "cost": "number_of('cost', record)",
}
"""By the names of ``domain.query.SORTS``; the others are columns themselves."""


class _OfModel(msgspec.Struct):
    """What of a record tells its model."""

    model: str | None = None
    models: tuple[str, ...] = ()


class _Labelled(msgspec.Struct):
    labels: tuple[str, ...] = ()


_labels = msgspec.json.Decoder(_Labelled).decode
_decode = msgspec.json.Decoder(_OfModel).decode
_fact = msgspec.json.Decoder(Fact).decode


class Statement(NamedTuple):
    """A condition or a whole statement, and the values of its holders."""

    sql: str
    values: tuple[str | int, ...] = ()


def numbers(query: Query, limit: int | None, offset: int, *, by_rank: bool) -> Statement:
    """Return the statement that gives the numbers of what is found, and what sorts them."""
    source = _source(query)
    if query.sort is not None:
        found = f"SELECT rowid FROM search.texts WHERE {source.sql}"
        among = found if query.is_full_text else source.sql
        key = _SORTS.get(query.sort.key, query.sort.key)
        way = "DESC" if query.sort.descends else "ASC"
        select = f"SELECT number, {key} AS key FROM delegations WHERE number IN ({among})"
        select += f" ORDER BY key {way}, number DESC"
    elif query.is_full_text:
        order = f"bm25(texts, {WEIGHTS})" if by_rank else "rowid DESC"
        select = f"SELECT rowid FROM search.texts WHERE {source.sql} ORDER BY {order}"
    else:
        select = f"SELECT number FROM ({source.sql}) ORDER BY number DESC"
    most = -1 if limit is None else limit
    return Statement(f"{select} LIMIT ? OFFSET ?", (*source.values, most, offset))


def count(query: Query) -> Statement:
    """Return the statement that counts what is found."""
    source = _source(query)
    if query.is_full_text:
        return Statement(f"SELECT count(*) FROM search.texts WHERE {source.sql}", source.values)
    return Statement(f"SELECT count(*) FROM ({source.sql})", source.values)


def expression(query: Query) -> str:
    """Return the words and phrases of a query as FTS5 reads them; each is quoted."""
    return " ".join([*map(_turn, query.words), *map(_quoted, query.phrases)])


def _turn(word: str) -> str:
    # "go" is not meant as "google", and a prefix of two letters fits half of all words.
    is_whole = word.isascii() and len(word) < PREFIX_CHARS
    return _quoted(word) if is_whole else f"{_quoted(word)}*"


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def model_of(record: bytes) -> str:
    """Return the models that answered, or else the one asked for; a function for SQLite."""
    seen = _decode(record)
    return "\n".join(seen.models or (seen.model or "",)).lower()


def has_label(record: bytes, label: str) -> bool:
    """Return whether people have labelled a delegation so; a function for SQLite."""
    return label.lower() in map(str.lower, _labels(record).labels)


def number_of(what: str, record: bytes) -> float:
    """Return how long a delegation ran or runs, or what it used; a function for SQLite."""
    fact = _fact(record)
    if what == "elapsed":
        return fact.elapsed(datetime.now(UTC)).total_seconds()
    return fact.usage.cost_usd if what == "cost" else fact.usage.tokens


def _source(query: Query) -> Statement:
    facts = _facts(query)
    if not query.is_full_text:
        return Statement(f"{_FACTS}{facts.sql}", facts.values) if facts.sql else Statement(_ALL)
    match, values = "texts MATCH ?", (expression(query), *facts.values)
    # The sign keeps SQLite from looking the words up anew for each number.
    among = f" AND +rowid IN ({_FACTS}{facts.sql})" if facts.sql else ""
    return Statement(match + among, values)


def _facts(query: Query) -> Statement:
    """Return what must be so, as far as facts tell; empty where nothing must."""
    states = [f"status IN ({', '.join('?' * len(query.states))})"] if query.states else []
    since = [query.since.astimezone(UTC).isoformat()] if query.since else []
    # Alternatives, of which one must hold, and their values.
    wanted: list[tuple[list[str], Sequence[str]]] = [
        ([_BEGINS] * len(query.ids), [end for one in query.ids for end in (one, f"{one}~")]),
        (states + ([_UNREAD] if query.or_unread else []), sorted(query.states)),
        ([_UNREAD] if query.only_unread else [], ()),
        (["agent = ?"] * len(query.agents), query.agents),
        (["registered_at >= ?"] * len(since), since),
        (["instr(model_of(record), lower(?))"] * len(query.models), query.models),
        (["has_label(record, ?)"] * len(query.labels), query.labels),
    ]
    all_of = (f"({' OR '.join(any_of)})" for any_of, _ in wanted if any_of)
    return Statement(" AND ".join(all_of), tuple(one for _, values in wanted for one in values))
