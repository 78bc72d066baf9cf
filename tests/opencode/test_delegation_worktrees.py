"""Two worktrees of one repository in one OpenCode are one project, with one of everything."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from plays import Stage, call, delegate, say, staged

from lab.harness.home import Home
from lab.harness.line import Line
from lab.model_server import ModelRequest

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only("1", why="our service counts, whatever runs"),
]

ONE_AT_A_TIME = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "1"}


@asynccontextmanager
async def worktrees(root: Path, line: Line) -> AsyncIterator[tuple[Stage, Stage]]:
    """Set two stages in one OpenCode: a repository, and a worktree of it."""
    async with staged(root, line, env=ONE_AT_A_TIME) as stage:
        tree = root / "worktree"
        await asyncio.to_thread(add_worktree, stage.opencode.home, tree)
        async with (
            stage.opencode.client(tree) as client,
            client.events() as events,
        ):
            yield stage, Stage(stage.model, stage.opencode, client, events)


async def test_the_limit_counts_all_worktrees_and_keeps_the_order(
    tmp_path: Path, line: Line
) -> None:
    """With a limit of one, the next begins when the one before has ended, wherever it runs."""
    async with worktrees(tmp_path, line) as (here, there):
        first, second = await here.supervisor(), await there.supervisor()
        await first.turn(delegate("Task one.", say("One.", gate="one")), say("Off."))
        await here.model.wait_held("one")
        await second.turn(delegate("Task two.", say("Two.", gate="two")), say("Off."))
        await first.turn(delegate("Task three.", say("Three.")), say("Off."))
        await second.turn(call("delegation_status"), say("Looked."))
        (status,) = await second.outputs("delegation_status")
        here.model.open("one")
        await here.model.wait_held("two")
        here.model.open("two")
        told = [*await first.settled(2), *await second.settled()]

        runs = [*here.asked("Task one."), *here.asked("Task two."), *here.asked("Task three.")]
        assert "[registered] Task two." in status
        assert len(runs) == 3
        for before, after in pairwise(runs):
            assert ended_s(before) <= after.started_s
        assert sorted(one.id for one in told) == sorted(
            [*await first.delegated(2), *await second.delegated()]
        )


def add_worktree(home: Home, tree: Path) -> None:
    command = ["git", "worktree", "add", "-q", str(tree)]
    subprocess.run(command, cwd=home.project, env=home.environment(), check=True, timeout=30)


def ended_s(request: ModelRequest) -> float:
    assert request.ended_s is not None
    return request.ended_s
