"""Commands that act on what runs: what they say, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest
import pytest_asyncio
from projects import HANG, Project

from background_agents import AsyncClient, connect, errors
from background_agents.hosts.cli import main
from lab.harness.service import Service


class Said(NamedTuple):
    """What a command came to."""

    code: object
    out: str
    err: str


Bga = Callable[..., Awaitable[Said]]


@pytest_asyncio.fixture
async def service(project: Project) -> AsyncIterator[Service]:
    async with project.service() as service:
        yield service


@pytest_asyncio.fixture
async def agents(project: Project, service: Service) -> AsyncIterator[AsyncClient]:
    async with connect(project.folder) as agents:
        yield agents


@pytest.fixture
def bga(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Bga:
    """Runs a command in the project's folder, as from a pipe."""
    monkeypatch.chdir(project.folder)

    async def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as left:
            await asyncio.to_thread(main, words)
        return Said(left.value.code, *capsys.readouterr())

    return run


async def test_more_time_is_given(project: Project, agents: AsyncClient, bga: Bga) -> None:
    """It says what there is in all, and whoever has ended gets none."""
    delegation = await agents.delegate(project.prompt(HANG), "build", timeout_minutes=10)
    child = await project.working(delegation)
    for minutes, told in (("5", "has 15m 00s in all"), ("1h", "has 1h 15m in all")):
        assert await bga("extend", delegation.id, minutes) == (
            0,
            f"{delegation.id} {told} now.\n",
            "",
        )
    assert (await delegation.extend(0.5)).timeout_s == 75.5 * 60
    with pytest.raises(errors.InvalidRequest, match="minutes is nan; give a number"):
        await delegation.extend(float("nan"))
    assert (await bga("extend", delegation.id, "0")).out.endswith("has no time limit now.\n")
    refused = await bga("extend", delegation.id, "5")
    assert refused == (2, "", f"{delegation.id} has no time limit that could be extended.\n")
    senseless = await bga("extend", delegation.id, "soon")
    assert (senseless.code, senseless.out) == (2, "")
    assert "'soon' is no duration" in senseless.err
    child.finish()
    await delegation.wait()
    late = await bga("extend", delegation.id, "5")
    assert late.err == (
        f"{delegation.id} has ended (completed); go on in its session with `background-agents "
        "delegate --continue`.\n"
    )
