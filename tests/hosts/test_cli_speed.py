"""The command line takes as long over many delegations as over few.

As ratios within one run, of processor time, so that a slow or busy machine changes nothing;
absolute figures are measured by ``lab.bench.commands``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from archived import Reader

from lab.harness.archive import EVERYWHERE, Plan, needle

FEW, MANY = 100, 20_000

ROUNDS = 5

MOST = 1.5
"""Times as long; 20,000 have taken 1.0 to 1.1 times as long as 100."""


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> list[Reader]:
    both = []
    for count in (FEW, MANY):
        reader = Reader(tmp_path_factory.mktemp(f"speed-{count}"))
        plan = Plan(
            count, newest=datetime.now(UTC), prompt_words=9, result_words=9, artifacts=False
        )
        reader.fill(plan)
        reader.run("list", EVERYWHERE)  # indexes them
        both.append(reader)
    return both


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--json"],
        ["list", "state:failed", "@explore"],
        ["list", "id:brave-amber-crow"],
        ["list", EVERYWHERE],
        ["list", needle(7), "state:failed"],
        ["show", "brave-amber-crow"],
    ],
    ids=" ".join,
)
def test_many_take_as_long_as_few(readers: list[Reader], words: Sequence[str]) -> None:
    took: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for samples, reader in zip(took, readers, strict=True):
            samples.append(reader.cpu_s(*words))
    few, many = map(statistics.median, took)
    assert many <= few * MOST, f"{few * 1000:.0f} ms over {FEW}, {many * 1000:.0f} over {MANY}"


HEAVY = {"asyncio", "rich", "aiohttp", "logging.handlers", "importlib.metadata", "difflib",
         "unittest", "coolname", "http", "ssl", "concurrent.futures"}  # fmt: skip
"""Each takes longer to import than a list takes to be read."""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["list"], ["list", EVERYWHERE], ["show", "brave-amber-crow"]],
    ids=" ".join,
)
def test_a_command_imports_what_it_needs(readers: list[Reader], words: Sequence[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "background_agents", *words]
    few = readers[0]
    done = subprocess.run(
        command, cwd=few.project, env=few._env(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "background_agents.hosts.cli" in imported
    assert HEAVY & imported == set()
