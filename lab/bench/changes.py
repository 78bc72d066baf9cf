"""What the journal of changes costs a background agent's tools, as the plugin waits for it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import msgspec

from lab.bench import native
from lab.bench.calls import NOTICED
from lab.bench.figures import Findings, judged
from lab.bench.probed import WARM_UP, probed, stamps_file
from lab.harness.dialect import dialect
from lab.harness.home import Home
from lab.harness.line import Line
from lab.model_server import ModelServer, script

PAUSES_MS = {0: 200, 50_000: 500}
"""How long a model thinks between two calls, by how many files there are beside the first one: less
than any does, and enough for the look behind a command."""

MOST_MS = {("write", 0): 10, ("bash", 0): 10, ("bash", 50_000): 100}

PER_FOLDER = 100

COMMIT_S = 120.0

MEASURED_S = 180.0
"""Until the probe has measured; OpenCode 1 takes pictures of its own of 50,000 files."""

READS: list[dict[str, object]] = [
    {"call": "read", "args": {"filePath": "README.md", "limit": n + 1}} for n in range(5)
]


class Noted(msgspec.Struct):
    """What the probe has measured in a background agent's session."""

    took_ms: dict[str, list[float]]
    """By tool: how long the hooks before and after a call took together."""
    while_reading: int
    """How often the service was asked about a call while the agent only read."""


async def changes(root: Path, rounds: int, line: Line) -> Findings:
    """Measure in a small repository and in one of 50,000 files."""
    found = Findings()
    for count in PAUSES_MS:
        noted = await _noted(root / str(count), WARM_UP + rounds, line, count)
        for tool, took in noted.took_ms.items():
            if (tool, count) in MOST_MS:
                case = f"journal of changes, `{tool}`, before and after, {count or 1:,} files"
                found.figures.append(judged(case, took[WARM_UP:], most=MOST_MS[tool, count]))
        if count == 0:
            asked = [float(noted.while_reading)]
            case = "journal of changes, questions while an agent only reads"
            found.figures.append(judged(case, asked, "questions", most=0))
    return found


async def _noted(root: Path, rounds: int, line: Line, count: int) -> Noted:
    steps: tuple[dict[str, object], ...] = (
        {"call": "counting", "args": {}},
        *READS,
        {"call": "noting", "args": {"count": rounds, "pause_ms": PAUSES_MS[count]}},
        {"say": "Measured."},
    )
    prompt = f"Measure it. {script(*steps)}"
    async with (
        ModelServer(dialect=dialect(line)) as model,
        probed(root, model, line) as opencode,
        opencode.client() as client,
    ):
        await asyncio.to_thread(_fill, opencode.home, count)
        begin = script(native.delegate(prompt), {"say": "Off."}, on_notice=[NOTICED])
        await client.run(await client.create_session(), f"Begin. {begin}")
        return await _read(Path(f"{stamps_file(root)}.noted"))


async def _read(file: Path) -> Noted:
    """Return what the probe has written; nobody tells when."""
    async with asyncio.timeout(MEASURED_S):
        while True:
            if await asyncio.to_thread(file.exists):
                return msgspec.json.decode(await asyncio.to_thread(file.read_bytes), type=Noted)
            await asyncio.sleep(0.2)


def _fill(home: Home, count: int) -> None:
    for number in range(count):
        file = home.project / f"f{number // PER_FOLDER}" / f"{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"This is file {number}.\n")
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.invalid")
    for command in (("add", "."), (*identity, "commit", "-qm", "Fill", "--allow-empty")):
        subprocess.run(
            ["git", *command],
            cwd=home.project,
            env=home.environment(),
            check=True,
            timeout=COMMIT_S,
        )
