"""OpenCode from its start to its first answer, with and without the plugin by turns."""

from __future__ import annotations

import time
from pathlib import Path

from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import probed
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer, script


async def start(root: Path, rounds: int, line: Line) -> Findings:
    """Measure second starts on a home, since users have a home."""
    took: dict[bool, list[float]] = {True: [], False: []}
    async with ModelServer() as model:
        for number in range(rounds + 1):
            for plugin in (False, True):
                folder = root / f"{number}-{plugin}"
                took[plugin].append(await _first_answer(folder, model, line, plugin))
    without, with_plugin = took[False][1:], took[True][1:]
    return Findings(
        [
            judged("OpenCode start → first answer, without plugin", without),
            judged("OpenCode start → first answer, with plugin", with_plugin),
        ],
        [compared("OpenCode start, with / without plugin", with_plugin, without, most=1.03)],
    )


async def _first_answer(root: Path, model: ModelServer, line: Line, plugin: bool) -> float:
    async with probed(root, model, line, plugin=plugin) as opencode:
        await _answer(opencode)
        await opencode.end()
        started = time.perf_counter()
        await opencode.start()
        await _answer(opencode)
        return (time.perf_counter() - started) * 1000


async def _answer(opencode: OpenCode) -> None:
    async with opencode.client() as client:
        session = await client.create_session()
        await client.run(session, "Say it. " + script({"say": "It."}))
