"""A suite that cannot fail proves nothing: each way to break the promise is seen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lab.faults.matrix import run_case
from lab.faults.points import lives
from lab.faults.scenarios import COMPLETED, Scenario, completion
from lab.faults.stage import Stage
from lab.faults.verdict import Verdict, judge_project


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    """What one completed delegation has left behind."""
    stage = Stage(tmp_path, None, {})
    async with stage.services():
        await completion(stage)
        await stage.rest()
    return stage


async def judged(stage: Stage, told: list[str] | None = None) -> Verdict:
    endings = stage.endings() if told is None else told
    return await judge_project(stage.data, stage.supervisor, endings, COMPLETED, 1)


def change(stage: Stage, statement: str) -> None:
    """Change the database behind the service's back."""
    (database,) = stage.data.glob("*/delegations.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


async def test_what_was_left_alone_is_kept(stage: Stage) -> None:
    """The tests below break something that was whole."""
    assert str(await judged(stage)) == "kept"


async def test_a_notice_that_never_came_is_seen(stage: Stage) -> None:
    """Lost."""
    assert (await judged(stage, [])).lost == [f"{stage.names[0]} was never told"]


async def test_a_second_notice_is_seen(stage: Stage) -> None:
    """Duplicated."""
    verdict = await judged(stage, stage.endings() * 2)
    assert verdict.duplicated == [f"{stage.names[0]} was told 2 times"]


async def test_an_artifact_that_is_gone_or_cut_off_is_seen(stage: Stage) -> None:
    """Lost."""
    (artifact,) = stage.data.rglob("*.md")
    artifact.write_text(artifact.read_text()[:40])
    assert "is broken" in str((await judged(stage)).lost)
    artifact.unlink()
    assert (await judged(stage)).lost == [f"{stage.names[0]} has no artifact"]


async def test_a_second_ending_is_seen(stage: Stage) -> None:
    """Duplicated; and a history that leads elsewhere is lost."""
    change(
        stage,
        "INSERT INTO events SELECT delegation, 99, at, kind, body FROM events "
        "WHERE kind = 'Completed'",
    )
    verdict = await judged(stage)
    assert verdict.duplicated == [f"{stage.names[0]} ended 2 times"]
    assert "does not lead to its record" in str(verdict.lost)


async def test_a_run_that_never_ended_is_seen(stage: Stage) -> None:
    """Lost."""
    change(stage, "DELETE FROM events WHERE kind = 'Completed'")
    assert "is completed" in str((await judged(stage)).lost)


async def test_a_notice_that_is_still_due_is_seen(stage: Stage) -> None:
    """A zombie."""
    change(stage, "UPDATE notices SET due = 1")
    assert "is still due" in str((await judged(stage)).zombies)


async def test_a_kill_happens_where_it_was_ordered(tmp_path: Path) -> None:
    """The trace ends at the point, and the next process begins anew."""
    scenario = Scenario("completion", completion, COMPLETED)
    case = await run_case(scenario, ["channel.deliver(task-notification) before#1"])
    assert case.kills == 1
    assert len(case.lives) == 2
    assert case.lives[0][-2:] == ["channel.deliver(task-notification) before#1", "killed"]
    assert lives(tmp_path / "no such plan") == []
