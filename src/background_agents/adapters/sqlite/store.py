"""``DelegationStore`` on SQLite: hands each operation to the writer's thread.

What an operation does is in ``rows``, when it is committed in ``writer``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.counts import Counts
from background_agents.adapters.sqlite.rebuild import Files, no_files
from background_agents.adapters.sqlite.writer import Writer
from background_agents.domain.delegation import Delegation
from background_agents.domain.events import Event, Registered
from background_agents.domain.notice import Notice
from background_agents.ports.storage import Change, Lease, Line, Piece


class SqliteStore:
    """The delegations of one project in one database file.

    Belongs to the event loop that opened it. Several processes may have the same file open.
    """

    def __init__(self, writer: Writer) -> None:
        self._run = writer.run
        self._writer = writer
        self._counts = Counts()

    @classmethod
    async def open(cls, path: Path, files: Files = no_files) -> SqliteStore:
        """Open the database, created, migrated or rebuilt as needed.

        What ``files`` tell and the database does not know is taken in. Its folder becomes
        0700 and the file 0600.

        Raises:
            StoreUnavailable: it cannot be opened, or a newer version wrote it.
        """
        writer = Writer(path, files)
        await writer.start()
        return cls(writer)

    async def register(self, event: Registered) -> Delegation:
        return await self._run(partial(rows.register, event=event), writes=True)

    async def commit(self, change: Change) -> None:
        await self._run(partial(rows.commit, change=change), writes=True)

    async def keep(self, pieces: Sequence[Piece]) -> None:
        await self._run(partial(rows.keep, pieces=tuple(pieces)), writes=True)

    async def kept(self, delegation: str) -> Mapping[str, str]:
        return await self._run(partial(rows.kept, delegation=delegation), writes=False)

    async def find(self, delegation: str, root_session: str) -> Delegation | None:
        job = partial(rows.find, delegation=delegation, root=root_session)
        return await self._run(job, writes=False)

    async def get(self, delegation: str) -> Delegation | None:
        return await self._run(partial(rows.get, delegation=delegation), writes=False)

    async def with_session(self, session: str) -> Delegation | None:
        return await self._run(partial(rows.with_session, session=session), writes=False)

    async def page(self, root_session: str, limit: int) -> tuple[list[Line], int]:
        job = partial(rows.page, root=root_session, limit=limit, counts=self._counts)
        return await self._run(job, writes=False)

    async def unfinished(self) -> list[Delegation]:
        return await self._run(rows.unfinished, writes=False)

    async def remaining(self, supervisor: str) -> int:
        return await self._run(partial(rows.remaining, supervisor=supervisor), writes=False)

    async def history(self, delegation: str) -> list[Event]:
        return await self._run(partial(rows.history, delegation=delegation), writes=False)

    async def due(self, supervisor: str | None = None) -> list[Notice]:
        return await self._run(partial(rows.due, supervisor=supervisor), writes=False)

    async def assign(self, notices: Sequence[Notice]) -> list[Notice]:
        return await self._run(partial(rows.assign, notices=tuple(notices)), writes=True)

    async def settle(self, notices: Sequence[Notice]) -> None:
        await self._run(partial(rows.settle, notices=tuple(notices)), writes=True)

    async def claim(self, lease: Lease) -> None:
        await self._run(partial(rows.claim, lease=lease), writes=True)

    async def renew(self, lease: Lease) -> bool:
        return await self._run(partial(rows.renew, lease=lease), writes=True)

    async def leases(self) -> list[Lease]:
        return await self._run(rows.leases, writes=False)

    async def revoke(self, lease: Lease) -> bool:
        return await self._run(partial(rows.revoke, lease=lease), writes=True)

    async def close(self) -> None:
        """Finish what was begun and close the file. Closing twice is fine."""
        await self._writer.close()
