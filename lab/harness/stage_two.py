"""The stage of the contract suites on a real OpenCode 2.

What the user does and what is stored goes past the adapter, as on line 1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.v2.channel import OpenCode2Channel
from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.ports.runtime import AgentRuntime, SessionOrder
from background_agents.testing.contracts.stage import StoredMessage, StoredPart, Ways, mint
from lab.harness.client.messages import StoredMessage as Message
from lab.harness.client.two import ClientTwo
from lab.harness.stage import Crossing, Silence

ASKING = "asker"
"""An agent that asks before it runs a command."""

CONFIG: dict[str, object] = {
    "agent": {
        ASKING: {
            "mode": "all",
            "description": "Asks before it runs a command",
            "permission": {"bash": "ask", "question": "allow"},
        },
    }
}
"""What an OpenCode needs for this stage."""


class OpenCode2Stage:
    """A runtime and a channel on ``transport``; the user speaks through ``client``."""

    def __init__(
        self,
        client: ClientTwo,
        transport: Transport,
        broken: Crossing,
        silence: Silence,
        anew: Callable[[], Awaitable[None]],
    ) -> None:
        """``anew`` ends OpenCode and starts it again."""
        self.runtime = OpenCode2Runtime(transport)
        self.channel = OpenCode2Channel(self.runtime)
        self.ways = Ways(
            shell="shell", asking_agent=ASKING, idles=1, has_rules=False, takes_back=True
        )
        self.broken = broken
        self.user = client
        self._silence = silence
        self._anew = anew

    async def new_session(self) -> str:
        """See ``Stage``."""
        return await self.user.create_session()

    async def new_asking_child(self) -> str:
        """See ``Stage``."""
        order = SessionOrder(parent=await self.new_session(), title="A child that asks")
        return await self.runtime.open_session(order)

    async def user_says(self, session: str, text: str, *, agent: str, model: str) -> str:
        """See ``Stage``."""
        message = mint("msg")
        provider, _, name = model.partition("/")
        chosen = {"model": {"providerID": provider, "id": name}}
        await self.user.request("POST", f"/api/session/{session}/agent", {"agent": agent})
        await self.user.request("POST", f"/api/session/{session}/model", chosen)
        said = {"id": message, "text": text}
        await self.user.request("POST", f"/api/session/{session}/prompt", said)
        return message

    async def stored(self, session: str) -> list[StoredMessage]:
        """See ``Stage``; an input has agent and model of whatever answers it, or is to."""
        # In this order, for what waits may be taken up between the two looks.
        waiting = await self.user.pending(session)
        found = await self.user.messages(session)
        known = {message.info.id for message in found}
        found += [message for message in waiting if message.info.id not in known]
        agent, model = await self.user.chosen(session)
        messages: list[StoredMessage] = []
        for message in reversed(found):
            if message.info.role == "assistant":
                agent, model = message.info.agent, message.info.model
            if message.info.role in ("user", "assistant"):
                messages.insert(0, _stored(message, agent, model))
        return messages

    async def user_undoes(self, session: str, message: str) -> None:
        """See ``Stage``."""
        await self.user.undo(session, message)

    async def user_redoes(self, session: str) -> None:
        """See ``Stage``."""
        await self.user.redo(session)

    async def delete_session(self, session: str) -> None:
        """See ``Stage``."""
        await self.user.delete_session(session)

    async def begin_anew(self) -> None:
        """See ``Stage``."""
        await self._anew()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[AgentRuntime]:
        """See ``Stage``."""
        async with self._silence() as transport:
            yield OpenCode2Runtime(transport)


def _stored(message: Message, agent: str | None, model: str | None) -> StoredMessage:
    info = message.info
    texts = [part for part in message.parts if part.type == "text"]
    return StoredMessage(
        id=info.id,
        role=info.role,
        agent=agent,
        model=model,
        answers=info.parent,
        parts=tuple(StoredPart(part.id, part.text, part.synthetic) for part in texts),
    )
