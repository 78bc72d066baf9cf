"""The database as people's programs read it: all delegations of a project, whoever's they are.

Reads at once, without a thread or a loop, beside services that write. Changes nothing, repairs
nothing: a database that is damaged is named, and mended by the next service that opens it.
Models never read through here, since they see the delegations of their own root session alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from background_agents.adapters.sqlite.queries import QUERIES
from background_agents.adapters.sqlite.schema import open_for_reading
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable, quote

_delegation = msgspec.json.Decoder(Delegation).decode

NAMES_SHOWN = 8
"""Of ids that begin alike; more are no help."""


class NoSuchRecord(InvalidRequest):
    """No delegation of the project has an id that begins so."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"No delegation here has an id that begins with {quote(given)}; "
            "`background-agents list` shows the ids."
        )


class AmbiguousId(InvalidRequest):
    """Several delegations have an id that begins so."""

    def __init__(self, given: str, ids: list[str]) -> None:
        shown = ", ".join(ids[:NAMES_SHOWN]) + (" and more" if len(ids) > NAMES_SHOWN else "")
        super().__init__(f"{quote(given)} could be {shown}; type more of the id.")


class Records:
    """Reads one project's database; use it as ``with Records.open(...)``."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Open the database at ``path``; None if nothing was ever delegated there.

        Raises:
            StoreUnavailable: it cannot be read, is damaged, or a newer version wrote it.
        """
        connection = open_for_reading(path)
        return None if connection is None else cls(connection, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def resolve(self, given: str) -> Delegation:
        """Return the delegation whose id is ``given``, or the only one whose id begins so.

        Raises:
            InvalidRequest: there is none, or there are several.
        """
        with self._reading():
            exact = self._connection.execute(QUERIES["get"], (given,)).fetchone()
            if exact:
                return _delegation(exact[0])
            # Ids are of a-z, 0-9 and "-"; "~" comes after all of these.
            rows = self._connection.execute(
                QUERIES["ids_from"], (given, f"{given}~", NAMES_SHOWN + 1)
            ).fetchall()
        ids = [name for (name,) in rows] if given else []
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

    def active(self) -> list[Delegation]:
        """Return every delegation that has not ended, oldest first."""
        with self._reading():
            rows = self._connection.execute(QUERIES["unfinished"])
            return [_delegation(row[0]) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file when SQLite, or a record in it, cannot be read."""
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreUnavailable(
                f"The database {self._path} cannot be read ({error}); "
                "`background-agents doctor` looks into it."
            ) from error
