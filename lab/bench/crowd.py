"""Many delegations at once until all are notified, against as many bare children.

Two OpenCodes are up at the same time and take turns: one with the plugin, one without. The
one without runs the children over the API, all at the same moment, and then once more by its
own ``task`` in the background, for a supervisor who calls it as ours does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from background_agents.service.delivery.titles import MOST_WAITING
from background_agents.testing.scripts import NATIVE_NOTICE
from lab.bench.calls import CHILD
from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import NATIVE, at_rest, probed
from lab.harness.client import Events, OpenCodeClient
from lab.harness.client.events import Deleted, Idle, TextStored
from lab.model_server import ModelServer, script

TURNS: Mapping[int, int] = {10: 6, 50: 3, 200: 1}
"""How often each crowd is measured: two hundred children take many seconds."""

MOST_NATIVE = 50
"""Two hundred native tasks take longer than all else here; ten and fifty show the ratio."""

LIMIT_S = 300.0
"""Two hundred children on a slow machine."""


async def crowds(root: Path, turns: Mapping[int, int] = TURNS) -> Findings:
    """Measure crowds with and without the plugin by turns."""
    found = Findings()
    async with (
        ModelServer() as model,
        probed(root / "with", model, at_once=max(turns)) as ours,
        probed(root / "without", model, plugin=False, env=NATIVE) as bare,
        ours.client() as with_plugin,
        bare.client() as without,
    ):
        for size, count in turns.items():
            took: dict[str, list[float]] = {"ours": [], "bare": [], "native": []}
            for _ in range(count):
                took["ours"].append(await _delegated(with_plugin, size, OURS))
                took["bare"].append(await _bare(without, size))
                if size <= MOST_NATIVE:
                    took["native"].append(await _delegated(without, size, THEIRS))
            found += _of(size, took)
    return found


def _of(size: int, took: Mapping[str, list[float]]) -> Findings:
    ours, bare, native = took["ours"], took["bare"], took["native"]
    found = Findings(
        [
            judged(f"{size} delegations at once until all are notified", ours),
            judged(f"{size} bare children at once", bare),
        ],
        [compared(f"{size} delegations / bare children", ours, bare, most=1.05)],
    )
    if native:
        case = f"{size} native tasks at once until all are notified"
        found.figures.append(judged(case, native))
        found.ratios.append(compared(f"{size} delegations / native tasks", ours, native))
    return found


class Kind(NamedTuple):
    """A way to delegate."""

    call: Callable[[str], dict[str, object]]
    notice: str
    """How the news of an ending begins."""
    titles: int
    """For how many, at least, a small model writes a title, in a session that is then deleted."""


def _delegate(prompt: str) -> dict[str, object]:
    return {"call": "delegate", "args": {"prompt": prompt, "agent": "general"}}


def _task(prompt: str) -> dict[str, object]:
    about = {"description": "Look it up", "subagent_type": "general", "background": True}
    return {"call": "task", "args": {**about, "prompt": prompt}}


OURS = Kind(_delegate, "<task-notification>", MOST_WAITING)

THEIRS = Kind(_task, NATIVE_NOTICE, 0)


async def _delegated(client: OpenCodeClient, size: int, kind: Kind) -> float:
    """Let a supervisor delegate ``size`` tasks; return ms until it is told of the last."""
    supervisor = await client.create_session()
    tasks = [kind.call(f"Task {number}. {CHILD}") for number in range(size)]
    prompt = "Begin. " + script({"calls": tasks}, {"say": "All are off."})
    async with client.events() as events:
        started = time.perf_counter()
        await client.prompt(supervisor, prompt)
        told: set[str] = set()

        def last(one: TextStored) -> bool:
            if one.session == supervisor and one.text.startswith(kind.notice):
                told.add(one.part)
            return len(told) >= size

        await events.fact(TextStored, last, timeout_s=LIMIT_S)
        took = (time.perf_counter() - started) * 1000
        await _all_deleted(events, min(size, kind.titles))
        await at_rest(client, events)
    return took


async def _all_deleted(events: Events, count: int) -> None:
    """Return once what follows a crowd is over, so that the next turn has the machine."""
    if not count:
        return
    deleted = 0

    def last(_: Deleted) -> bool:
        nonlocal deleted
        deleted += 1
        return deleted >= count

    await events.fact(Deleted, last, timeout_s=LIMIT_S)


async def _bare(client: OpenCodeClient, size: int) -> float:
    """Run ``size`` children over the API; return ms until the last of them is idle."""
    parent = await client.create_session()
    async with client.events() as events:
        started = time.perf_counter()
        at_work = set(await asyncio.gather(*(_child(client, parent, n) for n in range(size))))

        def last(one: Idle) -> bool:
            at_work.discard(one.session)
            return not at_work

        await events.fact(Idle, last, timeout_s=LIMIT_S)
        took = (time.perf_counter() - started) * 1000
        await at_rest(client, events)
    return took


async def _child(client: OpenCodeClient, parent: str, number: int) -> str:
    session = await client.create_session(f"Child {number}", parent=parent)
    await client.prompt(session, f"Task {number}. {CHILD}", agent="general")
    return session
