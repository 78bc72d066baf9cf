"""Delegations that have ended, by the thousand, as a project has them after years.

They are written straight into the tables, by what the store itself writes with, since a
hundred thousand real ones would take hours. What they are is the same for all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import islice
from pathlib import Path

from background_agents.adapters.files.artifacts import render
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import connect
from background_agents.domain import events as ev
from background_agents.domain.delegation import apply
from background_agents.domain.delegation import register as registered_as
from background_agents.ports.storage import Change
from background_agents.views.model import artifact_body

TOGETHER = 500
"""Rows of one transaction: a few milliseconds, so that whoever else writes hardly waits."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

PROMPT = "Find out how the parser treats nested quotes, and what the tests say of it. " * 8
"""Some 600 characters."""

RESULT = "The parser keeps a stack, and the tests cover all but the empty string. " * 20


def told(
    number: int, root: str, *, owner: str, directory: str, project: str = "bench"
) -> tuple[ev.Registered, tuple[ev.Event, ...]]:
    """Return the events of one delegation that has completed and was read."""
    at = datetime.now(UTC) - timedelta(days=400) + timedelta(minutes=number)
    registered = ev.Registered(
        at=at,
        id=f"stored-{LETTERS[number % 26]}-{LETTERS[number // 26 % 26]}-{number}",
        project=project,
        directory=directory,
        root_session=root,
        parent_session=root,
        prompt=PROMPT,
        agent="general",
        title="A title of about the usual length, more or less",
        owner=owner,
    )
    later = (
        ev.Launched(at=at, session=f"ses_stored{number}", message=f"msg_stored{number}"),
        ev.Completed(
            at=at + timedelta(minutes=3),
            summary="A summary of the usual length. " * 5,
            usage=ev.Usage(input_tokens=12_000, output_tokens=400, tool_calls=12),
            result_chars=len(RESULT),
        ),
        ev.Read(at=at + timedelta(minutes=4)),
    )
    return registered, later


def store(
    database: Path,
    root: str,
    count: int,
    *,
    directory: str,
    folder: Path | None = None,
    first: int = 0,
) -> None:
    """Store ``count`` of them in a database, which others may have open; blocks.

    With ``folder`` each has its artifact in there, too. ``first`` is the number of the first:
    two with the same number have the same name.
    """
    numbers = range(first, first + count)
    tales = (told(number, root, owner="0:long ago", directory=directory) for number in numbers)
    with closing(connect(database)) as connection:
        while batch := list(islice(tales, TOGETHER)):
            _store_together(connection, batch, folder)


Tale = tuple[ev.Registered, tuple[ev.Event, ...]]


def _store_together(
    connection: sqlite3.Connection, batch: Iterable[Tale], folder: Path | None
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for registered, later in batch:
        rows.register(connection, registered)
        after = reduce(apply, later, registered_as(registered))
        rows.commit(connection, Change(after=after, events=later))
        if folder is not None:
            place = folder / after.root_session / f"{after.id}.md"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(render(after, artifact_body(after, RESULT)), "utf-8")
    connection.execute("COMMIT")
