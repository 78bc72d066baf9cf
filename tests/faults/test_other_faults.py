"""Disks, clocks, streams and frames go wrong; every delegation still ends once and is told once."""

from __future__ import annotations

import pytest

from background_agents.testing.faults.matrix import run_case
from background_agents.testing.faults.scenarios import Scenario
from background_agents.testing.faults.troubles import TROUBLES


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.name)
async def test_a_fault_loses_nothing(trouble: Scenario) -> None:
    """One terminal state, one whole artifact, one notice, nothing left over."""
    case = await run_case(trouble, None)
    assert str(case.verdict) == "kept"
