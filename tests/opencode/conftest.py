"""Fixtures around the real OpenCode. Without its binary they fail; nothing is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from plays import Stage, staged

from lab.harness.client import OpenCodeClient
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelServer


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "main_path: what must work on every supported OpenCode (`make test-versions`)"
    )


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    """A scripted model."""
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def opencode(tmp_path: Path, model: ModelServer) -> AsyncIterator[OpenCode]:
    """A running OpenCode that uses ``model`` and has our plugin installed."""
    async with running_opencode(tmp_path / "opencode", model.base_url) as server:
        yield server


@pytest.fixture
async def client(opencode: OpenCode) -> AsyncIterator[OpenCodeClient]:
    """A client for the project of ``opencode``."""
    async with opencode.client() as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An OpenCode with our plugin and its model, shared by the tests of a module.

    Each test takes a supervisor of its own; such a test runs in the module's loop.
    """
    async with staged(tmp_path_factory.mktemp("stage")) as ready:
        yield ready
