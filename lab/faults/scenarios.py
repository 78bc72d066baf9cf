"""What supervisors do while their services die: one short play for each way a run can go.

Each play goes on until all that it delegated must have been told; it never asks how often
the service has died meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from background_agents.config import DATABASE
from background_agents.domain.delegation import MESSAGES_AT_ONCE
from background_agents.domain.status import Status
from lab.faults.stage import Died, Stage

Step = Mapping[str, object]

Play = Callable[[Stage], Awaitable[None]]

BRIEFLY_MINUTES = 0.005
"""A time window of 0.3 s: over in the same life, or in the next one."""

NO_STOP_S = 10.0
"""After this long without an ending, a stop was forgotten."""

BASH: Step = {"call": "bash", "args": {"command": "make"}}

CUT_OFF = frozenset({Status.INTERRUPTED})


@dataclass(frozen=True)
class Scenario:
    """A play, how many delegations it makes, and how they may end."""

    name: str
    play: Play
    endings: frozenset[Status]
    count: int = 1
    env: Mapping[str, str] = field(default_factory=dict)


async def completion(stage: Stage) -> None:
    """One runs through, gets a better title, and is read."""
    stage.runtime.description = ("A better title", "And a summary.")
    name = await stage.delegate({"say": "Found it."})
    await stage.told(1)
    read = await stage.insist("delegation_read", id=name)
    if "Found it." not in read:
        raise AssertionError(f"this was read: {read}")


async def failure(stage: Stage) -> None:
    """The provider refuses."""
    await stage.delegate({"fail": 400, "message": "Refused."})
    await stage.told(1)


async def no_such_model(stage: Stage) -> None:
    """The error lives in an event alone."""
    await stage.delegate({"say": "Never."}, model="scripted/none")
    await stage.told(1)


async def timeout(stage: Stage) -> None:
    """It writes and never ends."""
    step = {"say": "On and on. ", "repeat": 3, "every_ms": 30, "gate": "never"}
    await stage.delegate(step, timeout_minutes=BRIEFLY_MINUTES)
    await stage.told(1)


async def stop(stage: Stage) -> None:
    """The supervisor stops it while it writes."""
    name = await stage.delegate({"say": "Half.", "gate": "never"})
    await stage.wrote("Half.")
    await stage.insist("delegation_stop", id=name)
    await stage.told(1)


async def stop_once(stage: Stage) -> None:
    """The supervisor asks for a stop and does not ask again, whatever comes of it."""
    name = await stage.delegate({"say": "Half.", "gate": "never"})
    await stage.wrote("Half.")
    with suppress(Died):
        await stage.tool("delegation_stop", id=name)
    async with asyncio.timeout(NO_STOP_S):
        await stage.told(1)


async def steer(stage: Stage) -> None:
    """An instruction is taken up before the end."""
    name = await stage.delegate({"say": "Half.", "gate": "steered"}, {"say": "As you wish."})
    await stage.wrote("Half.")
    await stage.insist("delegation_steer", id=name, message="Look into the tests, too.")
    stage.runtime.open("steered")
    await stage.wrote("As you wish.")
    await stage.told(1)


async def permission(stage: Stage) -> None:
    """It needs a permission, which the supervisor gives."""
    stage.runtime.asking.add("bash")
    name = await stage.delegate(BASH, {"say": "Built."})
    await stage.until(lambda: stage.notices("delegation-request") > 0)
    while stage.asked():
        lives = len(stage.pids)
        answer = await stage.insist("delegation_answer", id=name, reply="once")
        if stage.asked() and len(stage.pids) == lives:
            raise AssertionError(f"it is still asked after: {answer}")
    await stage.told(1)


async def message(stage: Stage) -> None:
    """A child says something in the middle of its run."""
    await stage.delegate({"say": "Half.", "gate": "said"})
    await stage.wrote("Half.")
    child = next(one.name for one in stage.runtime.sessions.values() if one.busy)
    await stage.insist_as(child, "notify_parent", message="The tests are red.")
    stage.runtime.open("said")
    await stage.told(1)


async def messages(stage: Stage) -> None:
    """A child says more than its supervisor is told at once: the rest comes with the end."""
    await stage.delegate({"say": "Half.", "gate": "said"})
    await stage.wrote("Half.")
    child = next(one.name for one in stage.runtime.sessions.values() if one.busy)
    said = [f"Step {number}." for number in range(MESSAGES_AT_ONCE + 2)]
    for words in said:
        await stage.insist_as(child, "notify_parent", message=words)
    stage.runtime.open("said")
    await stage.told(1)
    lost = [words for words in said if not stage.is_told(words)]
    if lost:
        raise AssertionError(f"these were never told: {lost}")


async def together(stage: Stage) -> None:
    """Two end at the same moment."""
    await stage.delegate({"say": "One.", "gate": "both"})
    await stage.delegate({"say": "Two.", "gate": "both"})
    await stage.wrote("One.")
    await stage.wrote("Two.")
    stage.runtime.open("both")
    await stage.told(2)


async def queue(stage: Stage) -> None:
    """One waits for the place of another."""
    await stage.delegate({"say": "First.", "gate": "go"})
    await stage.delegate({"say": "Second."})
    await stage.wrote("First.")
    stage.runtime.open("go")
    await stage.told(2)


async def continuing(stage: Stage) -> None:
    """A second one goes on in the session of the first."""
    name = await stage.delegate({"say": "The first part."})
    await stage.told(1)
    await stage.delegate({"say": "The second part."}, continue_id=name)
    await stage.told(2)


async def orderly_quit(stage: Stage) -> None:
    """OpenCode is quit when one has ended and one runs: nobody has stopped anything."""
    await stage.delegate({"say": "Whole."})
    await stage.told(1)
    await stage.delegate({"say": "Half.", "gate": "never"})
    await stage.wrote("Half.")
    await stage.quit()
    await stage.told(2)


async def undone(stage: Stage) -> None:
    """The user has undone messages when it ends: it is told only when they are back."""
    name = await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    supervisor = stage.runtime.sessions[stage.supervisor]
    supervisor.undo(stage.runtime.user_says(stage.supervisor, "Never mind."))
    stage.runtime.open("go")
    while f"{name} [completed" not in await stage.insist("delegation_list"):
        pass  # each look waits for an answer
    if stage.endings():
        raise AssertionError("the notice has made an undo final")
    supervisor.redo()
    await stage.told(1)


async def replaced(stage: Stage) -> None:
    """The database is put back from a copy of a moment ago, under a service that has it open."""
    await stage.delegate({"say": "First.", "gate": "go"})
    await stage.wrote("First.")
    _put_back(*stage.data.glob(f"*/{DATABASE}"))
    await stage.delegate({"say": "Second.", "gate": "go"})
    await stage.wrote("Second.")
    stage.runtime.open("go")
    await stage.told(2)


def _put_back(database: Path) -> None:
    copy = database.with_suffix(".copy")
    with closing(sqlite3.connect(database)) as now, closing(sqlite3.connect(copy)) as kept:
        now.backup(kept)
    for journal in ("-wal", "-shm"):
        Path(f"{database}{journal}").unlink(missing_ok=True)
    copy.replace(database)


async def identity(stage: Stage) -> None:
    """The folder becomes a repository, and then one with another root, while agents run."""
    await stage.delegate({"say": "First.", "gate": "go"})
    await stage.wrote("First.")
    await stage.git("init", "-q")
    await stage.git("commit", "-q", "--allow-empty", "-m", "Start")
    await stage.delegate({"say": "Second.", "gate": "go"})
    await stage.wrote("Second.")
    await stage.git("checkout", "-q", "--orphan", "anew")
    await stage.git("commit", "-q", "--allow-empty", "-m", "Start anew")
    await stage.delegate({"say": "Third.", "gate": "go"})
    await stage.wrote("Third.")
    stage.runtime.open("go")
    await stage.told(3)


COMPLETED = frozenset({Status.COMPLETED})

SCENARIOS = (
    Scenario("completion", completion, COMPLETED),
    Scenario("failure", failure, frozenset({Status.FAILED})),
    # After a death between the prompt and its error nobody knows of the error any more.
    Scenario("no such model", no_such_model, frozenset({Status.FAILED}) | CUT_OFF),
    # After a death between the abort and the ending, nobody knows whose abort it was.
    Scenario("timeout", timeout, frozenset({Status.TIMED_OUT})),
    Scenario("stop", stop, frozenset({Status.STOPPED})),
    Scenario("steer in flight", steer, COMPLETED),
    Scenario("permission open", permission, COMPLETED),
    Scenario("child's message", message, COMPLETED),
    Scenario("many messages", messages, COMPLETED),
    Scenario("two together", together, COMPLETED, 2),
    Scenario("one queued", queue, COMPLETED, 2, {"BACKGROUND_AGENTS_MAX_CONCURRENT": "1"}),
    Scenario("continuation", continuing, COMPLETED, 2),
    Scenario("orderly quit", orderly_quit, COMPLETED | CUT_OFF, 2),
    Scenario("undone messages", undone, COMPLETED),
    Scenario("database replaced", replaced, COMPLETED, 2),
    Scenario("identity changes", identity, COMPLETED, 3),
)
