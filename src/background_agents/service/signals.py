"""What may happen to a run, beside what its runtime tells of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    NoSupervisor,
    NothingAsked,
    NotSteerable,
)
from background_agents.ports import RuntimeEvent
from background_agents.service.views import COMMAND_LINE, SUPERVISOR


class SlotGranted:
    """There is a place for this run."""


class DeadlinePassed:
    """The time window is over."""


class BeginningOverdue:
    """A prompt was accepted, and no turn has begun."""


class QuietLimit:
    """An abort has had its time."""


DEADLINE = "deadline"
"""Who wants the end of a run whose time window is over."""

DELETION = "deletion"
"""Who wants the end of a run whose supervisor's session was deleted."""

_REASONS = {
    SUPERVISOR: "Stopped by the supervisor.",
    COMMAND_LINE: "Stopped by the user, from the command line.",
    DELETION: "Its supervisor's session was deleted.",
}


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the run to end."""

    by: str

    @property
    def reason(self) -> str:
        """What is said of the end."""
        return _REASONS.get(self.by, f"Stopped by {self.by}.")


@dataclass(frozen=True)
class AnswerDue:
    """A request has waited for its answer as long as it may."""

    request: str


class Asked:
    """Somebody wants something of the run; ``done`` tells what came of it."""

    def __init__(self, text: str, by: str = SUPERVISOR) -> None:
        self.text = text
        self.by = by
        self.done: asyncio.Future[Delegation] = asyncio.get_running_loop().create_future()

    def accept(self, delegation: Delegation) -> None:
        """Tell whoever asked that it was done."""
        if not self.done.done():
            self.done.set_result(delegation)

    def refuse(self, why: DelegationError) -> None:
        """Tell whoever asked that it was not done."""
        if not self.done.done():
            self.done.set_exception(why)

    def too_late(self, delegation: str, status: str) -> DelegationError:
        """Return why a run in that state cannot do it."""
        raise NotImplementedError


class SteerAsked(Asked):
    """Somebody wants to put an instruction into the run."""

    def too_late(self, delegation: str, status: str) -> DelegationError:
        return NotSteerable(delegation, status)


class AnswerAsked(Asked):
    """Somebody answers what the run waits for."""

    def __init__(self, text: str, since: str = "", by: str = SUPERVISOR, request: str = "") -> None:
        super().__init__(text, by)
        self.since = since
        """The message of the call; what changed after it the supervisor has not seen."""
        self.request = request
        """The only request that it is meant for, where whoever answers has named one."""

    answered: Ask | None = None
    """What it was the answer to."""

    def too_late(self, delegation: str, status: str) -> DelegationError:
        return NothingAsked(delegation, status)


class NotifyAsked(Asked):
    """The child wants to tell its supervisor something."""

    def too_late(self, _delegation: str, _status: str) -> DelegationError:
        return NoSupervisor()


Signal = (
    RuntimeEvent
    | SlotGranted
    | DeadlinePassed
    | BeginningOverdue
    | QuietLimit
    | AnswerDue
    | StopAsked
    | Asked
)

A = TypeVar("A", bound=Asked)


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

    def take(self, kind: type[A]) -> list[A]:
        """Take out what somebody asks for, of one kind, and leave everything else as it is."""
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for signal in waiting:
            if not isinstance(signal, kind):
                self._queue.put_nowait(signal)
        return [signal for signal in waiting if isinstance(signal, kind)]
