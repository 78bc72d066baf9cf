"""What a client of the control socket may call: calls in, operations for its user out.

Who acts is looked up by the client's process, whatever it says of itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import msgspec

from background_agents.control import protocol, shells
from background_agents.control.shells import Starter
from background_agents.domain.actor import Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    InvalidRequest,
    NotServed,
    RunElsewhere,
    RuntimeUnreachable,
)
from background_agents.rpc.connection import Connection
from background_agents.rpc.messages import RpcError
from background_agents.service.panel import Panel
from background_agents.service.user import UserDelegations
from background_agents.views.errors import for_people
from background_agents.views.json import (
    ActiveSheet,
    PeekSheet,
    Sheet,
    active_sheet,
    peek_sheet,
    request_sheet,
)
from background_agents.views.live import Tail
from background_agents.views.panel_actions import Entry, Page


class Client:
    """What one client may call."""

    connection: Connection

    def __init__(
        self,
        users: Callable[[], Sequence[UserDelegations]],
        about: Callable[[], protocol.About],
        pid: int,
    ) -> None:
        self._users = users
        self._about = about
        self._pid = pid
        self._starter: Starter | None = None
        self._panel: Panel | None = None
        self._watching: asyncio.Task[None] | None = None
        self.calls = {
            protocol.ABOUT: self.about,
            protocol.LIVE: self.live,
            protocol.PEEK: self.peek,
            protocol.FOLLOW: self.follow,
            protocol.TRANSCRIPT: self.transcript,
            protocol.CHANGE: self.change,
            protocol.STEER: self.steer,
            protocol.ANSWER: self.answer,
            protocol.EXTEND: self.extend,
            protocol.ANNOTATE: self.annotate,
            protocol.STOP: self.stop,
            protocol.STOP_ALL: self.stop_all,
            protocol.WAIT: self.wait,
            protocol.DELEGATE: self.delegate,
            protocol.WATCH: self.watch,
            protocol.ENTRIES: self.entries,
            protocol.READ: self.read,
        }

    async def _check(self, act: str, surface: str = "") -> Actor:
        """Return who acts by the client, if whoever started it may do what it asks for.

        Of a person it may say where they are.
        """
        starter = await self._who()
        shells.check(act, starter)
        if starter is not Starter.PERSON:
            return Actor.SUPERVISOR
        return Actor.PANEL if surface == protocol.PANEL else Actor.COMMAND_LINE

    async def _who(self) -> Starter:
        # Whatever the client says of itself: it is looked up.
        if self._starter is None:
            self._starter = await asyncio.to_thread(shells.starter_of, self._pid)
        return self._starter

    async def about(self, _raw: msgspec.Raw) -> protocol.About:
        return self._about()

    async def live(self, _raw: msgspec.Raw) -> list[ActiveSheet]:
        return [active_sheet(one) for user in self._users() for one in await user.live()]

    async def peek(self, raw: msgspec.Raw) -> PeekSheet:
        which = msgspec.json.decode(raw, type=protocol.Which)
        return peek_sheet(await self._of_project(which.project, which.id).look(which.id))

    async def follow(self, raw: msgspec.Raw) -> Sheet:
        followed = msgspec.json.decode(raw, type=protocol.Followed)

        def write(more: Tail) -> None:
            wrote = protocol.Wrote(text=more.text, position=more.position)
            self.connection.notify(protocol.WROTE, wrote)

        user = self._of_project(followed.project, followed.id)
        ended = user.follow(followed.id, write, followed.seen, from_prompt=followed.from_prompt)
        return user.sheet(await ended)

    async def transcript(self, raw: msgspec.Raw) -> str:
        which = msgspec.json.decode(raw, type=protocol.Which)
        return await self._of_project(which.project, which.id).transcript(which.id)

    async def change(self, raw: msgspec.Raw) -> Sheet:
        known = msgspec.json.decode(raw, type=protocol.Known)
        user = self._of_project(known.project, known.id)
        limit = timedelta(seconds=known.limit_s)
        return user.sheet(await user.change(known.id, known.version, limit))

    async def steer(self, raw: msgspec.Raw) -> Sheet:
        said = msgspec.json.decode(raw, type=protocol.Said)
        by = await self._check(protocol.STEER, said.surface)
        user = self._of_project(said.project, said.id)
        return user.sheet(await user.steer(said.id, said.text, by=by))

    async def answer(self, raw: msgspec.Raw) -> protocol.Answered:
        said = msgspec.json.decode(raw, type=protocol.Said)
        by = await self._check(protocol.ANSWER, said.surface)
        user = self._of_project(said.project, said.id)
        found = await user.answer(said.id, said.text, said.request, by=by)
        asked = found.ask.text if found.ask else ""
        return protocol.Answered(asked=asked, delegation=user.sheet(found.delegation))

    async def extend(self, raw: msgspec.Raw) -> Sheet:
        longer = msgspec.json.decode(raw, type=protocol.Longer)
        by = await self._check(protocol.EXTEND, longer.surface)
        user = self._of_project(longer.project, longer.id)
        return user.sheet(await user.extend(longer.id, longer.minutes, by=by))

    async def annotate(self, raw: msgspec.Raw) -> Sheet:
        annotated = msgspec.json.decode(raw, type=protocol.Named)
        by = await self._check(protocol.ANNOTATE, annotated.surface)
        user = self._of_project(annotated.project, annotated.id)
        return user.sheet(await user.annotate(annotated.id, annotated.change, by=by))

    async def stop(self, raw: msgspec.Raw) -> Sheet:
        which = msgspec.json.decode(raw, type=protocol.Which)
        by = await self._check(protocol.STOP, which.surface)
        user = self._of_project(which.project, which.id)
        return user.sheet(await user.stop(which.id, by=by))

    async def stop_all(self, raw: msgspec.Raw) -> list[protocol.Stopped]:
        several = msgspec.json.decode(raw, type=protocol.Several)
        by = await self._check(protocol.STOP, several.surface)
        user = self._of_project(several.project, *several.ids)
        return [
            protocol.Stopped(delegation=user.sheet(one))
            if isinstance(one, Delegation)
            else protocol.Stopped(refused=for_people(one))
            for one in await user.stop_all(several.ids, by=by)
        ]

    async def wait(self, raw: msgspec.Raw) -> list[Sheet]:
        awaited = msgspec.json.decode(raw, type=protocol.Awaited)

        def asks(one: Delegation) -> None:
            shown = tuple(map(request_sheet, one.requests))
            self.connection.notify(protocol.ASKS, protocol.Asks(id=one.id, requests=shown))

        user = self._of_project(awaited.project, *awaited.ids)
        limit = timedelta(seconds=awaited.limit_s)
        found = await user.wait(awaited.ids, limit, asks, for_any=awaited.for_any)
        return [user.sheet(one) for one in found]

    async def delegate(self, raw: msgspec.Raw) -> Sheet:
        await self._check(protocol.DELEGATE)
        ordered = msgspec.json.decode(raw, type=protocol.Ordered)
        user = self._within(ordered.directory)
        return user.sheet(await user.delegate(ordered.directory, ordered.order))

    async def watch(self, raw: msgspec.Raw) -> None:
        wanted = msgspec.json.decode(raw, type=protocol.Watched)
        user = self._within(wanted.directory)
        panel = self._panel = user.panels.open(wanted.directory, wanted.session, self._panel)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])  # and with it the answer to the call before
        show = partial(self.connection.notify, protocol.SHOWN)
        watching = asyncio.create_task(panel.watch(wanted.columns, wanted.most, show))
        self._watching = watching
        try:
            await asyncio.wait([watching])
        finally:
            watching.cancel()
        if not watching.cancelled():  # else the next one has taken its place
            watching.result()

    async def entries(self, raw: msgspec.Raw) -> list[Entry]:
        looked = msgspec.json.decode(raw, type=protocol.Looked)
        panels = self._within(looked.directory).panels
        return await panels.entries(looked.directory, looked.session)

    async def read(self, raw: msgspec.Raw) -> Page:
        found = msgspec.json.decode(raw, type=protocol.From)
        user = self._of_project(found.project, found.id)
        is_person = await self._who() is Starter.PERSON
        return await user.read(found.id, found.offset, is_person=is_person)

    def _within(self, directory: str) -> UserDelegations:
        """Return what may be done in the project of a directory. Raises ``NotServed``."""
        for user in self._users():
            if directory in user.directories:
                return user
        raise NotServed(f"This OpenCode does not have {directory} open.")

    def _of_project(self, project: str, *ids: str) -> UserDelegations:
        """Return what may be done in a project. Raises ``InvalidRequest``."""
        for user in self._users():
            if user.project == project:
                return user
        raise RunElsewhere(ids[0]) if ids else InvalidRequest("Name a delegation.")


def translate(error: Exception) -> RpcError | None:
    if not isinstance(error, DelegationError):
        return None
    is_elsewhere = isinstance(error, NotServed | RuntimeUnreachable)
    return RpcError(protocol.NOT_HERE if is_elsewhere else protocol.REFUSED, for_people(error))
