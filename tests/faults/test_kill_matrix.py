"""The service is killed at its commits and sends; nothing is lost, doubled or left over.

Every sixteenth point here, each of them by ``make faults``.
"""

from __future__ import annotations

import pytest

from lab.faults.matrix import run_scenario
from lab.faults.scenarios import SCENARIOS, Scenario

STEP = 16
"""What fits into the minute that a run of CI has for it. Scenarios have most of their
points in common, and each begins with another one."""

FEWEST_KILLS = 4
"""Of each scenario, the shortest too; some 80 of all together."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_whatever_dies_each_delegation_ends_once_and_is_told_once(
    scenario: Scenario,
) -> None:
    """Whatever dies: one terminal state, one whole artifact, one notice, nothing left over."""
    first = SCENARIOS.index(scenario) % STEP
    cases = await run_scenario(scenario, first=first, step=STEP)
    assert [str(case) for case in cases if not case.verdict.is_kept] == []
    assert sum(case.kills for case in cases) >= FEWEST_KILLS
