"""Fixtures around the real OpenCode. Without its binary they fail; nothing is skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from background_agents.testing.model_server import ModelServer
from background_agents.testing.opencode import OpenCode, running_opencode
from background_agents.testing.opencode_client import OpenCodeClient


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
