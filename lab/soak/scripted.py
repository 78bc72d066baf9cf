"""The part of a soak on the scripted OpenCode: one long life, then many short ones.

The first tells whether a service holds more and more, the second whether anything gets lost
when services die at moments that nobody has chosen. Each has a project of its own: after a long
life one holds so many delegations that a service takes seconds to open it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from lab.faults.stage import Stage
from lab.faults.verdict import judge_dead, judge_ended
from lab.soak.crowd import Crowd
from lab.soak.report import Part
from lab.soak.samples import Rest, Sample, Series, leaks, rest, sample

WIDTH = 16
"""Supervisors at a time. With more of them the rate stays, and each waits longer."""

PLACES = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "12"}
"""Fewer than what the supervisors delegate, so that there is always a queue."""

WARM_UP, WARM_UP_TOLD = 0.15, 700
"""The share of the long life, and the delegations, before anything is counted: the heap finds its
size, and the service remembers 500 notices."""

SAMPLES = 300
"""Of the long life; at least a tenth of a second apart, a sample being a call that costs one."""

LIVES_S = (0.2, 3.0)
"""How long a service lives from its first answer on: it gets some way into its work."""

AGAIN_AT_ONCE, AT_ONCE_S = 0.3, (0.0, 0.6)
"""How often, and how soon, a service is killed from its start on, while it opens the project and
recovers; which takes about so long."""

MOST_LIVES = 100_000


@asynccontextmanager
async def crowded(folder: Path, seed: int) -> AsyncIterator[tuple[Stage, Crowd]]:
    """Run services for a crowd of supervisors."""
    stage = Stage(folder, None, PLACES, most_lives=MOST_LIVES)
    crowd = Crowd(stage, seed, WIDTH)
    async with stage.services():
        yield stage, crowd


async def long_life(folder: Path, seconds: float, seed: int) -> tuple[Part, Series]:
    """Let one service work all the time, measure it, and judge what it leaves."""
    async with crowded(folder, seed) as (stage, crowd):
        part, series = await measured(stage, crowd, seconds)
    await judge(stage, crowd, part)
    return part, series


async def many_lives(folder: Path, seconds: float, seed: int) -> Part:
    """Let services be killed at random while they work, and judge what they leave."""
    async with crowded(folder, seed) as (stage, crowd):
        part = await _killed(stage, crowd, seconds, seed)
        await finish(stage, crowd)
    await judge(stage, crowd, part)
    return part


async def measured(stage: Stage, crowd: Crowd, seconds: float) -> tuple[Part, Series]:
    """Let a service work, and compare what it holds at the beginning and at the end."""
    begun = time.monotonic()
    warming = lasting(seconds * WARM_UP)
    await crowd.play(lambda: warming() or crowd.told < WARM_UP_TOLD)
    before = await _at_rest(stage, crowd)
    ended, working_s = crowd.told, time.monotonic()
    samples: list[Sample] = []
    left_s = seconds * (1 - WARM_UP)
    measuring = asyncio.create_task(_measure(stage, crowd, samples, max(0.1, left_s / SAMPLES)))
    try:
        await crowd.play(lasting(left_s))
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
    spent_s = time.monotonic() - working_s
    rate = (crowd.told - ended) / spent_s
    series = Series(before, samples, await _at_rest(stage, crowd))
    part = Part("one long life", time.monotonic() - begun, crowd.told, rate, 0)
    part.broken += [f"one long life: {one}" for one in leaks(series)]
    if len(stage.pids) > 1:
        part.broken.append(f"the service died {len(stage.exits)} times by itself: {stage.exits}")
    return part, series


async def _killed(stage: Stage, crowd: Crowd, seconds: float, seed: int) -> Part:
    begun = time.monotonic()
    killing = asyncio.create_task(_kill(stage, Random(f"{seed}, kills")))
    try:
        await crowd.play(lasting(seconds))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
    spent_s = time.monotonic() - begun
    kills = stage.exits.count(-signal.SIGKILL)
    return Part("killed at random", spent_s, crowd.told, crowd.told / spent_s, kills)


async def finish(stage: Stage, crowd: Crowd) -> None:
    """Let the service come to rest and all supervisors leave."""
    await stage.rest()
    crowd.clear()


async def judge(stage: Stage, crowd: Crowd, part: Part) -> None:
    """Judge every delegation, after the last service has ended."""
    verdict = await crowd.judge()
    judge_dead(verdict, stage.pids)
    await judge_ended(verdict, stage.pids)
    crashed = [code for code in stage.exits if code not in (0, -signal.SIGKILL)]
    if crashed:
        verdict.lost.append(f"services ended by themselves: {crashed}")
    part.add(verdict)


async def _at_rest(stage: Stage, crowd: Crowd) -> Rest:
    await finish(stage, crowd)
    # What the supervisors' leaving has set going ends with the next answer.
    await stage.rest()
    return rest(stage.pids[-1], await stage.inside(), crowd.told)


async def _measure(stage: Stage, crowd: Crowd, samples: list[Sample], pace_s: float) -> None:
    begun = time.monotonic()
    while True:
        # Sampling is what it says: there is no event for "some time has passed".
        await asyncio.sleep(pace_s)
        inside = await stage.inside()
        at_s = time.monotonic() - begun
        samples.append(sample(stage.pids[-1], stage.data, inside, at_s, crowd.told))


async def _kill(stage: Stage, dice: Random) -> None:
    while True:
        await stage.until(lambda: stage.lives)
        if dice.random() < AGAIN_AT_ONCE:
            await asyncio.sleep(dice.uniform(*AT_ONCE_S))
        else:
            await stage.insist("delegation_list")
            await asyncio.sleep(dice.uniform(*LIVES_S))
        await stage.kill()


def lasting(seconds: float) -> Callable[[], bool]:
    """Return what says whether so much time has not passed yet."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until
