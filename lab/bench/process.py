"""What the service process costs: to start it, to hold a thousand active, to hear their events."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import WARM_UP
from lab.bench.service import Service, bare_start_ms, cpu_s, running_service, start_ms

ACTIVE = 1_000
"""The most that the settings allow at once in one project."""

WATCHED_S = 10.0
"""How long the processor time is watched, with events and without."""

TICK_S = 0.02
"""Events are sent in small groups, as they would come; each child has one per second."""

WORDS = "and a few more words "


async def starting(root: Path, rounds: int) -> Findings:
    """Measure starts on a home that knows the project, by turns with a bare Python."""
    took, memory, bare = [], [], []
    for _ in range(WARM_UP + rounds):
        ms, kb = await start_ms(root)
        took.append(ms)
        memory.append(kb / 1024)
        bare.append(await bare_start_ms())
    return Findings(
        [
            judged("service process: start → first answer", took[WARM_UP:], most=250),
            judged("Python, asyncio, sqlite3 and msgspec: start → end", bare[WARM_UP:]),
            judged("service process: memory after that", memory[WARM_UP:], "MB", most=60),
        ],
        [compared("service start / bare Python", took[WARM_UP:], bare[WARM_UP:])],
    )


async def calls_alone(root: Path, rounds: int) -> Findings:
    """Measure what a call costs in the service alone, with a clock that counts microseconds.

    One delegation runs and the others wait for its slot, so that no launch is in the figures.
    """
    refused, delegated = [], []
    async with running_service(root, {"BACKGROUND_AGENTS_MAX_CONCURRENT": "1"}) as service:
        for number in range(WARM_UP + rounds):
            # In steps of a person's pace: the disk, too, has to be found at rest.
            await asyncio.sleep(TICK_S)
            refused.append(await _took_ms(service.refused("delegation_peek", id="?")))
            prompt = f"Task {number}. Look it up."
            call = service.tool("delegate", prompt=prompt, agent="general")
            delegated.append(await _took_ms(call))
    return Findings(
        [
            judged("service alone: a call that is refused", refused[WARM_UP:]),
            judged("service alone: `delegate`, its commit fsynced", delegated[WARM_UP:]),
        ]
    )


async def _took_ms(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1000


async def thousand_active(
    root: Path, active: int = ACTIVE, watched_s: float = WATCHED_S
) -> Findings:
    """Measure what a thousand active delegations hold and what their events cost; once."""
    env = {"BACKGROUND_AGENTS_MAX_CONCURRENT": str(active)}
    async with running_service(root, env) as service:
        await service.tool("delegation_list")
        before = service.memory_kb
        for number in range(active):
            await service.tool("delegate", prompt=f"Task {number}. Look it up.", agent="general")
        await _all_begun(service, active)
        await _stream(service, service.children, 2.0)
        each = (service.memory_kb - before) / active
        await _check(service, active)
        moving = await share(service.pid, _stream(service, service.children, watched_s))
        quiet = await share(service.pid, asyncio.sleep(watched_s))
    name = f"{active:,} active"
    return Findings(
        [
            judged(f"{name}: memory of each", [each], "KB", most=60),
            judged(f"{name}, an event per second each: share of a core", [moving], "%", most=5),
            judged(f"{name}, without events: share of a core", [quiet], "%"),
        ]
    )


async def _all_begun(service: Service, count: int) -> None:
    async with asyncio.timeout(60):
        while len(service.children) < count:
            await service.tool("delegation_list")


async def _check(service: Service, count: int) -> None:
    """Raise unless all run, and what they write is heard."""
    status = await service.tool("delegation_status")
    more = re.search(r"… and (\d+) more", status)
    running = status.count("[running]") + (int(more.group(1)) if more else 0)
    if running != count or WORDS.strip() not in status:
        raise AssertionError(f"not all {count} are active and write:\n{status}")


async def _stream(service: Service, children: Sequence[str], seconds: float) -> None:
    """Let every child write a few words each second."""
    begun, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        due = int(passed * len(children))
        for number in range(sent, due):
            service.stream(children[number % len(children)], WORDS)
        sent = due
        await asyncio.sleep(TICK_S)


async def share(pid: int, meanwhile: Awaitable[None]) -> float:
    """Return how much of a core a process took while something went on, in per cent."""
    begun, computed = time.perf_counter(), cpu_s(pid)
    await meanwhile
    return 100 * (cpu_s(pid) - computed) / (time.perf_counter() - begun)
