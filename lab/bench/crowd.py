"""Many delegations at once until all are notified, against as many bare children.

Two OpenCodes are up at the same time and take turns: one with the plugin, one without. The
one without runs the children over the API, all at the same moment, and then once more by its
own subagents in the background, for a supervisor who calls it as ours does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from background_agents.service.delivery.titles import MOST_WAITING
from background_agents.testing.scripts import NATIVE_NOTICES, NOTICE
from lab.bench import native
from lab.bench.calls import CHILD
from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import NATIVE, at_rest, probed
from lab.harness.client import Events, OpenCodeClient
from lab.harness.client.events import Deleted, Idle, TextStored
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.model_server import ModelServer, script

TURNS: Mapping[int, int] = {10: 6, 50: 3, 200: 1}
"""How often each crowd is measured: two hundred children take many seconds."""

MOST_NATIVE = 50
"""Two hundred native subagents take longer than all else here; ten and fifty show the ratio."""

LIMIT_S = 300.0
"""Two hundred children on a slow machine."""


async def crowds(root: Path, line: Line, turns: Mapping[int, int] = TURNS) -> Findings:
    """Measure crowds with and without the plugin by turns."""
    found = Findings()
    async with (
        ModelServer(dialect=dialect(line)) as model,
        probed(root / "with", model, line, at_once=max(turns)) as ours,
        probed(root / "without", model, line, plugin=False, env=NATIVE) as bare,
        ours.client() as with_plugin,
        bare.client() as without,
    ):
        for size, count in turns.items():
            took: dict[str, list[float]] = {"ours": [], "bare": [], "native": []}
            for _ in range(count):
                took["ours"].append(await _delegated(with_plugin, size, OURS[line]))
                took["bare"].append(await _bare(without, size, line))
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
        case = f"{size} native subagents at once until all are notified"
        found.figures.append(judged(case, native))
        found.ratios.append(compared(f"{size} delegations / native subagents", ours, native))
    return found


class Kind(NamedTuple):
    """A way to delegate."""

    call: Callable[[str], dict[str, object]]
    notice: tuple[str, ...]
    """How the news of an ending may begin."""
    titles: int
    """For how many, at least, a small model writes a title, in a session that is then deleted."""


OURS = {
    Line.ONE: Kind(native.delegate, (NOTICE,), MOST_WAITING),
    # No session is needed there to ask a model for a title.
    Line.TWO: Kind(native.delegate, (NOTICE,), 0),
}

THEIRS = Kind(native.task, NATIVE_NOTICES, 0)


async def _delegated(client: OpenCodeClient, size: int, kind: Kind) -> float:
    """Let a supervisor delegate ``size`` tasks; return ms until it is told of the last."""
    supervisor = await client.create_session()
    tasks = [kind.call(f"Task {number}. {CHILD}") for number in range(size)]
    prompt = "Begin. " + script({"calls": tasks}, {"say": "All are off."})
    async with client.events() as events:
        started = time.perf_counter()
        await client.prompt(supervisor, prompt)
        told: dict[str, int] = {}

        def last(one: TextStored) -> bool:
            if one.session == supervisor:
                # OpenCode 2 has no parts in a message: there several come as one text.
                told[one.part] = sum(map(one.text.count, kind.notice))
            return sum(told.values()) >= size

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


async def _bare(client: OpenCodeClient, size: int, line: Line) -> float:
    """Run ``size`` children over the API; return ms until the last of them is idle."""
    parent = await client.create_session()
    async with client.events() as events:
        started = time.perf_counter()
        launches = [
            native.launch(client, line, f"Task {number}. {CHILD}", parent) for number in range(size)
        ]
        at_work = set(await asyncio.gather(*launches))

        def last(one: Idle) -> bool:
            at_work.discard(one.session)
            return not at_work

        await events.fact(Idle, last, timeout_s=LIMIT_S)
        took = (time.perf_counter() - started) * 1000
        await at_rest(client, events)
    return took
