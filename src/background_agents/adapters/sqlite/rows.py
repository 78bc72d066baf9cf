"""What each operation of the store does to the tables, as plain functions of a connection.

They run on the writer's thread inside its transaction, and know neither threads nor
asyncio nor when anything is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from background_agents.adapters.sqlite.schema import QUERIES, Value, scalar
from background_agents.domain import delegation as domain
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import IdTaken, StaleVersion
from background_agents.domain.events import AnyEvent, Event, Registered
from background_agents.domain.notice import Notice, NoticeState
from background_agents.ports.storage import Change, Lease, Line, Piece

_encode = msgspec.json.Encoder().encode
read_delegation = msgspec.json.Decoder(Delegation).decode
read_notice = msgspec.json.Decoder(Notice).decode
read_event = msgspec.json.Decoder[Event](AnyEvent).decode
"""What a column holds, decoded."""

_read_changes = msgspec.json.Decoder(Changes).decode

_REPEATED = (
    *("id", "version", "owner", "root_session", "parent_session", "session"),
    *("agent", "title", "summary"),
)
"""What stands in a delegation's row as it does in its record."""

_OPEN = (NoticeState.QUEUED, NoticeState.ASSIGNED)


def register(connection: sqlite3.Connection, event: Registered) -> Delegation:
    """Insert a delegation and its first event."""
    delegation = domain.register(event)
    row = columns(delegation)
    if connection.execute(QUERIES["insert_delegation"], row).rowcount == 0:
        raise IdTaken(delegation.id)
    _insert_events(connection, delegation.id, 1, (event,))
    return delegation


def commit(connection: sqlite3.Connection, change: Change) -> None:
    """Store a change if the stored version is the one that it starts from."""
    after, expected = change.after, change.expected_version
    row = columns(after) | {"expected": expected}
    if connection.execute(QUERIES["update_delegation"], row).rowcount == 0:
        raise StaleVersion(after.id, expected)
    _insert_events(connection, after.id, expected + 1, change.events)
    connection.executemany(QUERIES["insert_notice"], map(_notice_row, change.notices))
    if after.is_terminal:
        connection.execute(QUERIES["drop_pieces"], (after.id,))


def keep(connection: sqlite3.Connection, pieces: Sequence[Piece]) -> None:
    """Append what was streamed to what is kept; nothing is kept of what has ended."""
    rows = [(one.delegation, one.message, one.start, one.text, one.delegation) for one in pieces]
    connection.executemany(QUERIES["keep_piece"], rows)


def kept(connection: sqlite3.Connection, delegation: str) -> dict[str, str]:
    """Read the kept text of each message."""
    found: dict[str, str] = {}
    for message, start, text in connection.execute(QUERIES["pieces"], (delegation,)):
        found[message] = found.get(message, "")[:start] + text
    return found


def find(connection: sqlite3.Connection, delegation: str, root_session: str) -> Delegation | None:
    """Read a delegation that is visible from ``root_session``."""
    return _one(connection, "find", delegation, root_session)


def get(connection: sqlite3.Connection, delegation: str) -> Delegation | None:
    """Read a delegation."""
    return _one(connection, "get", delegation)


def with_session(connection: sqlite3.Connection, session: str) -> Delegation | None:
    """Read the newest delegation that ran in ``session``."""
    return _one(connection, "with_session", session)


def page(connection: sqlite3.Connection, root_session: str, limit: int) -> list[Line]:
    """Read the newest lines of a root session."""
    # SQLite takes a negative limit as none.
    return [line(row) for row in connection.execute(QUERIES["page"], (root_session, max(limit, 0)))]


def newest(
    connection: sqlite3.Connection,
    limit: int,
    root_session: str | None = None,
    *,
    only_unread: bool = False,
) -> list[Delegation]:
    """Read the newest delegations."""
    query = "newest_records" if root_session is None else "newest_records_of"
    values = {"limit": max(limit, 0), "root": root_session, "unread": only_unread}
    return [read_delegation(row[0]) for row in connection.execute(QUERIES[query], values)]


def newest_event(connection: sqlite3.Connection) -> int:
    """Read which event was stored last."""
    return scalar(connection, QUERIES["newest_event"])


def unfinished(connection: sqlite3.Connection) -> list[Delegation]:
    """Read what is not terminal."""
    return [read_delegation(row[0]) for row in connection.execute(QUERIES["unfinished"])]


def ended_in(connection: sqlite3.Connection, tree: str) -> list[Delegation]:
    """Read what has ended that has worked in an isolated tree."""
    text = b'"tree":' + msgspec.json.encode(tree)
    found = connection.execute(QUERIES["ended_in_tree"], (tree, text))
    return [one for (record,) in found if (one := read_delegation(record)).tree == tree]


def remaining(connection: sqlite3.Connection, supervisor: str) -> int:
    """Count what is not terminal of one supervisor."""
    return scalar(connection, QUERIES["remaining"], supervisor)


def spent(connection: sqlite3.Connection, since: datetime) -> Mapping[str, float]:
    """Read what was spent by those that have ended since, or have not."""
    found = connection.execute(QUERIES["spent"], (since.isoformat(),))
    return {one.id: one.usage.cost_usd for one in (read_delegation(row[0]) for row in found)}


def history(connection: sqlite3.Connection, delegation: str) -> list[Event]:
    """Read all events of a delegation."""
    return [read_event(row[0]) for row in connection.execute(QUERIES["history"], (delegation,))]


def due(connection: sqlite3.Connection, supervisor: str | None = None) -> list[Notice]:
    """Read the notices that have not arrived."""
    query, whose = ("due", ()) if supervisor is None else ("due_to", (supervisor,))
    return [_stored_notice(row) for row in connection.execute(QUERIES[query], whose)]


def notices_of(connection: sqlite3.Connection, delegations: Sequence[str]) -> list[Notice]:
    """Read all notices of some delegations, those that have arrived included."""
    names = _encode(delegations).decode()
    return [_stored_notice(row) for row in connection.execute(QUERIES["notices_of"], (names,))]


def assign(connection: sqlite3.Connection, notices: Sequence[Notice]) -> list[Notice]:
    """Fix message and text of notices that have none, and read them all back."""
    rows = [(NoticeState.ASSIGNED.value, one.message, one.text, one.id) for one in notices]
    connection.executemany(QUERIES["assign"], rows)
    found = (connection.execute(QUERIES["notice"], (one.id,)).fetchone() for one in notices)
    return [_stored_notice(row) for row in found if row is not None]


def settle(connection: sqlite3.Connection, notices: Sequence[Notice]) -> None:
    """Take notices out of the outbox."""
    rows = [(one.state.value, one.state in _OPEN, one.id) for one in notices]
    connection.executemany(QUERIES["settle"], rows)


def claim(connection: sqlite3.Connection, lease: Lease) -> None:
    """Store the claim of a process."""
    row = (lease.owner, lease.host, lease.boot, lease.renewed_s)
    connection.execute(QUERIES["insert_lease"], row)


def renew(connection: sqlite3.Connection, lease: Lease) -> bool:
    """Renew a claim that is still there."""
    return _changed(connection, "renew_lease", (lease.renewed_s, lease.owner))


def leases(connection: sqlite3.Connection) -> list[Lease]:
    """Read all claims."""
    found = connection.execute(QUERIES["leases"])
    return [Lease(owner=o, host=h, boot=b, renewed_s=s) for o, h, b, s in found]


def revoke(connection: sqlite3.Connection, lease: Lease) -> bool:
    """Take a claim away that is as it was read."""
    return _changed(connection, "revoke_lease", (lease.owner, lease.renewed_s))


def _changed(connection: sqlite3.Connection, query: str, row: tuple[str | float, ...]) -> bool:
    return connection.execute(QUERIES[query], row).rowcount > 0


def _stored_notice(row: tuple[bytes, str, str | None, str | None]) -> Notice:
    record, state, message, text = row
    return msgspec.structs.replace(
        read_notice(record), state=NoticeState(state), message=message, text=text
    )


def columns(delegation: Delegation) -> dict[str, Value]:
    """Return the row of a delegation."""
    repeated = {name: getattr(delegation, name) for name in _REPEATED}
    return repeated | {
        "active": not delegation.is_terminal,
        "status": delegation.status.value,
        "registered_at": delegation.registered_at.isoformat(),
        "ended_at": _text(delegation.ended_at),
        "read_at": _text(delegation.read_at),
        "record": _encode(delegation),
    }


def _insert_events(
    connection: sqlite3.Connection, delegation: str, first: int, events: Sequence[Event]
) -> None:
    rows = [
        (delegation, seq, event.at.isoformat(), type(event).__name__, _encode(event))
        for seq, event in enumerate(events, first)
    ]
    connection.executemany(QUERIES["insert_event"], rows)


def _notice_row(notice: Notice) -> tuple[Value, ...]:
    return (
        notice.id,
        notice.delegation,
        notice.supervisor,
        notice.state in _OPEN,
        notice.state.value,
        notice.message,
        notice.text,
        _encode(notice),
    )


def line(row: Sequence[Value]) -> Line:
    """Return what a list shows, of a row's columns in the order of its fields."""
    shown: dict[str, object] = dict(zip(Line.__struct_fields__, row, strict=True))
    changes = shown["changes"]  # as bytes, which need be no text where the disk has changed one
    shown["changes"] = _read_changes(changes if isinstance(changes, bytes | str) else "{}")
    return msgspec.convert(shown, Line, strict=False)


def _one(connection: sqlite3.Connection, query: str, *values: str) -> Delegation | None:
    row = connection.execute(QUERIES[query], values).fetchone()
    return read_delegation(row[0]) if row else None


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
