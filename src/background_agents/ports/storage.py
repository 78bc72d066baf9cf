"""Where delegations are kept: records with events and outbox, and results as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation
from background_agents.domain.events import Event, Registered
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status, is_unread


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A move of one delegation, to be stored as a whole or not at all."""

    after: Delegation
    events: tuple[Event, ...]
    """What led from the stored version to ``after``, in order."""
    notices: tuple[Notice, ...] = ()
    """What the same commit puts into the outbox."""

    @property
    def expected_version(self) -> int:
        return self.after.version - len(self.events)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Text that a running agent has streamed, beginning at a character of its message."""

    delegation: str
    message: str
    start: int
    text: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of a process to the delegations that it owns."""

    owner: str
    host: str
    """The process whose agents it supervises."""
    boot: str
    """The run of the machine in which ``renewed_s`` means something."""
    renewed_s: float
    """When it was renewed last, as ``Clock.monotonic_s`` says."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a delegation."""

    id: str
    title: str
    agent: str
    status: Status
    summary: str
    registered_at: datetime
    ended_at: datetime | None
    read_at: datetime | None
    is_cut: bool = False
    """The model did not end its answer by itself, so that it may not be whole."""
    changes: Changes = Changes()
    """What stands of what it changed."""
    above: str = ""
    """The delegation whose agent delegated it; empty for a conversation's own."""

    @classmethod
    def of(cls, one: Delegation) -> Line:
        """Return the line of a delegation."""
        return cls(
            id=one.id,
            title=one.title,
            agent=one.agent,
            status=one.status,
            summary=one.summary,
            registered_at=one.registered_at,
            ended_at=one.ended_at,
            read_at=one.read_at,
            is_cut=one.is_cut,
            changes=one.changes,
            above=one.above,
        )

    @property
    def is_unread(self) -> bool:
        return is_unread(self.status, self.read_at)


class DelegationStore(Protocol):
    """Keeps records, events and the outbox of one project. Every commit is durable on return.

    Raises ``StoreUnavailable`` when the storage fails; nothing is then half stored.
    """

    async def register(self, event: Registered) -> Delegation:
        """Store a new delegation. Raises ``IdTaken``."""

    async def commit(self, change: Change) -> None:
        """Store a change. Raises ``StaleVersion`` when the stored version is another."""

    async def keep(self, pieces: Sequence[Piece]) -> None:
        """Store what running agents have streamed; it goes when their delegation ends."""

    async def kept(self, delegation: str) -> Mapping[str, str]:
        """Return the text that was kept of each message of a running delegation."""

    async def find(self, delegation: str, root_session: str) -> Delegation | None:
        """Return the delegation if it belongs to ``root_session``."""

    async def get(self, delegation: str) -> Delegation | None:
        """Return the delegation, whosever it is. Not for what a model asks."""

    async def with_session(self, session: str) -> Delegation | None:
        """Return the newest delegation that ran in this child session."""

    async def page(self, root_session: str, limit: int) -> tuple[list[Line], int]:
        """Return the newest ``limit`` lines of a root session, and how many it has in all."""

    async def newest(
        self, limit: int, root_session: str | None = None, *, only_unread: bool = False
    ) -> list[Delegation]:
        """Return the newest ``limit`` delegations, of one root session or of all, newest first.

        ``only_unread``: of these only those that have ended and were not read.
        """

    async def newest_event(self) -> int:
        """Return a number that is another one once any process has stored an event."""

    async def unfinished(self) -> list[Delegation]:
        """Return every delegation that is not terminal, oldest first."""

    async def ended_in(self, tree: str) -> list[Delegation]:
        """Return every delegation that has worked in an isolated tree and has ended."""

    async def remaining(self, supervisor: str) -> int:
        """Count the delegations of this supervisor session that are not terminal."""

    async def spent(self, since: datetime) -> Mapping[str, float]:
        """Return the cost, in US dollars, of each that has ended since then or has not ended."""

    async def history(self, delegation: str) -> list[Event]:
        """Return all events of a delegation, oldest first."""

    async def due(self, supervisor: str | None = None) -> list[Notice]:
        """Return the notices that are neither confirmed nor dropped, oldest first."""

    async def assign(self, notices: Sequence[Notice]) -> list[Notice]:
        """Store message id and text of notices that are about to be sent.

        The first assignment of a notice counts. Returns the notices as they now are, so
        that whoever comes second sends the same.
        """

    async def settle(self, notices: Sequence[Notice]) -> None:
        """Store that notices were confirmed or dropped, by their ``state``."""

    async def claim(self, lease: Lease) -> None:
        """Store the claim of a process that has begun."""

    async def renew(self, lease: Lease) -> bool:
        """Store that a process renews its claim; return False if it has none any more."""

    async def leases(self) -> list[Lease]:
        """Return all claims, those of processes that have ended included."""

    async def revoke(self, lease: Lease) -> bool:
        """Take a claim away; return False if it was renewed since it was read."""

    async def close(self) -> None:
        """Finish what was begun and let go of the storage."""


class ArtifactStore(Protocol):
    """Keeps results as files that people can read, complete without the database."""

    async def write(self, delegation: Delegation, result: str) -> Path:
        """Write the artifact durably and atomically; return where it is."""

    async def read(self, delegation: Delegation) -> str:
        """Return the artifact but for what people have noted for themselves.

        Raises ``StoreUnavailable`` when there is none.
        """

    async def result(self, delegation: Delegation) -> str:
        """Return the artifact without its front matter, as ``read``."""

    def path(self, delegation: Delegation) -> Path:
        """Return where the artifact is, or will be."""

    def folder(self, root_session: str) -> Path:
        """Return the folder that holds a root session's artifacts."""
