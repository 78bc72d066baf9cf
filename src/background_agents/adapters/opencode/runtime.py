"""What a runtime does alike on both lines of OpenCode: whose session is whose, and who listens."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from background_agents.adapters.opencode.memory import MAX_DEPTH
from background_agents.adapters.opencode.transport import Transport
from background_agents.domain.asking import Ask
from background_agents.domain.errors import MessagesUndone, NotFound
from background_agents.ports import runtime as port

Info = TypeVar("Info", covariant=True)
"""What a line tells of a session."""


class Sessions(Protocol[Info]):
    """OpenCode's answers about sessions, of which the reader learns."""

    async def session(self, session: str) -> Info:
        """Ask for a session. Raises ``NotFound``."""


class Reader(Protocol[Info]):
    """What is known of sessions by what events and answers have told."""

    @property
    def current(self) -> Mapping[str, Info]:
        """Sessions as they are now, where known."""

    @property
    def parents(self) -> Collection[str]:
        """The sessions of which OpenCode has told whether they have a parent."""

    @property
    def directories(self) -> Mapping[str, str]:
        """In which sessions work."""

    @property
    def live(self) -> Collection[str]:
        """The sessions that are followed."""

    def parent(self, session: str) -> str | None:
        """Return what a session is known to be below."""

    def is_undone(self, session: str) -> bool:
        """Return whether messages of a session are known to be undone."""


class SharedRuntime(ABC, Generic[Info]):
    """The part of ``AgentRuntime`` that does not know which line it serves."""

    reader: Reader[Info]
    api: Sessions[Info]
    _transport: Transport

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._listeners: list[port.Listener] = []
        self._placed: dict[str, str] = {}
        """The directories of sessions that work elsewhere than we do."""

    @abstractmethod
    async def _requests(self, session: str | None) -> list[Ask]:
        """Return what is asked in the directory of a session, or in our own."""

    @abstractmethod
    async def _open(self, directory: str) -> None:
        """Ask for something by which OpenCode opens a directory."""

    def subscribe(self, listener: port.Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _emit(self, event: port.RuntimeEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def guard(self, session: str, *, on: bool) -> None:
        self._transport.guard(session, on=on)

    async def lineage(self, session: str) -> tuple[str, ...]:
        chain = self.ancestors(session)
        for _ in range(MAX_DEPTH):
            if chain[-1] in self.reader.parents:
                break
            await self.api.session(chain[-1])  # which tells its parent
            chain = self.ancestors(session)
        return chain

    def ancestors(self, session: str) -> tuple[str, ...]:
        chain = [session]
        while len(chain) < MAX_DEPTH:
            parent = self.reader.parent(chain[-1])
            if parent is None or parent in chain:
                break
            chain.append(parent)
        return tuple(chain)

    async def _now(self, session: str) -> Info:
        """Return a session as it is now. Events tell; to ask takes 40 ms while a tool is called."""
        known = self.reader.current.get(session)
        return await self.api.session(session) if known is None else known

    def works_in(self, session: str, directory: str) -> None:
        self._placed[session] = directory

    async def _make_sure_it_is_heard(self, session: str) -> None:
        """Have a session's directory opened before something happens there that must be heard."""
        if directory := self._placed.get(session):
            await self._open(directory)
            await self._transport.opened(directory)

    def _directory_of(self, session: str) -> str:
        known = self.reader.directories.get(session)
        return known or self._placed.get(session, "")

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        """Raise ``MessagesUndone`` where a message would make an undo final."""
        with suppress(NotFound):  # which is told to whoever sends something there
            await self._now(session)
        if self.reader.is_undone(session):
            raise MessagesUndone(session)

    async def requests(self) -> Sequence[Ask]:
        # One session of each directory, and none for our own.
        places = {self._directory_of(one): one for one in self.reader.live} | {"": None}
        found = await asyncio.gather(*(self._requests(one) for one in places.values()))
        return list({ask.id: ask for asks in found for ask in asks}.values())
