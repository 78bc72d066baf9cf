"""The stage of the contract suites on a real OpenCode, over whichever transport.

What the user does and what is stored goes past the adapter, through the test client, so
that the adapter is not its own witness.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.v1.channel import OpenCodeChannel
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.ports.runtime import AgentRuntime
from background_agents.testing.contracts.stage import StoredMessage, StoredPart, Ways, mint
from lab.harness.client import OpenCodeClient

Crossing = Callable[[], AbstractAsyncContextManager[None]]
"""Loses events within a block."""

Silence = Callable[[], AbstractAsyncContextManager[Transport]]
"""Gives a transport behind which nothing answers."""


class _Model(msgspec.Struct):
    provider_id: str = msgspec.field(name="providerID")
    model_id: str = msgspec.field(name="modelID")


class _Info(msgspec.Struct):
    id: str
    role: str
    agent: str | None = None
    model: _Model | None = None
    parent: str | None = msgspec.field(name="parentID", default=None)


class _Part(msgspec.Struct):
    id: str
    type: str
    text: str = ""
    synthetic: bool = False


class _Message(msgspec.Struct):
    info: _Info
    parts: list[_Part]


class OpenCodeStage:
    """A runtime and a channel on ``transport``; the user speaks through ``client``."""

    def __init__(
        self, client: OpenCodeClient, transport: Transport, broken: Crossing, silence: Silence
    ) -> None:
        self.runtime = OpenCodeRuntime(transport)
        self.channel = OpenCodeChannel(self.runtime)
        self.ways = Ways()
        self.broken = broken
        self._client = client
        self._silence = silence

    async def new_session(self) -> str:
        """See ``Stage``."""
        return await self._client.create_session()

    async def new_asking_child(self) -> str:
        """See ``Stage``."""
        return await self._client.create_session(
            "A child that asks",
            parent=await self._client.create_session(),
            permission=[
                {"permission": "bash", "pattern": "*", "action": "ask"},
                {"permission": "question", "pattern": "*", "action": "allow"},
            ],
        )

    async def user_says(self, session: str, text: str, *, agent: str, model: str) -> str:
        """See ``Stage``."""
        message = mint("msg")
        provider, _, name = model.partition("/")
        body = {
            "messageID": message,
            "agent": agent,
            "model": {"providerID": provider, "modelID": name},
            "parts": [{"type": "text", "text": text}],
        }
        await self._client.request("POST", f"/session/{session}/prompt_async", body)
        return message

    async def stored(self, session: str) -> list[StoredMessage]:
        """See ``Stage``."""
        raw = await self._client.request("GET", f"/session/{session}/message")
        return [_stored(message) for message in msgspec.json.decode(raw, type=list[_Message])]

    async def user_undoes(self, session: str, message: str) -> None:
        """See ``Stage``."""
        await self._client.undo(session, message)

    async def user_redoes(self, session: str) -> None:
        """See ``Stage``."""
        await self._client.redo(session)

    async def delete_session(self, session: str) -> None:
        """See ``Stage``."""
        await self._client.delete_session(session)

    async def begin_anew(self) -> None:
        """See ``Stage``: the instance is disposed, and the next request makes another one."""
        await self._client.reload()
        await self._client.load()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[AgentRuntime]:
        """See ``Stage``."""
        async with self._silence() as transport:
            yield OpenCodeRuntime(transport)


def _stored(message: _Message) -> StoredMessage:
    info = message.info
    return StoredMessage(
        id=info.id,
        role=info.role,
        agent=info.agent,
        model=f"{info.model.provider_id}/{info.model.model_id}" if info.model else None,
        answers=info.parent,
        parts=tuple(
            StoredPart(part.id, part.text, part.synthetic)
            for part in message.parts
            if part.type == "text"
        ),
    )
