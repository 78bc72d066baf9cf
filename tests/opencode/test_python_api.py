"""The Python API beside a real OpenCode: its promises hold there, a killed service included."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import households
import pytest
import pytest_asyncio
from plays import Stage, Step, call, say, staged
from test_delegation_crashes import service_pid

import background_agents
from background_agents import AsyncClient, AsyncHandle, errors
from background_agents.testing.scripts import script
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="it asks our service, as the commands do that run on both lines"),
]

CAREFUL = {
    "agent": {
        "careful": {
            "description": "Asks before it runs anything.",
            "permission": {"bash": "ask"},
        }
    }
}

LIMIT_S = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with an agent that asks, in whose project programs are."""
    async with staged(tmp_path_factory.mktemp("python"), line, config=CAREFUL) as stage:
        yield stage


@pytest.fixture
def project(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, seen by a program of its user."""
    monkeypatch.setenv("XDG_DATA_HOME", str(stage.opencode.home.data.parent))
    if stage.opencode.password:
        monkeypatch.setenv(stage.line.ways.password, stage.opencode.password)
    return stage.opencode.home.project


@pytest_asyncio.fixture(loop_scope="module")
async def agents(stage: Stage, project: Path) -> AsyncIterator[AsyncClient]:
    connecting = background_agents.connect(project, url=stage.opencode.base_url)
    async with asyncio.timeout(LIMIT_S), connecting as agents:
        yield agents


def task(title: str, *steps: Step) -> str:
    return f"{title}\n{script(*steps)}"


async def kinds(delegation: AsyncHandle) -> list[str]:
    return [one.event async for one in delegation]


async def test_a_delegation_from_its_beginning_to_its_result(
    stage: Stage, agents: AsyncClient
) -> None:
    """Made, looked at, answered, steered, followed, waited for and read."""
    steps = (
        call("bash", command="printf seen", description="Look"),
        say("North. ", gate="steer"),
        say("South.", gate="end"),
    )
    prompt = task("Look around.", *steps)
    delegation = await agents.delegate(prompt, "careful", timeout_minutes=2)
    hearing = asyncio.create_task(kinds(delegation))
    async for one in delegation:
        if one.event == "InputRequested":
            break
    (request,) = (await delegation.status()).requests
    assert (request.kind, "printf seen" in request.text) == ("permission", True)
    answered = await delegation.answer("once", request=request.id)
    assert answered.asked == request.text

    await stage.model.wait_held("steer")
    assert (await written(delegation, until="North. ")).count("printf seen") == 1
    assert "North. " in (await delegation.peek()).text
    assert [one.delegation.id for one in await agents.active()] == [delegation.id]
    await delegation.steer("Turn south.")
    following = asyncio.create_task(written(delegation))
    stage.model.open("steer")
    await stage.model.wait_held("end")
    stage.model.open("end")

    ended = await delegation.wait()
    assert (ended.state, ended.timeout_s, ended.steers_confirmed) == ("completed", 120, 1)
    assert (await following).endswith("South.")
    happened = await hearing
    assert happened[:6] == [
        *("Registered", "Launched", "InputRequested", "InputAnswered"),
        *("SteerSent", "SteerConfirmed"),
    ]
    assert "Completed" in happened
    assert (await delegation.result()).endswith("South.")
    assert stage.asked("Look around.")[-1].messages[-1].text == "Turn south."
    assert [one.id for one in await agents.search("look around")] == [delegation.id]


async def written(delegation: AsyncHandle, until: str | None = None) -> str:
    """Return what it writes to its end, or to some words."""
    found = ""
    async for text in delegation.follow():
        found += text
        if until is not None and found.endswith(until):
            break
    return found


async def test_a_stop_keeps_what_was_written(stage: Stage, agents: AsyncClient) -> None:
    prompt = task("Count.", say("tick ", repeat=10_000, every_ms=20))
    delegation = await agents.delegate(prompt, "general")
    assert (await anext(delegation.follow())).startswith("tick")
    stopped = await delegation.stop()
    assert (stopped.state, stopped.id) == ("stopped", delegation.id)
    assert "[STOPPED BY USER]" in await delegation.result()


async def test_what_waits_survives_the_service(stage: Stage, agents: AsyncClient) -> None:
    """Killed in the middle: a wait, an iteration and a reader go on, and calls find the next."""
    prompt = task("Survive.", say("Before. ", gate="killed"), say("After."))
    delegation = await agents.delegate(prompt, "general")
    waiting = asyncio.create_task(delegation.wait())
    hearing = asyncio.create_task(kinds(delegation))
    following = asyncio.create_task(written(delegation))
    await stage.model.wait_held("killed")
    old = await service_pid(stage.opencode)
    os.kill(old, signal.SIGKILL)
    await households.gone(old)
    steered = await delegation.steer("Go on.")
    assert int(steered.owner.split(":")[0]) == await service_pid(stage.opencode) != old
    stage.model.open("killed")
    assert (await waiting).state == "completed"
    happened = await hearing
    assert happened[:4] == ["Registered", "Launched", "Resumed", "SteerSent"]
    assert happened.count("Completed") == 1
    text = await following
    assert (text.count("Before. "), text.count("After.")) == (1, 1)


async def test_the_synchronous_form(stage: Stage, project: Path) -> None:
    url = stage.opencode.base_url

    def program() -> tuple[str, str, list[str]]:
        with background_agents.connect_sync(project, url=url) as agents:
            delegation = agents.delegate(task("Say hello.", say("Hello.")), "general")
            happened = [one.event for one in delegation]
            return delegation.wait().state, delegation.result(), happened

    state, result, happened = await asyncio.to_thread(program)
    assert (state, result) == ("completed", "Hello.")
    assert happened[:2] == ["Registered", "Launched"]
    with pytest.raises(errors.InvalidRequest, match="choose one of: "):
        async with background_agents.connect(project) as agents:
            await agents.delegate("Say hello.", "nobody")
