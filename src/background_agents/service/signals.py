"""What may happen to a run, beside what its runtime tells of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.ports import RuntimeEvent


class SlotGranted:
    """There is a place for this run."""


class DeadlinePassed:
    """The time window is over."""


class QuietLimit:
    """An abort has had its time."""


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the run to end."""

    by: str
    reason: str


class SteerAsked:
    """Somebody wants to put an instruction into the run; ``sent`` tells what came of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sent: asyncio.Future[Delegation] = asyncio.get_running_loop().create_future()

    def accept(self, delegation: Delegation) -> None:
        """Tell whoever asked that the instruction was sent."""
        if not self.sent.done():
            self.sent.set_result(delegation)

    def refuse(self, why: DelegationError) -> None:
        """Tell whoever asked that the instruction was not sent."""
        if not self.sent.done():
            self.sent.set_exception(why)


Signal = RuntimeEvent | SlotGranted | DeadlinePassed | QuietLimit | StopAsked | SteerAsked


class Inbox:
    """The signals of one run, in the order in which they came."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Signal] = asyncio.Queue()

    def put(self, signal: Signal) -> None:
        """Add a signal."""
        self._queue.put_nowait(signal)

    async def get(self) -> Signal:
        """Return the next signal, when there is one."""
        return await self._queue.get()

    def take_steers(self) -> list[SteerAsked]:
        """Take the instructions out, and leave everything else as it is."""
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for signal in waiting:
            if not isinstance(signal, SteerAsked):
                self._queue.put_nowait(signal)
        return [signal for signal in waiting if isinstance(signal, SteerAsked)]
