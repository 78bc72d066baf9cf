"""The matrix: each scenario once unharmed, then killed at each point that it has passed.

A sample of cases is killed a second time, while the next process recovers from the first.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.faults.points import lives
from lab.faults.scenarios import Scenario
from lab.faults.stage import Died, Stage
from lab.faults.verdict import Verdict, judge_dead, judge_ended, judge_project

AT_ONCE = 2
"""Cases that run at a time: each keeps about one core busy."""

CASE_LIMIT_S = 60.0
"""A case takes half a second when the machine is idle."""

EVERY = 5
"""Of the cases with one kill, how many get one that is killed again."""

TAIL_CHARS = 1_500
"""How much of a process's last words is shown."""


@dataclass
class Case:
    """A scenario, where its processes were to be killed, and what came of it."""

    scenario: str
    plan: tuple[str, ...]
    kills: int = 0
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    lives: list[list[str]] = field(default_factory=list)
    """What each process has passed."""

    def __str__(self) -> str:
        where = ", then ".join(self.plan) or "no kill"
        return f"{self.scenario}, killed at {where}: {self.verdict}"


async def run_case(scenario: Scenario, plan: Sequence[str] | None) -> Case:
    """Play a scenario once, with one kill for each line of the plan; None sets no failpoints."""
    case = Case(scenario.name, tuple(plan or ()))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        stage = Stage(Path(name), plan, scenario.env)
        try:
            await _play(stage, scenario)
            case.verdict = await judge_project(
                stage.data, stage.supervisor, stage.endings(), scenario.endings, scenario.count
            )
            _judge_runtime(case.verdict, stage)
        except (AssertionError, TimeoutError, Died, OSError) as error:
            case.verdict.lost.append(_explained(error, stage))
        judge_dead(case.verdict, stage.pids)
        await judge_ended(case.verdict, stage.pids)
        case.lives = lives(stage.plan)
    case.kills = stage.exits.count(-signal.SIGKILL)
    case.seconds = time.monotonic() - begun
    return case


async def run_scenario(scenario: Scenario, *, first: int = 0, step: int = 1) -> list[Case]:
    """Kill a scenario at each of its points, or from the ``first`` on at every ``step``-th.

    Returns all cases, the unharmed one first.
    """
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(*plan: str) -> Case:
        async with limit:
            return await run_case(scenario, plan)

    whole = await one()
    points = whole.lives[0][first::step] if whole.verdict.is_kept else []
    single = await asyncio.gather(*map(one, points))
    twice = [plan for case in single[::EVERY] if (plan := _again(case, len(case.plan[0])))]
    return [whole, *single, *await asyncio.gather(*(one(*plan) for plan in twice))]


def _again(case: Case, number: int) -> tuple[str, str] | None:
    """Return a plan that kills the next process, too, at one of the points that it passed."""
    if len(case.lives) < 2 or not case.lives[1]:
        return None
    # Any number that differs from case to case spreads the second kills over the recovery.
    return case.plan[0], case.lives[1][number % len(case.lives[1])]


async def _play(stage: Stage, scenario: Scenario) -> None:
    async with stage.services(), asyncio.timeout(CASE_LIMIT_S):
        await scenario.play(stage)
        await stage.rest()
    crashed = [code for code in stage.exits if code not in (0, -signal.SIGKILL)]
    if crashed:
        raise AssertionError(f"a service ended by itself: {crashed}")


def _judge_runtime(verdict: Verdict, stage: Stage) -> None:
    children = [one for one in stage.runtime.sessions.values() if one.parent]
    verdict.zombies += [f"{one.name} still runs" for one in children if one.busy]
    verdict.zombies += [f"{request} is still asked" for request in stage.asked()]


def _explained(error: Exception, stage: Stage) -> str:
    logs = [stage.folder / "stderr", stage.data / "service.log"]
    texts = [log.read_text("utf-8")[-TAIL_CHARS:] for log in logs if log.exists()]
    where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    return "\n".join([f"{type(error).__name__}: {error}", where, *texts])
