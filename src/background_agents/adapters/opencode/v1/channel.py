"""A supervisor's OpenCode session as a ``SupervisorChannel``.

A notice is a synthetic text part, which the model reads and the TUI hides. The receipt is
the message itself, seen in the session's events or, failing those, in its messages.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from background_agents.adapters.opencode.memory import remember
from background_agents.adapters.opencode.v1 import wire
from background_agents.adapters.opencode.v1.api import Api
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.domain.errors import NotFound, RuntimeUnreachable, SupervisorGone
from background_agents.ports import runtime as port
from background_agents.ports.supervisor import OutgoingMessage

log = logging.getLogger(__name__)

RECEIPT_LIMIT_S = 5.0
"""The message shows in the events within milliseconds of being accepted; a cold instance
was seen to take over one second."""

WIND_UP_LIMIT_S = 3.0
"""How long a failed turn may take to be wound up: 50 to 250 ms, 2.5 s were seen. What reaches its
session before that is stored, and wakes nobody."""

NEWEST = 20
"""How many messages of a supervisor are looked at for its newest user message."""


class OpenCodeChannel:
    """Reaches the supervisors of one project, as ``SupervisorChannel`` says."""

    def __init__(self, runtime: OpenCodeRuntime) -> None:
        self._api: Api = runtime.api
        self._reader = runtime.reader
        self._runtime = runtime
        self._awaited: dict[str, asyncio.Event] = {}
        self._stopped_by_user: dict[str, str] = {}
        """Sessions whose user aborted them, with the newest message that is no new turn."""
        self._has_turns: dict[str, bool] = {}
        """Sessions in which a model has answered, and so can be woken."""
        self._winding_up: dict[str, asyncio.Event] = {}
        """Sessions whose turn has failed, and what will tell that the error is stored."""
        runtime.subscribe(self._hear)

    async def deliver(self, message: OutgoingMessage) -> None:
        await self._wound_up(message.session)
        seen = self._awaited[message.message] = asyncio.Event()
        try:
            body = await self._body(message)
            # Last of all, for OpenCode itself does not refuse.
            await self.make_sure_nothing_is_undone(message.session)
            await self._api.prompt(message.session, body)
            async with asyncio.timeout(RECEIPT_LIMIT_S):
                await seen.wait()
        except TimeoutError:
            await self._look_up(message)
        except NotFound as error:
            raise SupervisorGone(message.session) from error
        finally:
            del self._awaited[message.message]

    async def _wound_up(self, session: str) -> None:
        """Return once a turn that has failed is over; one without any message tells no end."""
        if (stored := self._winding_up.get(session)) is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(WIND_UP_LIMIT_S):
                await stored.wait()
        self._winding_up.pop(session, None)

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        await self._runtime.make_sure_nothing_is_undone(session)

    async def toast(self, title: str, message: str, variant: str) -> None:
        await self._api.toast(title, message, variant)

    async def _body(self, message: OutgoingMessage) -> dict[str, object]:
        newest = await self._newest_user_message(message.session)
        stopped = message.session in self._stopped_by_user
        if stopped:
            self._stopped_by_user[message.session] = message.message
        body: dict[str, object] = {
            "messageID": message.message,
            # An abort by the user holds until the user speaks again. And where no model has ever
            # answered, as in the session of a delegation from the command line, none waits.
            "noReply": not message.wakes or stopped or message.session not in self._has_turns,
            "parts": [
                {"id": part, "type": "text", "text": text, "synthetic": True}
                for part, text in message.parts
            ],
        }
        return body | _as_user_chose(newest)

    async def _newest_user_message(self, session: str) -> wire.MessageInfo | None:
        if session not in self._reader.newest_user or session not in self._has_turns:
            listed = [m.info for m in await self._api.messages(session, limit=NEWEST)]
            if listed and listed[-1].error is not None and listed[-1].error.aborted:
                remember(self._stopped_by_user, session, listed[-1].id)
            for info in listed:
                if info.role == "user":
                    remember(self._reader.newest_user, session, info)
                else:
                    remember(self._has_turns, session, True)
        return self._reader.newest_user.get(session)

    async def _look_up(self, message: OutgoingMessage) -> None:
        """Ask for the message, since no event told of it."""
        try:
            await self._api.message(message.session, message.message)
        except NotFound as error:
            try:
                await self._api.session(message.session)
            except NotFound:
                raise SupervisorGone(message.session) from error
            raise RuntimeUnreachable(
                f"OpenCode took the message {message.message} but does not show it."
            ) from error

    def _hear(self, event: port.RuntimeEvent) -> None:
        if isinstance(event, port.MessageChanged) and event.message.role == "assistant":
            remember(self._has_turns, event.session, True)
        self._follow_failure(event)
        if isinstance(event, port.RunFailed) and event.aborted:
            self._hold_back(event.session)
        elif isinstance(event, port.SessionDeleted):
            self._stopped_by_user.pop(event.session, None)
            self._has_turns.pop(event.session, None)
        elif isinstance(event, port.MessageChanged) and event.message.aborted:
            # An abort before the model was asked is told by the message alone.
            if event.message.id > self._newest_known(event.session):
                self._hold_back(event.session)
        elif isinstance(event, port.MessageChanged) and event.message.role == "user":
            if awaited := self._awaited.get(event.message.id):
                awaited.set()
            # Ids sort by time: an older message that changes is not the user speaking.
            elif event.message.id > self._stopped_by_user.get(event.session, "~"):
                del self._stopped_by_user[event.session]

    def _follow_failure(self, event: port.RuntimeEvent) -> None:
        if isinstance(event, port.RunFailed) and not event.aborted:
            remember(self._winding_up, event.session, asyncio.Event())
            return
        stored = isinstance(event, port.MessageChanged) and event.message.error is not None
        if stored or isinstance(event, port.Busy | port.SessionDeleted):
            over = self._winding_up.pop(event.session, None)
            if over is not None:
                over.set()

    def _hold_back(self, session: str) -> None:
        # Background sessions that were stopped, too: they are many, and their users never speak.
        remember(self._stopped_by_user, session, self._newest_known(session))

    def _newest_known(self, session: str) -> str:
        newest = self._reader.newest_user.get(session)
        return newest.id if newest else ""


def _as_user_chose(newest: wire.MessageInfo | None) -> dict[str, object]:
    """Repeat the agent, model and variant of the newest user message."""
    if newest is None:
        return {}
    chosen: dict[str, object] = {}
    if newest.agent:
        chosen["agent"] = newest.agent
    if newest.model is not None:
        model = newest.model
        chosen["model"] = {"providerID": model.provider_id, "modelID": model.model_id}
        if variant := model.variant or newest.variant:
            chosen["variant"] = variant
    return chosen
