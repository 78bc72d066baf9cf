"""Reading rows out of a damaged database, as many as can be read.

SQLite reads a page only when it needs it, so that one bad page costs the rows behind it
and no others. The file is opened for reading alone and stays as it is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PROBES = 100_000
"""How many row numbers are tried between two readable ends; a damaged number may lie far off."""

Row = Mapping[str, object]

_log = logging.getLogger(__name__)


def read_rows(path: Path, table: str, key: str = "rowid") -> Iterator[Row]:
    """Yield the readable rows of a table, each once, in any order.

    From the front to the first bad page, then from the back; what lies between is tried
    number by number, where the key is one.
    """
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    except sqlite3.Error as error:
        _log.info("Nothing can be read of %s: %s", path, error)
        return
    with closing(connection):
        connection.text_factory = _text
        try:
            # Lets SQLite read a file that is cut short, or has one bad table among good ones.
            connection.execute("PRAGMA writable_schema = ON")
        except sqlite3.Error as error:
            _log.info("Nothing can be read of %s: %s", path, error)
            return
        yield from _readable(_Table(connection, table, key))


def _text(raw: bytes) -> str:
    """Decode a text of which a byte has changed; whoever takes the row judges it."""
    return raw.decode(errors="replace")


def _readable(table: _Table) -> Iterator[Row]:
    seen: set[object] = set()
    ends: list[object] = []
    for order in ("ASC", "DESC"):
        last = None
        for last, row in table.scan(order):
            if last in seen:
                return  # both ways met: nothing lies between
            seen.add(last)
            yield row
        ends.append(last)
    front, back = ends
    if isinstance(back, int):
        first = front + 1 if isinstance(front, int) else min(0, back)
        for number in range(first, min(back, first + PROBES)):
            yield from table.at(number)


class _Table:
    """A table of a damaged database; ``key`` orders its rows."""

    def __init__(self, connection: sqlite3.Connection, name: str, key: str) -> None:
        self._connection = connection
        self._name = name
        self._key = key

    def scan(self, order: str) -> Iterator[tuple[object, Row]]:
        """Yield rows with their keys until one cannot be read."""
        by = ", ".join(f"{one} {order}" for one in self._key.split(", "))
        yield from self._select(f"ORDER BY {by}", ())

    def at(self, number: int) -> Iterator[Row]:
        """Yield the row of that number, if there is one and it can be read."""
        for _, row in self._select(f"WHERE {self._key} = ?", (number,)):
            yield row

    def _select(self, rest: str, values: tuple[int, ...]) -> Iterator[tuple[object, Row]]:
        keys = len(self._key.split(", "))
        try:
            cursor = self._connection.execute(
                f"SELECT {self._key}, * FROM {self._name} NOT INDEXED {rest}", values
            )
            names = [one[0] for one in cursor.description[keys:]]
            for found in cursor:
                key = found[0] if keys == 1 else found[:keys]
                yield key, dict(zip(names, found[keys:], strict=True))
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            _log.debug("A row of %s cannot be read: %s", self._name, error)
