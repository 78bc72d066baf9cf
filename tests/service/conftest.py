"""Fixtures of a service on fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World

from lab.harness.service import Service


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest.fixture
async def service(world: World) -> Service:
    return await world.service()
