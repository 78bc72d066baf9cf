"""What may happen to a run, beside what its runtime tells of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from background_agents.domain.actor import Actor
from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    InvalidRequest,
    NoSupervisor,
    NothingAsked,
    NotSteerable,
)
from background_agents.domain.events import Event
from background_agents.ports.runtime import (
    Busy,
    Idle,
    InputAsked,
    InputSettled,
    MessageChanged,
    RunFailed,
    RuntimeEvent,
    SessionDeleted,
    StreamRestored,
)
from background_agents.service.running.phase import Sign


class SlotGranted:
    """There is a place for this run."""


class DeadlinePassed:
    """The time window is over."""


class TurnOverdue:
    """A prompt was accepted, and no turn has begun."""


class QuietLimit:
    """An abort has had its time."""


class LookDue:
    """The runtime is to be asked how the session is."""


class ToldOfBelow:
    """The session has got a message about what it had delegated."""


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the run to end."""

    by: str
    why: str = ""
    """In one line, where that does not follow from who wants it."""


@dataclass(frozen=True)
class AnswerDue:
    """A request has waited for its answer as long as it may."""

    request: str


class KeptDue:
    """What the child has said beyond its budget may be told now."""


class WeighDue:
    """A session below the run's has used something."""


class Asked:
    """Somebody wants something of the run; ``done`` tells what came of it."""

    def __init__(self, text: str, by: str = Actor.SUPERVISOR) -> None:
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

    def __init__(
        self, text: str, since: str = "", by: str = Actor.SUPERVISOR, request: str = ""
    ) -> None:
        super().__init__(text, by)
        self.since = since
        """The message of the call; what changed after it the supervisor has not seen."""
        self.request = request
        """The only request that it is meant for, where whoever answers has named one."""

    answered: Ask | None = None
    """What it was the answer to."""

    def too_late(self, delegation: str, status: str) -> DelegationError:
        return NothingAsked(delegation, status)


class RecordAsked(Asked):
    """Somebody wants an event to be stored, which needs no session."""

    def __init__(self, event: Callable[[Delegation, datetime], Event], by: str) -> None:
        """``event`` returns it, or raises ``InvalidRequest``."""
        super().__init__("", by)
        self.event = event

    def too_late(self, delegation: str, status: str) -> DelegationError:
        return InvalidRequest(f"{delegation} is {status}, and nothing more is done to it.")


class NotifyAsked(Asked):
    """The child wants to tell its supervisor something."""

    def too_late(self, _delegation: str, _status: str) -> DelegationError:
        return NoSupervisor()


Signal = (
    RuntimeEvent
    | SlotGranted
    | DeadlinePassed
    | TurnOverdue
    | QuietLimit
    | LookDue
    | ToldOfBelow
    | AnswerDue
    | KeptDue
    | WeighDue
    | StopAsked
    | Asked
)

S = TypeVar("S", bound=Signal)

_SIGNS: Mapping[type[Signal], Sign] = {
    SlotGranted: Sign.SLOT,
    Busy: Sign.BUSY,
    Idle: Sign.IDLE,
    RunFailed: Sign.FAILED,
    SessionDeleted: Sign.DELETED,
    StreamRestored: Sign.RESTORED,
    StopAsked: Sign.STOP,
    DeadlinePassed: Sign.STOP,
    TurnOverdue: Sign.TURN_OVERDUE,
    LookDue: Sign.LOOK_DUE,
    ToldOfBelow: Sign.TOLD,
    RecordAsked: Sign.RECORD,
    **dict.fromkeys((SteerAsked, AnswerAsked, NotifyAsked, AnswerDue, KeptDue), Sign.TALK),
    **dict.fromkeys((InputAsked, InputSettled, MessageChanged, WeighDue), Sign.TALK),
}


FROM_BELOW = InputAsked | InputSettled | Idle | SessionDeleted
"""What matters of the sessions below: what they wait for, and that they do so no longer."""


def sign_of(signal: Signal, session: str) -> Sign:
    """Return what a signal says of the run in ``session``."""
    if isinstance(signal, Idle | SessionDeleted) and signal.session != session:
        return Sign.TALK  # a session below, which asks for nothing any more
    if isinstance(signal, RunFailed) and signal.aborted:
        return Sign.ABORTED
    return _SIGNS[type(signal)]


class Inbox:
    """The signals of one run, in the order in which they came.

    What somebody asks for is always in a hand: it waits here, or is the one taken last, which
    counts as dealt with when the next one is taken. ``refuse`` answers what is left when the inbox
    is closed, for whatever reason, and what comes after that.
    """

    def __init__(self, refuse: Callable[[Asked], None]) -> None:
        self.is_closed = False
        self._waiting: deque[Signal] = deque()
        self._came = asyncio.Event()
        self._taken: Asked | None = None
        self.refuse = refuse

    def put(self, signal: Signal) -> None:
        """Add a signal."""
        if not self.is_closed:
            self._waiting.append(signal)
            self._came.set()
        elif isinstance(signal, Asked):
            self.refuse(signal)

    async def get(self) -> Signal:
        """Return the next signal, when there is one."""
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._take(self._waiting[0])

    def take(self, kind: type[S]) -> S | None:
        """Return the oldest signal of one kind, if there is one, and leave the others."""
        found = next((one for one in self._waiting if isinstance(one, kind)), None)
        if found is not None:
            self._take(found)
        return found

    def holds(self, kind: type[Signal]) -> bool:
        """Return whether a signal of one kind waits."""
        return any(isinstance(one, kind) for one in self._waiting)

    def close(self) -> None:
        """Refuse what is asked, be it taken or not; twice is once."""
        self.is_closed = True
        while self._waiting:
            self._take(self._waiting[0])
        self._let_go()

    def _take(self, signal: Signal) -> Signal:
        self._let_go()
        self._waiting.remove(signal)
        self._taken = signal if isinstance(signal, Asked) else None
        return signal

    def _let_go(self) -> None:
        # One that was dealt with has its answer already.
        taken, self._taken = self._taken, None
        if taken is not None:
            self.refuse(taken)
