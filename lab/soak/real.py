"""The part of a soak on a real OpenCode, with the real bridge: work, then kills at random.

What the scripted OpenCode replaces works here: the bridge, the transport, the reading of
events, the live transcripts. At the end OpenCode itself is killed while all work.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from background_agents.domain.status import Status
from lab.faults.inside import inside_of
from lab.faults.points import pids
from lab.faults.real import KILLS_EACH, Theatre, reopened, theatre, title_of, verdict_of
from lab.harness.line import Line
from lab.soak.report import Part
from lab.soak.samples import Rest, Sample, Series, leaks, rest, sample

WIDTH = 3
"""Supervisors at a time; OpenCode has one thread, and its model and we need some time, too."""

WARM_UP, UNHARMED = 0.15, 0.45
"""The shares of the time until the first count, and from there to the first kill."""

REMEMBERED_BLOCKS = 100
"""What the adapter may remember of each delegation. It does so for its newest 1,000 sessions, which
this part does not reach: parents and newest user messages, measured at 41 pieces for each
delegation. A forgotten run holds several hundred."""

SAMPLES = 60

REST_LIMIT_S = 120.0
"""How long titles may take: each is given up after 30 s, and some wait for the one before them."""

REST_LOOKS, REST_EVERY_S = 20, 0.1
"""A receipt is stored within milliseconds of the notice, a title within a second. What a service
holds at rest is the least that is seen in this time."""

WINDOW_MINUTES, BRIEFLY_MINUTES = 0.25, 0.02
"""Time windows of 15 s, for what takes two, and of 1.2 s: a launch takes some tenths."""

PARAGRAPH = "All of this was found in the sources. " * 20

BROKEN_OFF = (AssertionError, TimeoutError, ConnectionError, aiohttp.ClientError)
"""How a play ends whose OpenCode does not go on."""


@dataclass(frozen=True)
class Work:
    """What a child does, how that ends, and how often it is chosen."""

    name: str
    steps: tuple[dict[str, object], ...]
    share: int
    ending: Status = Status.COMPLETED
    minutes: float = WINDOW_MINUTES


WORKS = (
    Work("an answer", ({"say": "Found it."},), 8),
    Work(
        "a tool call",
        ({"call": "bash", "args": {"command": "true", "description": "x"}}, {"say": "Run."}),
        4,
    ),
    Work("a long answer", ({"say": PARAGRAPH, "repeat": 60, "every_ms": 5},), 4),
    Work("a failure", ({"fail": 400, "message": "Refused."},), 2, Status.FAILED),
    Work(
        "a timeout",
        ({"say": "On. ", "repeat": 600, "every_ms": 10},),
        1,
        Status.TIMED_OUT,
        BRIEFLY_MINUTES,
    ),
)

HARMED = frozenset({Status.COMPLETED, Status.FAILED, Status.TIMED_OUT, Status.INTERRUPTED})
"""How a run may end whose OpenCode has died, or has stalled: told to go on, it may do so, be
refused, or have no time left."""


class Players:
    """Keeps some supervisors delegating, and knows how each must end."""

    def __init__(self, stage: Theatre, seed: int) -> None:
        self.told = 0
        self.broken_off: list[str] = []
        """Why plays did not come to their end; others are not begun any more then."""
        self.allowed: dict[str, frozenset[Status]] = {}
        """For each supervisor whose delegation was told as it should."""
        self._stage = stage
        self._dice = [Random(f"{seed}, real supervisor {number}") for number in range(WIDTH)]

    async def play(self, seconds: float) -> None:
        """Play for so long; return when the last play is over."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._play(dice, until) for dice in self._dice))

    async def _play(self, dice: Random, until: float) -> None:
        while time.monotonic() < until and not self.broken_off:
            (work,) = dice.choices(WORKS, [one.share for one in WORKS])
            try:
                supervisor = await self._stage.delegate(*work.steps, timeout_minutes=work.minutes)
                await self._stage.told(supervisor)
            except BROKEN_OFF as error:
                self.broken_off.append(
                    f"{work.name} was broken off: {type(error).__name__} {error}"
                )
            else:
                self.allowed[supervisor] = frozenset({work.ending})
                self.told += 1


async def work(seconds: float, seed: int, line: Line) -> tuple[Part, Series | None]:
    """Let a real OpenCode work, measure its service, then kill that at random, and OpenCode."""
    begun = time.monotonic()
    part = Part(title_of(line), 0, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        async with theatre(Path(name), line, ()) as stage:
            players = Players(stage, seed)
            series = await _unharmed(stage, players, seconds)
            if series is not None:
                part.rate = series.after.delegations / (time.monotonic() - begun)
                part.broken += [f"{part.name}: {one}" for one in leaks(series)]
            left_s = seconds * (1 - WARM_UP - UNHARMED)
            playing = asyncio.create_task(players.play(left_s))
            part.kills = await _killed(stage, playing, left_s, seed) + 1
            part.notes = [f"OpenCode went on no more, {one}" for one in players.broken_off]
            await stage.opencode.kill()
            await playing
            async with reopened(stage) as again:
                counts = await _made_up_for(again, players)
                verdict = await verdict_of(
                    again, lambda one: (players.allowed.get(one, HARMED), counts[one])
                )
    part.add(verdict)
    part.delegations = sum(counts.values())
    part.seconds = time.monotonic() - begun
    return part, series


async def _unharmed(stage: Theatre, players: Players, seconds: float) -> Series | None:
    """Let it work; return what its service held, or nothing if OpenCode did not go on."""
    await players.play(seconds * WARM_UP)
    before = await _at_rest(stage, players)
    samples: list[Sample] = []
    pace_s = max(0.1, seconds * UNHARMED / SAMPLES)
    measuring = asyncio.create_task(_measure(stage, players, samples, pace_s))
    try:
        await players.play(seconds * UNHARMED)
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
    after = await _at_rest(stage, players, before.tasks)
    return None if players.broken_off else Series(before, samples, after, REMEMBERED_BLOCKS)


async def _at_rest(stage: Theatre, players: Players, tasks: int | None = None) -> Rest:
    """Look at the service until it rests; ``tasks`` is how many it had when it rested before.

    Titles are written after the last delegation has ended, one after the other.
    """
    await stage.settled()
    await stage.left_running()
    pid, found = pids(stage.plan)[-1], list[Rest]()
    deadline = time.monotonic() + REST_LIMIT_S
    while len(found) < REST_LOOKS or (
        tasks is not None
        and min(one.tasks for one in found) > tasks
        and time.monotonic() < deadline
    ):
        found.append(rest(pid, await inside_of(pid, stage.plan), players.told))
        await asyncio.sleep(REST_EVERY_S)
    return min(found, key=lambda one: (one.tasks, one.blocks))


async def _measure(stage: Theatre, players: Players, samples: list[Sample], pace_s: float) -> None:
    begun, data = time.monotonic(), stage.opencode.home.data / "delegations"
    while True:
        # Sampling is what it says: there is no event for "some time has passed".
        await asyncio.sleep(pace_s)
        pid = pids(stage.plan)[-1]
        inside = await inside_of(pid, stage.plan)
        samples.append(sample(pid, data, inside, time.monotonic() - begun, players.told))


async def _killed(stage: Theatre, playing: asyncio.Task[None], seconds: float, seed: int) -> int:
    """Kill services at random moments while supervisors delegate; return how many."""
    dice, killed = Random(f"{seed}, kills of the real one"), set[int]()
    for _ in range(KILLS_EACH):
        await asyncio.wait([playing], timeout=seconds / KILLS_EACH * dice.uniform(0.2, 0.8))
        pid = pids(stage.plan)[-1]
        # One that was killed is the newest until the bridge has started the next.
        if pid not in killed and not playing.done():
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    await asyncio.wait([playing], timeout=seconds / KILLS_EACH)
    return len(killed)


async def _made_up_for(stage: Theatre, players: Players) -> dict[str, int]:
    """See to it that what was broken off is told; return how many each supervisor has delegated."""
    counts = dict.fromkeys(players.allowed, 1)
    for supervisor in stage.played:
        if supervisor not in counts:
            counts[supervisor] = len(await stage.listed(supervisor))
            await stage.told(supervisor, counts[supervisor])
    return counts
