"""What the supervisors of a soak do: every way in which a run can go, mixed by chance.

None waits for a second delegation while it holds the place of a first one back, so that
together they never wait for each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from background_agents.domain.status import Status
from lab.soak.seat import Seat

Act = Callable[[Seat, Random], Awaitable[None]]

BRIEFLY_MINUTES = 0.005
"""A time window of 0.3 s."""

MOST_TOGETHER = 5

NEVER = "never"
"""A gate that nobody opens."""

HALF: Mapping[str, object] = {"say": "Half.", "gate": NEVER}

PARAGRAPH = "All of this was found in the sources, and is told here once more. " * 30
"""Two kilobytes: so long a text comes in some hundred events from a real model."""


@dataclass(frozen=True)
class Play:
    """What a supervisor does, how its delegations may end, and how often it is played."""

    name: str
    act: Act
    endings: frozenset[Status]
    share: int


async def completion(seat: Seat, dice: Random) -> None:
    """One runs through and is read."""
    name = await seat.delegate({"say": "Found it. ", "repeat": dice.randint(1, 8), "every_ms": 5})
    await seat.told(1)
    _expect("Found it." in (read := await seat.insist("delegation_read", id=name)), read)


async def failure(seat: Seat, _dice: Random) -> None:
    """The provider refuses."""
    await seat.delegate({"fail": 400, "message": "Refused."})
    await seat.told(1)


async def timeout(seat: Seat, _dice: Random) -> None:
    """It writes and never ends."""
    step = {"say": "On and on. ", "repeat": 3, "every_ms": 30, "gate": NEVER}
    await seat.delegate(step, timeout_minutes=BRIEFLY_MINUTES)
    await seat.told(1)


async def stop(seat: Seat, _dice: Random) -> None:
    """The supervisor stops it while it writes."""
    name = await seat.delegate(HALF)
    await seat.wrote("Half.")
    await seat.insist("delegation_stop", id=name)
    await seat.told(1)


async def steer(seat: Seat, _dice: Random) -> None:
    """An instruction is taken up before the end."""
    gate = seat.gate("steered")
    name = await seat.delegate({"say": "Half.", "gate": gate}, {"say": "As you wish."})
    await seat.wrote("Half.")
    await seat.insist("delegation_steer", id=name, message="Look into the tests, too.")
    seat.open("steered")
    await seat.wrote("As you wish.")
    await seat.told(1)


async def permission(seat: Seat, dice: Random) -> None:
    """It needs a permission, which the supervisor gives or refuses."""
    call = {"call": "bash", "args": {"command": "make"}}
    name = await seat.delegate(call, {"say": "Built, or not."})
    await seat.until(lambda: seat.notices("delegation-request") > 0)
    reply = dice.choice(("once", "reject"))
    while seat.asked():
        await seat.insist("delegation_answer", id=name, reply=reply)
    await seat.told(1)


async def message(seat: Seat, _dice: Random) -> None:
    """A child says something in the middle of its run."""
    await seat.delegate({"say": "Half.", "gate": seat.gate("said")})
    await seat.wrote("Half.")
    await seat.child_says("The tests are red.")
    seat.open("said")
    await seat.told(1)


async def together(seat: Seat, dice: Random) -> None:
    """Several end at the same moment, as far as they have got places."""
    count = dice.randint(2, MOST_TOGETHER)
    for _ in range(count):
        await seat.delegate({"say": "One of several.", "gate": seat.gate("all")})
    seat.open("all")
    await seat.insist("delegation_status")
    await seat.told(count)


async def continuing(seat: Seat, _dice: Random) -> None:
    """A second one goes on in the session of the first."""
    name = await seat.delegate({"say": "The first part."})
    await seat.told(1)
    await seat.delegate({"say": "The second part."}, continue_id=name)
    await seat.told(2)


async def long_stream(seat: Seat, dice: Random) -> None:
    """It writes some two hundred kilobytes and is looked at meanwhile."""
    step = {"say": PARAGRAPH, "repeat": dice.randint(60, 120), "per_chunk": 4, "every_ms": 10}
    name = await seat.delegate(step)
    await seat.wrote(PARAGRAPH)
    await seat.insist("delegation_peek", id=name)
    await seat.insist("delegation_wait", ids=[name], timeout_seconds=1)
    await seat.told(1)
    _expect("All of this" in (read := await seat.insist("delegation_read", id=name)), read)


async def deletion(seat: Seat, _dice: Random) -> None:
    """The user deletes the child's session."""
    await seat.delegate(HALF)
    await seat.wrote("Half.")
    seat.delete_child()
    await seat.told(1)


def _expect(holds: bool, answer: str) -> None:
    if not holds:
        raise AssertionError(f"this was answered: {answer}")


COMPLETED = frozenset({Status.COMPLETED})
STOPPED = frozenset({Status.STOPPED})

PLAYS = (
    Play("completion", completion, COMPLETED, 30),
    Play("several together", together, COMPLETED, 12),
    Play("continuation", continuing, COMPLETED, 10),
    Play("steer", steer, COMPLETED, 10),
    Play("permission", permission, COMPLETED, 8),
    Play("child's message", message, COMPLETED, 8),
    Play("stop", stop, STOPPED, 7),
    Play("failure", failure, frozenset({Status.FAILED}), 5),
    Play("timeout", timeout, frozenset({Status.TIMED_OUT}), 4),
    Play("long stream", long_stream, COMPLETED, 3),
    Play("session deleted", deletion, STOPPED, 3),
)
