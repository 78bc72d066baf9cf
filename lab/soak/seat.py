"""One supervisor among many in a stage: what its model does, and what its transcript holds.

Looks only when something of its own has changed, so that hundreds of them cost little.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from background_agents.ports.runtime import RuntimeEvent
from background_agents.testing.scripted_session import ScriptedSession
from background_agents.testing.scripts import script
from background_agents.testing.waiting import Changes
from lab.faults.stage import ENDING, NAMED, Stage

LIMIT_S = 60.0
"""For what takes a second when all seats are taken, and two more when the service has died."""


class Seat:
    """A supervisor's session with its delegations."""

    def __init__(self, stage: Stage) -> None:
        self.session = stage.runtime.add_session()
        self.names: list[str] = []
        """The delegations, in the order in which they were made."""
        self._stage = stage
        self._changes = Changes()
        self._children: dict[str, ScriptedSession] = {}
        self._prompts = itertools.count(1)

    def hear(self, event: RuntimeEvent) -> None:
        """Something happened in this session or in one below it."""
        found = self._stage.runtime.sessions.get(event.session)
        if found is not None and found.parent is not None:
            self._children[event.session] = found
        self._changes.tell()

    async def delegate(self, *steps: Mapping[str, object], **args: object) -> str:
        """Delegate a task and return its id, however often the service dies meanwhile."""
        prompt = f"Task {next(self._prompts)}.\n{script(*steps)}"
        return await self._stage.delegate_as(self.session, self.names, prompt, **args)

    async def insist(self, tool: str, **args: object) -> str:
        """Call a tool until a service has lived to answer it."""
        return await self._stage.insist_as(self.session, tool, **args)

    async def child_says(self, message: str) -> None:
        """Let the only child that is at work call ``notify_parent``."""
        (child,) = (one.name for one in self._children.values() if one.busy)
        await self._stage.insist_as(child, "notify_parent", message=message)

    def gate(self, name: str) -> str:
        """Return the name of a gate that is this seat's own."""
        return f"{name} of {self.session}"

    def open(self, name: str) -> None:
        """Let pass what waits at a gate of this seat's own."""
        self._stage.runtime.open(self.gate(name))

    def delete_child(self) -> None:
        """Delete the session of the only child that is at work, as a user does."""
        (child,) = (one.name for one in self._children.values() if one.busy)
        self._stage.runtime.delete_session(child)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once ``holds`` does; it is asked at each change of this seat."""
        await self._changes.until(holds, limit_s=LIMIT_S)

    async def wrote(self, text: str) -> None:
        """Return once an agent has written ``text``."""

        def seen() -> bool:
            entries = (e for one in self._children.values() for e in one.entries.values())
            return any(entry.answers and text in entry.text for entry in entries)

        await self.until(seen)

    async def told(self, count: int) -> None:
        """Return once so many endings are in the supervisor's transcript."""
        await self.until(lambda: len(set(self.endings())) >= count)

    def endings(self) -> list[str]:
        """Return the delegation of each notice of an ending, as the transcript has them."""
        return [NAMED.findall(text)[0] for text in self._notices() if text.startswith(ENDING)]

    def notices(self, tag: str) -> int:
        """Count the notices of a kind."""
        return sum(text.startswith(f"<{tag}>") for text in self._notices())

    def asked(self) -> list[str]:
        """Return the requests that wait for an answer."""
        return [request for one in self._children.values() for request in one.open]

    def at_work(self) -> list[str]:
        """Return the children that have not come to rest."""
        return [one.name for one in self._children.values() if one.busy]

    def leave(self) -> None:
        """Delete the session and those below it."""
        self._stage.runtime.delete_session(self.session)
        self._children.clear()

    def _notices(self) -> list[str]:
        delivered = self._stage.channel.delivered(self.session)
        return [text for parts in delivered for text in parts]
