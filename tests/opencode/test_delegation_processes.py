"""Two OpenCodes on one project; one of them is frozen for longer than its claim holds."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from plays import Stage, Supervisor, call, delegate, say, staged

from background_agents.testing.opencode import OpenCode

pytestmark = [pytest.mark.opencode, pytest.mark.timeout(180)]


async def until_logged(stage: Stage, words: str) -> None:
    """Return once a service has logged ``words``; it looks, since nobody tells."""
    log = stage.opencode.home.data / "delegations" / "service.log"
    async with asyncio.timeout(20):
        while True:
            if words in await asyncio.to_thread(log.read_text):
                return
            await asyncio.sleep(0.05)


async def test_what_a_frozen_opencode_did_goes_on_in_another(tmp_path: Path) -> None:
    """Within 30 s the other one takes it over; the first one, thawed, writes nothing more."""
    async with staged(tmp_path) as stage:
        supervisor = await stage.supervisor()
        task = delegate("Freeze.", say("Half. ", gate="frozen"), say("Whole."))
        await supervisor.turn(task, say("Off."))
        (name,) = await supervisor.delegated()
        await stage.model.wait_held("frozen")

        second = OpenCode(stage.opencode.binary, stage.opencode.home)
        await second.start()
        try:
            async with second.client() as client, client.events() as events:
                other = Stage(stage.model, second, client, events)
                here = Supervisor(supervisor.id, other)
                await (await other.supervisor()).turn(call("delegation_list"), say("Open."))
                os.killpg(stage.opencode.pid, signal.SIGSTOP)
                frozen_s = time.monotonic()
                (notice,) = await here.notices(timeout_s=40)
                took_s = time.monotonic() - frozen_s
                await here.answered(notice.message)
                assert (notice.id, notice.fields["status"]) == (name, "completed")
                assert notice.fields["resumed"] == "1"
                assert took_s < 32
                written = other.text(name)

                os.killpg(stage.opencode.pid, signal.SIGCONT)
                await until_logged(stage, "has lost what it owned")
                stage.model.open("frozen")
                await (await stage.supervisor()).turn(call("delegation_list"), say("Thawed."))
                assert other.text(name) == written
                assert written.endswith("\n\nWhole.")
                assert len(await here.stored_notices()) == 1
        finally:
            os.killpg(stage.opencode.pid, signal.SIGCONT)
            await second.end()
