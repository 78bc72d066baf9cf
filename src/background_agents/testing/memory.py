"""Storage that lives as long as the test: the fakes of the ports that keep something.

They pass the same contract suites as the real ones. Set ``failure`` to make every
operation raise it until it is None again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from background_agents.adapters.files.artifacts import MarkdownArtifacts, body, render
from background_agents.domain import delegation as domain
from background_agents.domain.changes import ABSENT, BY_USERS, Delta, Image, Kind, Segment, Window
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    ContentGone,
    IdTaken,
    InvalidRequest,
    StaleVersion,
    StoreUnavailable,
    quote,
)
from background_agents.domain.events import Event, Registered
from background_agents.domain.ids import is_readable_id
from background_agents.domain.notice import Notice, NoticeState
from background_agents.ports.storage import Change, Lease, Line, Piece

_SETTLED = (NoticeState.CONFIRMED, NoticeState.DROPPED)


class MemoryStore:
    """``DelegationStore`` in dictionaries."""

    def __init__(self) -> None:
        self.failure: StoreUnavailable | None = None
        self._delegations: dict[str, Delegation] = {}
        self._events: dict[str, list[Event]] = {}
        self._notices: dict[str, Notice] = {}
        self._pieces: dict[str, dict[str, str]] = {}
        self._leases: dict[str, Lease] = {}

    async def register(self, event: Registered) -> Delegation:
        self._check()
        if event.id in self._delegations:
            raise IdTaken(event.id)
        delegation = domain.register(event)
        self._delegations[event.id] = delegation
        self._events[event.id] = [event]
        return delegation

    async def commit(self, change: Change) -> None:
        self._check()
        stored = self._delegations.get(change.after.id)
        if stored is None or stored.version != change.expected_version:
            raise StaleVersion(change.after.id, change.expected_version)
        self._delegations[stored.id] = change.after
        if change.after.is_terminal:
            self._pieces.pop(stored.id, None)
        self._events[stored.id].extend(change.events)
        self._notices.update((notice.id, notice) for notice in change.notices)

    async def keep(self, pieces: Sequence[Piece]) -> None:
        self._check()
        for piece in pieces:
            stored = self._delegations.get(piece.delegation)
            if stored is not None and not stored.is_terminal:
                kept = self._pieces.setdefault(piece.delegation, {})
                kept[piece.message] = kept.get(piece.message, "")[: piece.start] + piece.text

    async def kept(self, delegation: str) -> Mapping[str, str]:
        self._check()
        return dict(self._pieces.get(delegation, {}))

    async def find(self, delegation: str, root_session: str) -> Delegation | None:
        self._check()
        found = self._delegations.get(delegation)
        return found if found and found.root_session == root_session else None

    async def get(self, delegation: str) -> Delegation | None:
        self._check()
        return self._delegations.get(delegation)

    async def with_session(self, session: str) -> Delegation | None:
        return next((one for one in self._newest_first() if one.session == session), None)

    async def page(self, root_session: str, limit: int) -> tuple[list[Line], int]:
        mine = [one for one in self._newest_first() if one.root_session == root_session]
        return [Line.of(one) for one in mine[: max(limit, 0)]], len(mine)

    async def newest(
        self, limit: int, root_session: str | None = None, *, only_unread: bool = False
    ) -> list[Delegation]:
        found = [one for one in self._newest_first() if root_session in (None, one.root_session)]
        return [one for one in found[: max(limit, 0)] if one.is_unread or not only_unread]

    async def newest_event(self) -> int:
        self._check()
        return sum(map(len, self._events.values()))

    async def unfinished(self) -> list[Delegation]:
        active = [one for one in self._newest_first() if not one.is_terminal]
        return list(reversed(active))

    async def ended_in(self, tree: str) -> list[Delegation]:
        return [one for one in self._newest_first()[::-1] if one.tree == tree and one.is_terminal]

    async def remaining(self, supervisor: str) -> int:
        mine = [one for one in self._newest_first() if one.parent_session == supervisor]
        return sum(not one.is_terminal for one in mine)

    async def spent(self, since: datetime) -> Mapping[str, float]:
        self._check()
        return {
            one.id: one.usage.cost_usd
            for one in self._delegations.values()
            if one.ended_at is None or one.ended_at >= since
        }

    async def history(self, delegation: str) -> list[Event]:
        self._check()
        return list(self._events.get(delegation, ()))

    async def due(self, supervisor: str | None = None) -> list[Notice]:
        self._check()
        waiting = [one for one in self._notices.values() if one.state not in _SETTLED]
        return [one for one in waiting if supervisor in (None, one.supervisor)]

    async def assign(self, notices: Sequence[Notice]) -> list[Notice]:
        for stored, given in self._unsettled(notices):
            if stored.message is None:
                self._notices[stored.id] = replace(
                    stored, state=NoticeState.ASSIGNED, message=given.message, text=given.text
                )
        return [self._notices[one.id] for one in notices if one.id in self._notices]

    async def settle(self, notices: Sequence[Notice]) -> None:
        for stored, given in self._unsettled(notices):
            self._notices[stored.id] = replace(stored, state=given.state)

    async def claim(self, lease: Lease) -> None:
        self._check()
        self._leases[lease.owner] = lease

    async def renew(self, lease: Lease) -> bool:
        self._check()
        if lease.owner not in self._leases:
            return False
        self._leases[lease.owner] = lease
        return True

    async def leases(self) -> list[Lease]:
        self._check()
        return list(self._leases.values())

    async def revoke(self, lease: Lease) -> bool:
        self._check()
        if self._leases.get(lease.owner) != lease:
            return False
        del self._leases[lease.owner]
        return True

    async def close(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _newest_first(self) -> list[Delegation]:
        self._check()
        return list(reversed(self._delegations.values()))

    def _unsettled(self, notices: Sequence[Notice]) -> list[tuple[Notice, Notice]]:
        """Pair each stored notice that has not arrived with the one that was given."""
        self._check()
        pairs = [(self._notices[one.id], one) for one in notices if one.id in self._notices]
        return [(stored, given) for stored, given in pairs if stored.state not in _SETTLED]


class MemoryArtifacts:
    """``ArtifactStore`` in a dictionary, with the texts and paths of the real one."""

    def __init__(self, root: Path = Path("/artifacts")) -> None:
        self.failure: StoreUnavailable | None = None
        self._names = MarkdownArtifacts(root)
        self._texts: dict[Path, str] = {}

    async def write(self, delegation: Delegation, result: str) -> Path:
        path = self.path(delegation)
        self._check()
        self._texts[path] = render(delegation, result)
        return path

    async def read(self, delegation: Delegation) -> str:
        path = self.path(delegation)
        self._check()
        if path not in self._texts:
            raise StoreUnavailable(f"The artifact {path} was never written.")
        return self._texts[path]

    async def result(self, delegation: Delegation) -> str:
        return body(await self.read(delegation))

    def path(self, delegation: Delegation) -> Path:
        return self._names.path(delegation)

    def folder(self, root_session: str) -> Path:
        return self._names.folder(root_session)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


class MemoryJournal:
    """``ChangeJournal`` in dictionaries."""

    def __init__(self) -> None:
        self.failure: StoreUnavailable | None = None
        self._segments: dict[str, list[Segment]] = {}
        self._windows: dict[str, dict[str, Window]] = {}
        self._contents: dict[str, bytes] = {}

    def segments(self, delegation: str) -> list[Segment]:
        self._check(delegation)
        return list(self._segments.get(delegation, ()))

    def add(self, delegation: str, segments: Sequence[Segment]) -> None:
        self._check(delegation)
        self._segments.setdefault(delegation, []).extend(segments)

    def open(self, delegation: str, window: Window) -> None:
        self._check(delegation)
        self._windows.setdefault(delegation, {})[window.call] = window

    def close(self, delegation: str, call: str, segments: Sequence[Segment] = ()) -> None:
        self.add(delegation, segments)
        self._windows.get(delegation, {}).pop(call, None)

    def windows(self, delegation: str) -> list[Window]:
        self._check(delegation)
        return list(self._windows.get(delegation, {}).values())

    def taken_back(self, since: datetime) -> list[Segment]:
        everything = (one for segments in self._segments.values() for one in segments)
        return [one for one in everything if one.by in BY_USERS and one.at >= since]

    def keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self._contents[digest] = content
        return digest

    def content(self, digest: str) -> bytes:
        if digest not in self._contents:
            raise ContentGone(digest)
        return self._contents[digest]

    def _check(self, delegation: str) -> None:
        if self.failure is not None:
            raise self.failure
        if not is_readable_id(delegation):
            raise InvalidRequest(f"{quote(delegation)} is not a delegation's id.")


class MemoryTree:
    """``WorkingTree`` in a dictionary, of files by their names."""

    is_alone = True

    def __init__(self, top: str, journal: MemoryJournal) -> None:
        self.top = top
        self.files: dict[str, bytes] = {}
        self._journal = journal
        self._seen: dict[str, bytes] = {}

    def name(self, directory: str, path: str) -> str:
        whole = str(PurePosixPath(directory, path))
        return whole.removeprefix(f"{self.top}/")

    def image(self, name: str) -> Image:
        return self._image(self.files.get(name))

    def look(self, *, keep: bool) -> list[Delta]:
        seen, self._seen = self._seen, dict(self.files)
        if not keep:
            return []
        pairs = ((one, seen.get(one), self._seen.get(one)) for one in sorted({*seen, *self._seen}))
        return [Delta(one, self._image(a), self._image(b)) for one, a, b in pairs if a != b]

    def _image(self, content: bytes | None) -> Image:
        if content is None:
            return ABSENT
        return Image(Kind.FILE, self._journal.keep(content), 0o644, len(content))


class MemoryTrees:
    """``WorkingTrees``: each directory is one."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self._journal = journal or MemoryJournal()
        self._trees: dict[str, MemoryTree] = {}

    def of(self, directory: str) -> MemoryTree:
        if directory not in self._trees:
            self._trees[directory] = MemoryTree(directory, self._journal)
        return self._trees[directory]
