"""What the panel costs OpenCode's screen: its start, and to show what moves."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from background_agents.hosts.cli.installing import panel as installed
from lab.bench.figures import Findings, compared, judged
from lab.bench.process import share
from lab.bench.service import Service, running_service
from lab.harness.tui import Tui, running_tui
from lab.model_server import ModelServer, script

ACTIVE = 100

TICK_S = 0.1
"""Each of them writes a few words at every tick."""

WATCHED_S = 20.0

SIZE = (160, 45)
"""Columns and rows: wide enough for the sidebar."""

LIMIT_S = 60.0


async def panel(root: Path, rounds: int) -> Findings:
    """Measure OpenCode's screen by turns without the panel and with it, beside the real service."""
    starts: dict[bool, list[float]] = {False: [], True: []}
    shares: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds):
        for has_panel in (False, True):
            start, taken = await _round(root / f"{number}-{has_panel}", has_panel=has_panel)
            starts[has_panel].append(start)
            shares[has_panel].append(taken)
    more = [ours - bare for ours, bare in zip(shares[True], shares[False], strict=True)]
    name = f"OpenCode's screen, {ACTIVE} delegations that move {1 / TICK_S:g} times a second"
    return Findings(
        [
            judged("OpenCode's screen: start, without panel", starts[False]),
            judged("OpenCode's screen: start, with panel", starts[True]),
            judged(f"{name}: share of a core, without panel", shares[False], "%"),
            judged(f"{name}: more of it with panel", more, "%", most=3),
        ],
        [compared("OpenCode's screen: start with / without panel", starts[True], starts[False])],
    )


async def _round(root: Path, *, has_panel: bool) -> tuple[float, float]:
    """Return how long a start took, in ms, and what share of a core the screen then takes."""
    screen = {"plugin": [str(installed.SCRIPT)] if has_panel else []}
    begun = time.perf_counter()
    async with (
        ModelServer() as model,
        running_tui(
            root, model.base_url, evidence=root / "screens", screen=screen, size=SIZE, serves=False
        ) as tui,
    ):
        start_ms = (time.perf_counter() - begun) * 1000
        await tui.send(f"Hello. {script({'say': 'hello ', 'repeat': 3})}")
        await tui.shows("hello hello hello", timeout_s=LIMIT_S)
        settings = {
            "XDG_DATA_HOME": str(root / "data"),
            "BACKGROUND_AGENTS_MAX_CONCURRENT": str(ACTIVE),
        }
        async with running_service(root, settings) as service:
            service.supervisor = await asyncio.to_thread(_session, tui)
            for number in range(ACTIVE):
                await service.tool("delegate", prompt=f"Task {number}.", agent="general")
            await _stream(service, 2.0)
            if has_panel:
                await tui.shows(f"{ACTIVE} running", "Task 0", timeout_s=LIMIT_S)
            return start_ms, await share(tui.pid, _stream(service, WATCHED_S))


def _session(tui: Tui) -> str:
    (database,) = tui.home.data.glob("opencode*.db")
    with closing(sqlite3.connect(database)) as connection:
        ((name,),) = connection.execute("SELECT id FROM session")
    return str(name)


async def _stream(service: Service, seconds: float) -> None:
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for number, child in enumerate(service.children):
            service.stream(child, f"and {number} more words ")
        await asyncio.sleep(TICK_S)
