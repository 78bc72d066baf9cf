"""A project on disk, services on fakes that come and go there, and programs that use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from projects import Project

from background_agents import AsyncClient, connect
from lab.harness.service import Service


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of a user whose home is ``tmp_path``; no service has it open yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return Project(tmp_path / "project")


@pytest_asyncio.fixture
async def service(project: Project) -> AsyncIterator[Service]:
    """The one service that has the project open."""
    async with project.service() as service:
        yield service


@pytest_asyncio.fixture
async def agents(project: Project, service: Service) -> AsyncIterator[AsyncClient]:
    """A program in the project, beside the service."""
    async with connect(project.folder) as agents:
        yield agents
