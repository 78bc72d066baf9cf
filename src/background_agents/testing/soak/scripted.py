"""The part of a soak on the scripted OpenCode: one long life, then many short ones.

The first tells whether a service holds more and more, the second whether anything gets lost
when services die at moments that nobody has chosen, with thousands of delegations stored.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from background_agents.testing.faults.stage import Stage
from background_agents.testing.faults.verdict import judge_dead, judge_ended
from background_agents.testing.soak.crowd import Crowd
from background_agents.testing.soak.report import Part
from background_agents.testing.soak.samples import Rest, Sample, Series, leaks, rest, sample

WIDTH = 16
"""Supervisors at a time. With more of them the rate stays, and each waits longer."""

PLACES = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "12"}
"""Fewer than what the supervisors delegate, so that there is always a queue."""

WARM_UP, WARM_UP_TOLD = 0.15, 700
"""The share of the long life, and the delegations, before anything is counted: the heap finds its
size, and the service remembers 500 notices."""

SAMPLES = 300
"""Of the long life; at least a tenth of a second apart, a sample being a call that costs one."""

BETWEEN_KILLS_S = (0.5, 4.0)
"""A life of this length gets some way into its work; about as long as a service takes to recover
with all seats taken, times five."""

AGAIN_AT_ONCE, AT_ONCE_S = 0.3, (0.0, 0.6)
"""How often, and how soon, the next service is killed while it starts and recovers."""

MOST_LIVES = 100_000


@asynccontextmanager
async def crowded(folder: Path, seed: int) -> AsyncIterator[tuple[Stage, Crowd]]:
    """Run services for a crowd of supervisors."""
    stage = Stage(folder, None, PLACES, most_lives=MOST_LIVES)
    crowd = Crowd(stage, seed, WIDTH)
    async with stage.services():
        yield stage, crowd


async def long_life(stage: Stage, crowd: Crowd, seconds: float) -> tuple[Part, Series]:
    """Let one service work all the time, and measure it."""
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


async def many_lives(stage: Stage, crowd: Crowd, seconds: float, seed: int) -> Part:
    """Let services be killed at random while they work."""
    begun, ended, deaths = time.monotonic(), crowd.told, len(stage.exits)
    killing = asyncio.create_task(_kill(stage, Random(f"{seed}, kills")))
    try:
        await crowd.play(lasting(seconds))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
    spent_s = time.monotonic() - begun
    told = crowd.told - ended
    kills = stage.exits[deaths:].count(-signal.SIGKILL)
    return Part("killed at random", spent_s, told, told / spent_s, kills)


async def finish(stage: Stage, crowd: Crowd) -> None:
    """Let the service come to rest and all supervisors leave."""
    await stage.rest()
    crowd.clear()


async def judge(stage: Stage, crowd: Crowd, part: Part) -> None:
    """Judge both parts together, after the last service has ended."""
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
        at_once = dice.random() < AGAIN_AT_ONCE
        await asyncio.sleep(dice.uniform(*(AT_ONCE_S if at_once else BETWEEN_KILLS_S)))
        await stage.until(lambda: stage.lives)
        await stage.kill()


def lasting(seconds: float) -> Callable[[], bool]:
    """Return what says whether so much time has not passed yet."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until
