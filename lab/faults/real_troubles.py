"""Faults that need a real OpenCode: it is killed, answers with errors, or its model hangs.

Each has an OpenCode of its own, or all follow one another in the same home.
"""

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
from lab.faults.real import AT_ONCE, Theatre, judged, looked_at, reopened, theatre, title_of
from lab.harness.line import Line

Due = tuple[str, frozenset[Status]]
"""A supervisor, and how what it has delegated may have ended."""

Play = Callable[[Theatre, Case], Awaitable[Due]]
"""Goes on until the only delegation of a new supervisor was told."""

COMPLETED = frozenset({Status.COMPLETED})

CUT_OFF = COMPLETED | {Status.INTERRUPTED}
"""A run that died with its OpenCode is told to go on, or ends as interrupted."""

WRITTEN = "Half of it. " * 3
"""What a child has written once its model waits at its gate."""

SHORTLY_MINUTES = 0.02

LAUNCH = {Line.ONE: "/prompt_async", Line.TWO: "/prompt"}
NOTICE = {Line.ONE: "/prompt_async", Line.TWO: "/synthetic"}
"""How the paths end by which a line takes a child's prompt, and a notice."""


async def opencode_killed(stage: Theatre, case: Case) -> Due:
    """OpenCode dies in the middle of a run."""
    supervisor, _ = await _half(stage)
    await stage.opencode.kill()
    case.kills += 1
    return await _made_up_for(stage, case, supervisor)


async def opencode_quit(stage: Theatre, case: Case) -> Due:
    """OpenCode is quit in the middle of a run."""
    supervisor, _ = await _half(stage)
    await stage.opencode.terminate()
    return await _made_up_for(stage, case, supervisor)


async def both_killed(stage: Theatre, case: Case) -> Due:
    """The service dies, and OpenCode right after it."""
    supervisor, _ = await _half(stage)
    os.kill(pids(stage.plan)[-1], signal.SIGKILL)
    await stage.opencode.kill()
    case.kills += 2
    return await _made_up_for(stage, case, supervisor)


async def killed_twice(stage: Theatre, case: Case) -> Due:
    """OpenCode dies, and again as soon as it has been started."""
    supervisor, _ = await _half(stage)
    await stage.opencode.kill()
    async with reopened(stage) as again:
        await again.listed(supervisor)
        await again.opencode.kill()
    case.kills += 2
    return await _made_up_for(stage, case, supervisor)


async def opencode_killed_after_the_end(stage: Theatre, case: Case) -> Due:
    """OpenCode dies when all was told: nothing is told again."""
    supervisor = await stage.delegate({"say": "Found it."})
    await stage.told(supervisor)
    await stage.settled()
    await stage.opencode.kill()
    case.kills += 1
    return await _gone_on(stage, supervisor)


async def launch_refused(stage: Theatre, _case: Case) -> Due:
    """OpenCode answers the child's prompt with 503."""
    stage.shake(LAUNCH[stage.line], 503, 1)
    return await _told(stage, await stage.delegate({"say": "Found it."}), Status.FAILED)


async def launch_refused_and_taken(stage: Theatre, _case: Case) -> Due:
    """OpenCode answers the child's prompt with 502, and takes it all the same."""
    stage.shake(LAUNCH[stage.line], 502, 1, arrives=True)
    supervisor = await stage.delegate(_half_at("never opened"))
    return await _told(stage, supervisor, Status.FAILED, Status.COMPLETED)


async def notice_refused(stage: Theatre, _case: Case) -> Due:
    """OpenCode answers the notice with 500, three times."""
    supervisor, gate = await _half(stage)
    stage.shake(NOTICE[stage.line], 500, 3)
    stage.model.open(gate)
    return await _told(stage, supervisor, Status.COMPLETED)


async def notice_refused_and_taken(stage: Theatre, _case: Case) -> Due:
    """OpenCode answers the notice with 502, and takes it all the same."""
    supervisor, gate = await _half(stage)
    stage.shake(NOTICE[stage.line], 502, 2, arrives=True)
    stage.model.open(gate)
    return await _told(stage, supervisor, Status.COMPLETED)


async def model_hangs(stage: Theatre, _case: Case) -> Due:
    """The model never answers: the time window ends it."""
    supervisor = await stage.delegate({"hang": True}, timeout_minutes=SHORTLY_MINUTES)
    return await _told(stage, supervisor, Status.TIMED_OUT)


def _half_at(gate: str) -> dict[str, object]:
    return {"say": "Half of it. ", "repeat": 3, "every_ms": 20, "gate": gate}


async def _half(stage: Theatre) -> tuple[str, str]:
    """Let a supervisor delegate what stands at a gate; return both."""
    gate = f"go {len(stage.played)}"
    supervisor = await stage.delegate(_half_at(gate))
    await stage.model.wait_held(gate)
    return supervisor, gate


async def _made_up_for(stage: Theatre, case: Case, supervisor: str) -> Due:
    """Check what came of a run that was cut off: it was told to go on, or left its text."""
    due = await _gone_on(stage, supervisor)
    for artifact in (stage.opencode.home.data / "delegations").glob(f"*/{supervisor}/*.md"):
        front, body = parse(artifact.read_text("utf-8"))
        left = WRITTEN in body if front["state"] == Status.INTERRUPTED else front.get("resumed")
        if not left:
            case.verdict.lost.append(f"what was cut off is {front['state']}, with {body!r}")
    return due


async def _gone_on(stage: Theatre, supervisor: str) -> Due:
    async with reopened(stage) as again:
        await again.listed(supervisor)
        return await _told(again, supervisor, *CUT_OFF)


async def _told(stage: Theatre, supervisor: str, *allowed: Status) -> Due:
    await stage.told(supervisor)
    return supervisor, frozenset(allowed)


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
    """Let every fault happen in an OpenCode of its own, two at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Case:
        async with limit:
            return await run_in_turn(line, name)

    found = await asyncio.gather(*map(one, TROUBLES))
    return dict(zip(TROUBLES, found, strict=True))


async def run_in_turn(line: Line, *names: str) -> Case:
    """Let faults happen one after the other in the home of one OpenCode."""
    case, begun = Case(f"{title_of(line)}: {', '.join(names)}", ()), time.monotonic()
    allowed: dict[str, frozenset[Status]] = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        async with theatre(Path(folder), line, ()) as stage:
            for name in names:
                async with looked_at(stage) as now:
                    supervisor, allowed[supervisor] = await TROUBLES[name](now, case)
            async with looked_at(stage) as now:
                await judged(case, now, lambda one: (allowed[one], 1))
    case.seconds = time.monotonic() - begun
    return case
