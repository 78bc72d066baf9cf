"""Tries apart: until an agent in a fresh copy of the project answers, and what copies cost."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from background_agents.adapters.isolation.applying import IsolatedWorktrees
from lab.bench.figures import Findings, judged
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.opencode import running_opencode
from lab.model_server import ModelRequest, ModelServer, script

T = TypeVar("T")

FILES, FOLDERS, CHANGED = 50_000, 250, 10
"""A large repository; an agent changes a handful of its files."""

NAME = "brave-amber-otter"


async def first_answers(root: Path, rounds: int, line: Line) -> Findings:
    """Measure from the call of ``delegate`` to what an agent asks its model in a fresh copy."""
    took: list[float] = []
    async with (
        ModelServer(dialect=dialect(line)) as model,
        running_opencode(root, model.base_url, line) as opencode,
        opencode.client() as client,
    ):
        for number in range(rounds + 1):
            gate = f"try {number}"
            prompt = f"Try {number}. " + script({"say": "Tried.", "gate": gate})
            args = {"prompt": prompt, "agent": "general", "isolation": "worktree"}
            steps = script({"call": "delegate", "args": args}, {"say": "Off."})
            await client.run(await client.create_session(), f"Begin {number}. {steps}")
            await model.wait_held(gate)
            begun = [one for one in model.requests if f"Begin {number}." in one.text]
            (held,) = [one for one in model.requests if one.gate == gate]
            took.append((held.started_s - (begun[0].ended_s or 0)) * 1000)
            model.open(gate)
            # Its end closes the copy, which would go on beside the next round.
            await model.wait_for(partial(_is_told, begin=f"Begin {number}."))
    return Findings([judged("delegate → first request in a fresh tree", took[1:], most=2_500)])


def _is_told(request: ModelRequest, *, begin: str) -> bool:
    return begin in request.text and "<task-notification>" in request.text


async def trees(root: Path, rounds: int) -> Findings:
    """Measure a tree of 50,000 files: its copy, what was changed in it, and taking it over."""
    return await asyncio.to_thread(_trees, root, rounds)


def _trees(root: Path, rounds: int) -> Findings:
    main, data = root / "main", root / "data"
    data.mkdir(parents=True)
    _fill(main)
    tries = IsolatedWorktrees(data)
    copying, made = _timed(lambda: tries.prepare(NAME, str(main)))
    for number in range(CHANGED):
        (Path(made.directory) / f"{number}" / "0.txt").write_text("changed\n")
    seeing = [_timed(lambda: tries.changes(NAME))[0] for _ in range(rounds)]
    planning = [_timed(lambda: tries.plan(NAME))[0] for _ in range(rounds)]
    plan = tries.plan(NAME)
    applying, _ = _timed(lambda: tries.apply(plan, NAME))
    what = f"{FILES:,} files"
    return Findings(
        [
            judged(f"a tree of its own, {what}", [copying]),
            judged(f"what was changed in it, {what}", seeing, most=300),
            judged(f"merged with the project, {what}", planning, most=300),
            judged(f"{CHANGED} files written into the project", [applying], most=300),
        ]
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    done = work()
    return (time.perf_counter() - started) * 1000, done


def _fill(main: Path) -> None:
    for folder in range(FOLDERS):
        (main / f"{folder}").mkdir(parents=True)
        for number in range(FILES // FOLDERS):
            (main / f"{folder}" / f"{number}.txt").write_text(f"{folder} {number}\n" * 20)
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    for command in (
        ("init", "-q"),
        ("add", "-A"),
        (*who, "commit", "-q", "-m", "All"),
        ("status",),
    ):
        subprocess.run(["git", *command], cwd=main, check=True, capture_output=True)
