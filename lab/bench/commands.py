"""The command line over very many stored delegations, each command as a whole process.

Python's start, imports and git are in the figures, since people wait for these, too.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from background_agents import config
from background_agents.adapters.projects.identity import project_id
from lab.bench.figures import Findings, judged
from lab.harness import archive
from lab.harness.archive import Plan

STORED = 100_000

CASES: Mapping[str, tuple[list[str], float]] = {
    "`bga --help`": (["--help"], 120),
    "`bga list`": (["list"], 150),
    "`bga list state:failed`": (["list", "state:failed"], 150),
    "`bga list WORD`, in one result": (["list", archive.needle(77)], 250),
    "`bga list WORD`, in one result of ten": (["list", archive.SOMETIMES], 250),
    "`bga list WORD`, in every prompt": (["list", archive.EVERYWHERE], 250),
}
"""What is run, and the median in milliseconds that is to be reached."""


async def commands(root: Path, rounds: int, stored: int = STORED) -> Findings:
    """Measure the commands over ``stored`` delegations; the cases take turns."""
    return await asyncio.to_thread(_measure, root, rounds, stored)


def _measure(root: Path, rounds: int, stored: int) -> Findings:
    project, data = root / "project", root / "data"
    project.mkdir(parents=True)
    env = {**os.environ, "XDG_DATA_HOME": str(data), "NO_COLOR": "1"}
    folder = config.data_root(env) / project_id(project, config.data_root(env))
    archive.fill(folder, Plan(stored, newest=datetime.now(UTC)))
    took: dict[str, list[float]] = {case: [] for case in CASES}
    first = _run(["list", archive.EVERYWHERE], project, env)
    for _ in range(rounds):
        for case, (words, _limit) in CASES.items():
            took[case].append(_run(words, project, env))
    over = f" over {stored:,} stored"
    return Findings(
        [
            judged(f"the first search{over}, which indexes them", [first]),
            *(judged(f"{case}{over}", took[case], most=CASES[case][1]) for case in CASES),
        ]
    )


def _run(words: list[str], project: Path, env: Mapping[str, str]) -> float:
    """Run a command to its end; return how many milliseconds that took."""
    command = [sys.executable, "-m", "background_agents", *words]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, check=True)
    took = (time.perf_counter() - started) * 1000
    if not done.stdout:
        raise AssertionError(f"{words} printed nothing")
    return took
