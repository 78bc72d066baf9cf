"""The database as people's programs read it: all delegations of a project, whoever's they are.

Reads at once, without a thread or a loop, beside services that write. Changes nothing, repairs
nothing: a database that is damaged is named, and mended by the next service that opens it.
Models never read through here, since they see the delegations of their own root session alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from background_agents.adapters.sqlite import finding, rows
from background_agents.adapters.sqlite.schema import QUERIES, Opened, empty, for_doctor, is_damage
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import IDS_SHOWN, AmbiguousId, NoSuchRecord
from background_agents.domain.events import Event
from background_agents.domain.notice import Notice
from background_agents.domain.query import Query
from background_agents.domain.statistics import Fact
from background_agents.ports.storage import Line

T = TypeVar("T")

_fact = msgspec.json.Decoder(Fact).decode


class IndexDamaged(Exception):
    """The full-text index cannot be read; it is made anew and asked again."""


class Found(NamedTuple):
    """What a query found."""

    numbers: Sequence[int]
    """Of the delegations, in the order in which they are shown."""
    total: int
    """How many there are without the limit."""
    keys: Sequence[str | float] = ()
    """What each is sorted by."""


class Records(Opened):
    """Reads one project's database; use it as ``with Records.open(...)``."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        connection.execute("PRAGMA query_only = ON")
        connection.create_function("model_of", 1, finding.model_of, deterministic=True)
        connection.create_function("has_label", 2, finding.has_label, deterministic=True)
        connection.create_function("number_of", 2, finding.number_of)

    @classmethod
    def of_nothing(cls) -> Records:
        """Return the records of a project that has none; nothing is written to disk."""
        return cls(empty(), Path(":memory:"))

    def resolve(self, given: str) -> Delegation:
        """Return the delegation whose id is ``given``, or the only one whose id begins so.

        Raises:
            InvalidRequest: there is none, or there are several.
        """
        with self._reading():
            if (exact := rows.get(self._connection, given)) is not None:
                return exact
            # Ids are of a-z, 0-9 and "-"; "~" comes after all of these.
            alike = (given, f"{given}~", IDS_SHOWN + 1)
            found = self._connection.execute(QUERIES["ids_from"], alike).fetchall()
        ids = [name for (name,) in found] if given else []
        if len(ids) == 1:
            return self.resolve(ids[0])
        raise AmbiguousId(given, ids) if ids else NoSuchRecord(given)

    def beginning_with(self, prefix: str, limit: int) -> list[tuple[str, str, str]]:
        """Return id, status and title of the newest delegations whose id begins so."""
        with self._reading():
            if not prefix:
                return self._connection.execute(QUERIES["newest"], (limit,)).fetchall()
            found = (prefix, f"{prefix}~", limit)
            return self._connection.execute(QUERIES["newest_from"], found).fetchall()

    def agents(self) -> list[str]:
        """Return the agents that the newest delegations went to, by name."""
        with self._reading():
            return [name for (name,) in self._connection.execute(QUERIES["agents"])]

    def attach_index(self, path: Path) -> None:
        """Let queries with words be asked; the index is to be there and up to date.

        Raises:
            IndexDamaged: it is not.
        """
        with self._reading_index():
            self._connection.execute("ATTACH DATABASE ? AS search", (str(path),))

    def detach_index(self) -> None:
        """Let go of the index."""
        self._connection.execute("DETACH DATABASE search")

    def find(
        self, query: Query, limit: int | None = None, offset: int = 0, *, by_rank: bool = False
    ) -> Found:
        """Return which delegations are asked for, newest first or as the query sorts them.

        A query with words needs the index attached; ``by_rank`` puts the best of these first.

        Raises:
            IndexDamaged: the index cannot be read.
        """
        reading = self._reading_index if query.is_full_text else self._reading
        with reading():
            statement = finding.numbers(query, limit, offset, by_rank=by_rank)
            found = self._connection.execute(*statement).fetchall()
            numbers, keys = [row[0] for row in found], [row[-1] for row in found]
            total = offset + len(numbers)
            if limit is not None and (numbers or offset) and not 0 < len(numbers) < limit:
                ((total,),) = self._connection.execute(*finding.count(query))
            return Found(numbers, total, keys)

    def lines(self, numbers: Iterable[int]) -> Iterator[Line]:
        """Return what a list shows of delegations, in the order of their numbers as given."""
        return self._each("line", numbers, rows.line)

    def delegations(self, numbers: Iterable[int]) -> Iterator[Delegation]:
        """Return whole delegations, in the order of their numbers as given."""
        return self._each("record", numbers, lambda row: rows.read_delegation(row[0]))

    def facts(self, since: datetime | None) -> Iterator[Fact]:
        """Return what counts of each delegation since a moment; reads every record."""
        begin = since.astimezone(UTC).isoformat() if since else ""
        with self._reading():
            for (record,) in self._connection.execute(QUERIES["records_since"], (begin,)):
                yield _fact(record)

    def history(self, delegation: str) -> list[Event]:
        """Return all events of a delegation, oldest first."""
        with self._reading():
            return rows.history(self._connection, delegation)

    def notices(self, delegations: Sequence[str]) -> dict[str, list[Notice]]:
        """Return all notices of each of some delegations, oldest first."""
        found: dict[str, list[Notice]] = {name: [] for name in delegations}
        with self._reading():
            for one in rows.notices_of(self._connection, delegations):
                found[one.delegation].append(one)
        return found

    def active(self) -> list[Delegation]:
        """Return every delegation that has not ended, oldest first."""
        with self._reading():
            return rows.unfinished(self._connection)

    def newest_ended(self, count: int) -> list[Line]:
        """Return the newest of those that have ended, the one that was delegated last first."""
        with self._reading():
            found = self._connection.execute(QUERIES["newest_ended"], (count,))
            return [rows.line(row) for row in found]

    def _each(
        self, query: str, numbers: Iterable[int], read: Callable[[tuple[Any, ...]], T]
    ) -> Iterator[T]:
        """Yield what is read for each number; one that was pruned meanwhile has nothing."""
        with self._reading():
            for number in numbers:
                for row in self._connection.execute(QUERIES[query], (number,)):
                    yield read(row)

    @contextmanager
    def _reading_index(self) -> Iterator[None]:
        """As ``_reading``, where damage is most likely that of the index."""
        with self._reading():
            try:
                yield
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    raise IndexDamaged(str(error)) from error
                raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file when SQLite, or a record in it, cannot be read."""
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise for_doctor(f"The database {self._path} cannot be read", error) from error
