"""Who sits before the TUI, in a session of their own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from plays import Step

from background_agents.testing.scripts import READABLE_ID
from lab.harness.client.base import LOOK_AGAIN_S
from lab.harness.client.events import EVENT_TIMEOUT_S
from lab.harness.tui import Tui
from lab.model_server import ModelRequest, ModelServer, script

CAREFUL = {
    "agent": {
        "careful": {
            "description": "Asks before it runs anything.",
            "mode": "subagent",
            "permission": {"bash": "ask"},
        }
    }
}


@dataclass(eq=False)
class User:
    """Who sits before the TUI, in a session of their own."""

    name: str
    tui: Tui
    model: ModelServer

    async def says(self, *steps: Step, on_notice: tuple[Step, ...] = ()) -> None:
        """Send a message that carries what the model does next."""
        await self.tui.send(f"{self.name}: {script(*steps, on_notice=on_notice)}")

    async def delegated(self) -> str:
        """Wait until the model was told a delegation's id, and return it."""
        request = await self.model.wait_for(
            lambda one: one in self.requests and one.messages[-1].role == "tool"
        )
        told = request.messages[-1].text
        found = READABLE_ID.search(told)
        assert found, told
        return found.group()

    @property
    def requests(self) -> list[ModelRequest]:
        """What the model was asked in this session."""
        return self.asked(self.name)

    def asked(self, beginning: str) -> list[ModelRequest]:
        """Return the requests of the session whose first prompt begins so, oldest first."""
        asked = [request for request in self.model.requests if request.tools]
        return [request for request in asked if _first_prompt(request).startswith(beginning)]

    async def ended(self, delegation: str) -> None:
        """Return once a delegation's artifact is there; it looks, since nobody tells of it."""
        folder = self.tui.home.data / "delegations"
        async with asyncio.timeout(EVENT_TIMEOUT_S):
            while True:
                if list(folder.rglob(f"{delegation}.md")):
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    def artifact(self, delegation: str) -> str:
        """Return what is on disk about a delegation."""
        (file,) = (self.tui.home.data / "delegations").rglob(f"{delegation}.md")
        return file.read_text()


def _first_prompt(request: ModelRequest) -> str:
    return next((one.text for one in request.messages if one.role == "user"), "")
