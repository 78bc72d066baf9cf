"""What the suite has found once, each at the very point at which it was found."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from background_agents.adapters.files.artifacts import TEMPORARY
from background_agents.adapters.files.leftovers import AGE
from background_agents.domain.status import Status
from lab.faults.matrix import run_case
from lab.faults.scenarios import SCENARIOS, Scenario, completion, stop_once
from lab.faults.stage import Stage


async def test_a_stop_that_was_stored_is_carried_out_by_the_next_process() -> None:
    """Nothing that was asked is forgotten."""
    scenario = Scenario("stop asked for once", stop_once, frozenset({Status.STOPPED}))
    case = await run_case(scenario, ["store.commit(StopRequested) after#1"])
    assert str(case.verdict) == "kept"


async def test_a_timeout_stays_one_when_the_process_dies_after_its_abort() -> None:
    """The state says how it ended."""
    (timeout,) = (one for one in SCENARIOS if one.name == "timeout")
    scenario = replace(timeout, endings=frozenset({Status.TIMED_OUT}))
    case = await run_case(scenario, ["store.commit(TimedOut + NoticeQueued) before#1"])
    assert str(case.verdict) == "kept"


async def test_a_half_written_artifact_is_cleared_away_when_its_project_is_opened(
    tmp_path: Path,
) -> None:
    """A kill between the writing and the renaming leaves a file that nobody reads."""
    stage = Stage(tmp_path, ["artifact rename before#1"], {})
    async with stage.services():
        await completion(stage)
        await stage.rest()
    (left,) = (one for one in stage.data.rglob(".*") if TEMPORARY.fullmatch(one.name))
    long_ago = time.time() - AGE.total_seconds() - 60
    os.utime(left, (long_ago, long_ago))
    stage.restarting = True
    async with stage.services():
        await stage.rest()
    assert not left.exists()
