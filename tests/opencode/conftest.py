"""Fixtures around the real OpenCode. Without its binary they fail; nothing is skipped.

Every test that takes ``line``, or a fixture that does, runs once on each line of OpenCode. One
that is about a line only, or is proved well enough on one, says so and why:
``@pytest.mark.only("1", why="...")``. A module's mark is for all its tests but those with a mark
of their own, and those of the main path.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from plays import Stage, staged

from lab.harness.client import OpenCodeClient
from lab.harness.dialect import dialect
from lab.harness.home import lines_under_test
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelServer


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "main_path: what must work on every supported OpenCode (`make test-versions`)",
        "only(line, why): what is about one line of OpenCode, or is proved well enough on it",
    ):
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "line" in metafunc.fixturenames:
        lines = _lines(metafunc.definition)
        # Of the module's scope, so that each of its servers is started once for each line.
        metafunc.parametrize("line", lines, ids=[f"line{one}" for one in lines], scope="module")


def _lines(test: pytest.Item) -> Sequence[Line]:
    own = {mark.name: mark for mark in test.own_markers}
    mark = test.get_closest_marker("only") if "main_path" not in own else own.get("only")
    if mark is None:
        return list(Line)
    assert mark.kwargs["why"]
    return [Line(one) for one in mark.args]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the lines that are not under test here, such as on a machine that has no binary."""
    there = lines_under_test()
    left_out = [one for one in items if _line(one) not in (None, *there)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [one for one in items if one not in left_out]


def _line(test: pytest.Item) -> Line | None:
    spec = getattr(test, "callspec", None)
    return None if spec is None else spec.params.get("line")


@pytest.fixture
async def model(line: Line) -> AsyncIterator[ModelServer]:
    """A scripted model, which calls tools as the line does."""
    async with ModelServer(dialect=dialect(line)) as server:
        yield server


@pytest.fixture
async def opencode(tmp_path: Path, model: ModelServer, line: Line) -> AsyncIterator[OpenCode]:
    """A running OpenCode that uses ``model`` and has our plugin installed."""
    async with running_opencode(tmp_path / "opencode", model.base_url, line) as server:
        yield server


@pytest.fixture
async def client(opencode: OpenCode) -> AsyncIterator[OpenCodeClient]:
    """A client for the project of ``opencode``."""
    async with opencode.client() as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with our plugin and its model, shared by the tests of a module.

    Each test takes a supervisor of its own; such a test runs in the module's loop.
    """
    async with staged(tmp_path_factory.mktemp("stage"), line) as ready:
        yield ready
