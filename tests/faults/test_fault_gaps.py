"""What the suite has found once, each at the very point at which it was found."""

from __future__ import annotations

from dataclasses import replace

from background_agents.domain.status import Status
from background_agents.testing.faults.matrix import run_case
from background_agents.testing.faults.scenarios import SCENARIOS, Scenario, stop_once


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
