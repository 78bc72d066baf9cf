"""Faults that need a real OpenCode: it is killed, answers with errors, or its model hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from background_agents.adapters.files.artifacts import parse
from background_agents.domain.status import Status
from lab.faults.matrix import Case
from lab.faults.points import pids
from lab.faults.real import AT_ONCE, Theatre, judged, reopened, theatre, title_of
from lab.harness.line import Line

Play = Callable[[Theatre, Case], Awaitable[None]]

COMPLETED = frozenset({Status.COMPLETED})

CUT_OFF = COMPLETED | {Status.INTERRUPTED}
"""A run that died with its OpenCode is told to go on, or ends as interrupted."""

HALF = {"say": "Half of it. ", "repeat": 3, "every_ms": 20, "gate": "go"}

WRITTEN = "Half of it. " * 3
"""What a child has written once its model waits at the gate."""

SHORTLY_MINUTES = 0.02

LAUNCH = {Line.ONE: "/prompt_async", Line.TWO: "/prompt"}
NOTICE = {Line.ONE: "/prompt_async", Line.TWO: "/synthetic"}
"""How the paths end by which a line takes a child's prompt, and a notice."""


async def opencode_killed(stage: Theatre, case: Case) -> None:
    """OpenCode dies in the middle of a run."""
    supervisor = await _half(stage)
    await stage.opencode.kill()
    case.kills += 1
    await _is_made_up_for(stage, case, supervisor)


async def opencode_quit(stage: Theatre, case: Case) -> None:
    """OpenCode is quit in the middle of a run."""
    supervisor = await _half(stage)
    await stage.opencode.terminate()
    await _is_made_up_for(stage, case, supervisor)


async def both_killed(stage: Theatre, case: Case) -> None:
    """The service dies, and OpenCode right after it."""
    supervisor = await _half(stage)
    os.kill(pids(stage.plan)[-1], signal.SIGKILL)
    await stage.opencode.kill()
    case.kills += 2
    await _is_made_up_for(stage, case, supervisor)


async def killed_twice(stage: Theatre, case: Case) -> None:
    """OpenCode dies, and again as soon as it has been started."""
    supervisor = await _half(stage)
    await stage.opencode.kill()
    async with reopened(stage) as again:
        await again.listed(supervisor)
        await again.opencode.kill()
    case.kills += 2
    await _is_made_up_for(stage, case, supervisor)


async def opencode_killed_after_the_end(stage: Theatre, case: Case) -> None:
    """OpenCode dies when all was told: nothing is told again."""
    supervisor = await stage.delegate({"say": "Found it."})
    await stage.told(supervisor)
    await stage.settled()
    await stage.opencode.kill()
    case.kills += 1
    await _goes_on(stage, case, supervisor)


async def launch_refused(stage: Theatre, case: Case) -> None:
    """OpenCode answers the child's prompt with 503."""
    stage.shake(LAUNCH[stage.line], 503, 1)
    await _ends(stage, case, await stage.delegate({"say": "Found it."}), Status.FAILED)


async def launch_refused_and_taken(stage: Theatre, case: Case) -> None:
    """OpenCode answers the child's prompt with 502, and takes it all the same."""
    stage.shake(LAUNCH[stage.line], 502, 1, arrives=True)
    supervisor = await stage.delegate(HALF)
    await _ends(stage, case, supervisor, Status.FAILED, Status.COMPLETED)


async def notice_refused(stage: Theatre, case: Case) -> None:
    """OpenCode answers the notice with 500, three times."""
    supervisor = await _half(stage)
    stage.shake(NOTICE[stage.line], 500, 3)
    stage.model.open("go")
    await _ends(stage, case, supervisor, Status.COMPLETED)


async def notice_refused_and_taken(stage: Theatre, case: Case) -> None:
    """OpenCode answers the notice with 502, and takes it all the same."""
    supervisor = await _half(stage)
    stage.shake(NOTICE[stage.line], 502, 2, arrives=True)
    stage.model.open("go")
    await _ends(stage, case, supervisor, Status.COMPLETED)


async def model_hangs(stage: Theatre, case: Case) -> None:
    """The model never answers: the time window ends it."""
    supervisor = await stage.delegate({"hang": True}, timeout_minutes=SHORTLY_MINUTES)
    await _ends(stage, case, supervisor, Status.TIMED_OUT)


async def _half(stage: Theatre) -> str:
    supervisor = await stage.delegate(HALF)
    await stage.model.wait_held("go")
    return supervisor


async def _is_made_up_for(stage: Theatre, case: Case, supervisor: str) -> None:
    """Check what came of a run that was cut off: it was told to go on, or left its text."""
    await _goes_on(stage, case, supervisor)
    for artifact in (stage.opencode.home.data / "delegations").rglob("*.md"):
        front, body = parse(artifact.read_text("utf-8"))
        left = WRITTEN in body if front["state"] == Status.INTERRUPTED else front.get("resumed")
        if not left:
            case.verdict.lost.append(f"what was cut off is {front['state']}, with {body!r}")


async def _goes_on(stage: Theatre, case: Case, supervisor: str) -> None:
    async with reopened(stage) as again:
        await again.listed(supervisor)
        await _ends(again, case, supervisor, *CUT_OFF)


async def _ends(stage: Theatre, case: Case, supervisor: str, *allowed: Status) -> None:
    await stage.told(supervisor)
    await judged(case, stage, frozenset(allowed))


TROUBLES: Mapping[str, Play] = {
    "OpenCode killed in a run": opencode_killed,
    "OpenCode quit in a run": opencode_quit,
    "service and OpenCode killed in a run": both_killed,
    "OpenCode killed twice in a row": killed_twice,
    "OpenCode killed after the end": opencode_killed_after_the_end,
    "HTTP 503 to a launch": launch_refused,
    "HTTP 502 to a launch that was taken": launch_refused_and_taken,
    "HTTP 500 to a notice": notice_refused,
    "HTTP 502 to a notice that was taken": notice_refused_and_taken,
    "model hangs for ever": model_hangs,
}


async def run_troubles(line: Line) -> dict[str, Case]:
    """Let every fault happen, two at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Case:
        async with limit:
            return await run_trouble(line, name)

    found = await asyncio.gather(*map(one, TROUBLES))
    return dict(zip(TROUBLES, found, strict=True))


async def run_trouble(line: Line, name: str) -> Case:
    """Let one fault happen in an OpenCode of its own."""
    case, begun = Case(f"{title_of(line)}: {name}", ()), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with theatre(Path(folder), line, ()) as stage:
            await TROUBLES[name](stage, case)
    case.seconds = time.monotonic() - begun
    return case
