"""Disks, clocks, streams and frames go wrong; every delegation still ends once and is told once."""

from __future__ import annotations

import pytest

from lab.faults.matrix import run_case
from lab.faults.scenarios import Scenario
from lab.faults.troubles import TROUBLES


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.name)
async def test_a_fault_loses_nothing(trouble: Scenario) -> None:
    """One terminal state, one whole artifact, one notice, nothing left over."""
    case = await run_case(trouble, None)
    assert str(case.verdict) == "kept"
