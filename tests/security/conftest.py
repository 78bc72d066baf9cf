"""Fixtures and fuzzing profiles of the security tests.

``ci`` is bounded, so that every run of the tests can have it; ``HYPOTHESIS_PROFILE=fuzz`` (what
``make fuzz`` sets) looks a hundred times longer.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from toolbox import Toolbox

# That a loaded machine is slow to think of examples is no finding.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("ci", PATIENT, max_examples=200)
settings.register_profile("fuzz", PATIENT, max_examples=20_000)


@pytest_asyncio.fixture
async def tools(tmp_path: Path) -> AsyncIterator[Toolbox]:
    """The tools of a service on fakes, with real artifacts below ``tmp_path``."""
    toolbox = Toolbox(tmp_path / "delegations" / "project")
    await toolbox.service.start()
    yield toolbox
    await toolbox.service.close()


@pytest.fixture
def umask() -> Callable[[int], AbstractContextManager[None]]:
    """Return ``umask(mask)``, within which new files get that mask."""

    @contextmanager
    def masked(mask: int) -> Iterator[None]:
        before = os.umask(mask)
        try:
            yield
        finally:
            os.umask(before)

    return masked
