"""The same failpoints under a real OpenCode, which is killed as well and answers with errors."""

from __future__ import annotations

import pytest
import pytest_asyncio

from lab.faults import real
from lab.faults.matrix import Case
from lab.faults.real_troubles import TROUBLES, run_troubles

FEWEST_KILLS = 14
"""A few points may not be reached a second time; the faults below add six more."""


@pytest.mark.timeout(300)
async def test_a_service_of_a_real_opencode_is_killed_at_its_points() -> None:
    """Whatever dies: one terminal state, one whole artifact, one notice, nothing left over."""
    cases = await real.run_points(step=2)
    assert [str(case) for case in cases if not case.verdict.is_kept] == []
    assert sum(case.kills for case in cases) >= FEWEST_KILLS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cases() -> dict[str, Case]:
    """What came of each fault; two run at a time."""
    return await run_troubles()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TROUBLES)
def test_a_fault_of_opencode_loses_nothing(cases: dict[str, Case], name: str) -> None:
    """A dead OpenCode, an answer of 5xx, a model that hangs: each ends once, and is told once."""
    assert str(cases[name].verdict) == "kept"
