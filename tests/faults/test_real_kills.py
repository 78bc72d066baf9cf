"""The same failpoints under a real OpenCode, which is killed as well and answers with errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.faults import real
from lab.faults.matrix import Case
from lab.faults.points import KILLED
from lab.faults.real_troubles import TROUBLES, run_in_turn
from lab.harness.home import lines_under_test
from lab.harness.line import Line

FEWEST_AROUND_THE_END = 12

FEWEST_KILLS = 16
"""A few points may not be reached a second time; the faults below add six more."""

KILLS_BESIDE = 6
"""Of OpenCode, once together with its service: what the faults of the second test add."""

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


@pytest.mark.timeout(600)
@on_each_line
async def test_faults_of_opencode_lose_nothing(line: Line) -> None:
    """A dead OpenCode, an answer of 5xx, a model that hangs: each ends once, and is told once.

    Here one after the other in one home; ``make faults`` gives each an OpenCode of its own.
    """
    case = await run_in_turn(line, *TROUBLES)
    assert str(case.verdict) == "kept"
    assert case.kills == KILLS_BESIDE
