"""A service that begins where another one has died, with much stored and much left undone.

The service is the real process, from its host to its database; the runtime is scripted and
lives in the driver, as OpenCode would live on. Half of what was active has finished in the
meantime, the other half was cut off and is told to go on.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import connect
from background_agents.config import DATABASE
from background_agents.domain import events as ev
from background_agents.domain.delegation import apply
from background_agents.ports.runtime import Prompt
from background_agents.ports.storage import Change
from background_agents.testing.scripts import script
from lab.bench.figures import Findings, compared, judged
from lab.bench.stored import store
from lab.faults.stage import Stage

STORED, ACTIVE = 10_000, 100

DEAD = "0:long ago"
"""The owner's name of a process that is gone."""

FINISHED = script({"say": "It is done."})

CUT_OFF = script({"say": "So far. ", "gate": "never"}, {"say": "And the rest."})


@dataclass(frozen=True)
class Recovered:
    """How long it took from the start of the process, in milliseconds."""

    ready_ms: float
    """Until it had answered a tool call."""
    all_told_ms: float
    """Until the ending of the last that was left undone was in its supervisor's transcript."""


async def recovery(root: Path, rounds: int) -> Findings:
    """Measure, by turns with a project in which nothing was ever stored."""
    full, empty = [], []
    for number in range(rounds):
        full.append(await recover(root / f"full{number}", STORED, ACTIVE))
        empty.append(await recover(root / f"empty{number}", 0, 0))
        shutil.rmtree(root / f"full{number}")
    ready, blank = [one.ready_ms for one in full], [one.ready_ms for one in empty]
    told = [one.all_told_ms for one in full]
    with_that = f"{STORED:,} stored, {ACTIVE} active"
    return Findings(
        [
            judged(f"recovery, {with_that}: process start → ready", ready, most=1000),
            judged(f"recovery, {with_that}: process start → all ended and told", told, most=5000),
            judged("process start → ready, nothing stored", blank),
        ],
        [compared(f"ready with {with_that} / with nothing", ready, blank)],
    )


async def recover(folder: Path, stored: int, active: int) -> Recovered:
    """Leave so much behind, then begin a service and let it take over."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    stage = Stage(folder, None, {})
    project = stage.folder / "project"
    data = stage.data / await asyncio.to_thread(project_id, project, stage.data)
    await asyncio.to_thread(
        store, data / DATABASE, stage.supervisor, stored, directory=str(project), folder=data
    )
    await _leave_undone(stage, data / DATABASE, str(project), active)
    started = time.perf_counter()
    async with stage.services():
        await stage.insist("delegation_list")
        ready = time.perf_counter()
        await stage.told(active)
        told = time.perf_counter()
        await _check(stage, active)
    if len(stage.endings()) != active:
        raise AssertionError(f"{len(stage.endings())} endings of {active} were told")
    return Recovered((ready - started) * 1000, (told - started) * 1000)


async def _check(stage: Stage, active: int) -> None:
    """Raise unless what had finished, and what was cut off, left all that it wrote."""
    for number, result in list(enumerate(("It is done.", "So far. ", "It is done.")))[:active]:
        left = await stage.insist("delegation_read", id=f"left-undone-again-{number}")
        if result not in left or (number % 2 and "And the rest." not in left):
            raise AssertionError(f"this is left of number {number}:\n{left}")


async def _leave_undone(stage: Stage, database: Path, directory: str, count: int) -> None:
    """Let runs begin, and store them as a process does that dies then."""
    sessions = []
    for number in range(count):
        text = f"Task {number}. {CUT_OFF if number % 2 else FINISHED}"
        session = stage.runtime.add_session(stage.supervisor)
        prompt = Prompt(message=f"msg_left{number:03}", text=text, agent="build")
        await stage.runtime.prompt(session, prompt)
        sessions.append((session, prompt))
    runs = [stage.runtime.sessions[session] for session, _ in sessions]
    await stage.until(lambda: not any(run.busy for run in runs[::2]))
    await stage.until(lambda: all("So far." in run.transcript().everything for run in runs[1::2]))
    for run in runs:
        run.cut_off()
        stage.runtime.release(run.name)
    with closing(connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for number, (session, prompt) in enumerate(sessions):
            at = datetime.now(UTC)
            registered = ev.Registered(
                at=at,
                id=f"left-undone-again-{number}",
                project=database.parent.name,
                directory=directory,
                root_session=stage.supervisor,
                parent_session=stage.supervisor,
                prompt=prompt.text,
                agent=prompt.agent,
                title=f"Task {number}",
                owner=DEAD,
                runtime=stage.runtime.name,
            )
            begun = rows.register(connection, registered)
            launched = ev.Launched(at=at, session=session, message=prompt.message)
            after = apply(begun, launched)
            rows.commit(connection, Change(after=after, events=(launched,)))
        connection.execute("COMMIT")
