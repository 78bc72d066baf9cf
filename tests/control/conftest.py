"""A control socket in front of a service on fakes, and clients that speak to it in bytes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

# Both share the world of a service on fakes.
sys.path.append(str(Path(__file__).parents[1] / "service"))

from sockets import Office
from world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest_asyncio.fixture
async def office(world: World, tmp_path: Path) -> AsyncIterator[Office]:
    """A service that listens in ``tmp_path``."""
    async with Office.open(world, tmp_path) as office:
        yield office
