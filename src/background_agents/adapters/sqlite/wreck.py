"""Reading rows out of a damaged database, as many as can be read.

SQLite reads a page only when it needs it, so that one bad page costs the rows behind it
and no others. The file is opened for reading alone and stays as it is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from background_agents.adapters.sqlite.schema import open_as

PROBES = 100_000
"""How many row numbers are tried between two readable ends; a damaged number may lie far off."""

Row = Mapping[str, object]

_log = logging.getLogger(__name__)


def read_rows(path: Path, table: str, key: str = "rowid") -> Iterator[Row]:
    """Yield the readable rows of a table, each once, in any order.

    From the front to the first bad page, then from the back; what lies between is tried
    number by number, where the key is one.
    """
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(open_as(path, "mode=ro")))
            # Lets SQLite read a file that is cut short, or has one bad table among good ones.
            connection.execute("PRAGMA writable_schema = ON")
        except sqlite3.Error as error:
            _log.info("Nothing can be read of %s: %s", path, error)
            return
        connection.text_factory = _text
        yield from _readable(partial(_select, connection, table, key), key)


def _text(raw: bytes) -> str:
    """Decode a text of which a byte has changed; whoever takes the row judges it."""
    return raw.decode(errors="replace")


def _readable(select: Callable[..., Iterator[tuple[object, Row]]], key: str) -> Iterator[Row]:
    seen: set[object] = set()
    ends: list[object] = []
    for order in ("ASC", "DESC"):
        last = None
        by = ", ".join(f"{one} {order}" for one in key.split(", "))
        for last, row in select(f"ORDER BY {by}"):
            if last in seen:
                return  # both ways met: nothing lies between
            seen.add(last)
            yield row
        ends.append(last)
    front, back = ends
    if isinstance(back, int):
        first = front + 1 if isinstance(front, int) else min(0, back)
        for number in range(first, min(back, first + PROBES)):
            for _, row in select(f"WHERE {key} = ?", number):
                yield row


def _select(
    connection: sqlite3.Connection, table: str, key: str, which: str, *values: int
) -> Iterator[tuple[object, Row]]:
    """Yield rows, each with what ``key`` orders it by, until one cannot be read."""
    keys = key.count(",") + 1
    try:
        cursor = connection.execute(f"SELECT {key}, * FROM {table} NOT INDEXED {which}", values)
        names = [one[0] for one in cursor.description[keys:]]
        for found in cursor:
            by = found[0] if keys == 1 else found[:keys]
            yield by, dict(zip(names, found[keys:], strict=True))
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        _log.debug("A row of %s cannot be read: %s", table, error)
