"""Two OpenCodes on one project: one is frozen for long, or one is in a container."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plays import Stage, Supervisor, call, delegate, say, staged

from background_agents.control.places import FOLDER
from background_agents.service.ownership.leases import LEASE
from lab.harness.line import Line
from lab.harness.namespaces import INSIDE, why_none
from lab.harness.opencode import OpenCode

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.timeout(180),
    pytest.mark.only("1", why="leases are between our services, of whichever line"),
]


@asynccontextmanager
async def beside(stage: Stage, within: Sequence[str] = ()) -> AsyncIterator[Stage]:
    """Start another OpenCode in the same home, and let its service open the project."""
    second = OpenCode(stage.opencode.binary, stage.opencode.home, within=within)
    await second.start()
    try:
        async with second.client() as client, client.events() as events:
            other = Stage(stage.model, second, client, events)
            await (await other.supervisor()).turn(call("delegation_list"), say("Open."))
            yield other
    finally:
        await second.end()


async def until_logged(stage: Stage, words: str) -> None:
    """Return once a service has logged ``words``; it looks, since nobody tells."""
    log = stage.opencode.home.data / "delegations" / "service.log"
    async with asyncio.timeout(20):
        while True:
            if words in await asyncio.to_thread(log.read_text):
                return
            await asyncio.sleep(0.05)


async def test_what_a_frozen_opencode_did_goes_on_in_another(tmp_path: Path, line: Line) -> None:
    """Within 30 s the other one takes it over; the first one, thawed, writes nothing more."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        task = delegate("Freeze.", say("Half. ", gate="frozen"), say("Whole."))
        await supervisor.turn(task, say("Off."))
        (name,) = await supervisor.delegated()
        await stage.model.wait_held("frozen")

        async with beside(stage) as other:
            here = Supervisor(supervisor.id, other)
            os.killpg(stage.opencode.pid, signal.SIGSTOP)
            try:
                frozen_s = time.monotonic()
                (notice,) = await here.notices(timeout_s=40)
                took_s = time.monotonic() - frozen_s
                await here.answered(notice.message)
                assert (notice.id, notice.fields["status"]) == (name, "completed")
                assert notice.fields["resumed"] == "1"
                assert took_s < 32
                written = other.text(name)
            finally:
                os.killpg(stage.opencode.pid, signal.SIGCONT)
            await until_logged(stage, "has lost what it owned")
            stage.model.open("frozen")
            await (await stage.supervisor()).turn(call("delegation_list"), say("Thawed."))
            assert other.text(name) == written
            assert written.endswith("\n\nWhole.")
            assert len(await here.stored_notices()) == 1


@pytest.mark.skipif(why_none() != "", reason=why_none())
async def test_a_container_takes_over_only_what_has_been_silent(tmp_path: Path, line: Line) -> None:
    """It can neither see nor judge the processes outside, and goes by their claims alone."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Stay.", say("Done.", gate="stays")), say("Off."))
        await stage.model.wait_held("stays")
        sockets = stage.opencode.home.data / "delegations" / FOLDER
        (socket,) = sockets.iterdir()

        async with beside(stage, INSIDE) as other:
            here = Supervisor(supervisor.id, other)
            stage.model.open("stays")
            (stayed,) = await supervisor.notices()
            await supervisor.answered(stayed.message)
            assert "resumed" not in stayed.fields
            assert len(stage.asked("Stay.")) == 1

            task = delegate("Go on.", say("Half. ", gate="goes"), say("Whole."))
            await supervisor.turn(task, say("Off."))
            await stage.model.wait_held("goes")
            os.killpg(stage.opencode.pid, signal.SIGKILL)
            killed_s = time.monotonic()
            (went,) = await here.notices(timeout_s=50)
            took_s = time.monotonic() - killed_s
            await here.answered(went.message)
            assert went.fields["resumed"] == "1"
            assert LEASE.total_seconds() / 2 < took_s < 42
            assert socket in sockets.iterdir()
