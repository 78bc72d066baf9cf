"""The same failpoints under a real OpenCode, which is killed as well and answers with errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import pytest_asyncio

from lab.faults import real
from lab.faults.matrix import Case
from lab.faults.points import KILLED
from lab.faults.real_troubles import TROUBLES, run_troubles
from lab.harness.home import lines_under_test
from lab.harness.line import Line

FEWEST_AROUND_THE_END = 12

FEWEST_KILLS = 16
"""A few points may not be reached a second time; the faults below add six more."""

on_each_line = pytest.mark.parametrize(
    "line", lines_under_test(), ids=lambda one: f"line{one}", scope="module"
)


@pytest.mark.timeout(300)
@on_each_line
async def test_a_service_of_a_real_opencode_is_killed_at_its_points(line: Line) -> None:
    """Whatever dies: one terminal state, one whole artifact, one notice, nothing left over."""
    cases = await real.run_points(line, real.fewer)
    assert [str(case) for case in cases if not case.verdict.is_kept] == []
    assert sum(case.kills for case in cases) >= FEWEST_KILLS
    assert _killed_around_the_end(cases) >= FEWEST_AROUND_THE_END


def _killed_around_the_end(cases: Sequence[Case]) -> int:
    end = real.around_the_end(cases[0].lives[0])
    ended = [life[-2] for case in cases for life in case.lives if life[-1:] == [KILLED]]
    return sum(point in end for point in ended)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cases(line: Line) -> dict[str, Case]:
    """What came of each fault; two run at a time."""
    return await run_troubles(line)


@pytest.mark.timeout(300)
@on_each_line
@pytest.mark.parametrize("name", TROUBLES)
def test_a_fault_of_opencode_loses_nothing(cases: dict[str, Case], name: str) -> None:
    """A dead OpenCode, an answer of 5xx, a model that hangs: each ends once, and is told once."""
    assert str(cases[name].verdict) == "kept"
