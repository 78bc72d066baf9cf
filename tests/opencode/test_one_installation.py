"""One plugin file for both lines of OpenCode, in one home: what each says of it, and an upgrade."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import aiohttp
import households
import pytest
from plays import delegate, say, staged
from terminal_user import Ran, TerminalUser

from background_agents.control import places
from background_agents.testing.scripts import script
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer

pytestmark = [pytest.mark.opencode, pytest.mark.timeout(180)]

COMPLAINT = re.compile(r"level=(?:WARN|ERROR).*plugin", re.IGNORECASE)

OFFLINE = "background dependency install failed"
"""What OpenCode 1.17 says of a package of its own that it cannot fetch."""


def complaints(opencode: OpenCode) -> list[str]:
    """Return the lines in which OpenCode finds fault with a plugin, wherever it writes them."""
    logs = [opencode.log, *(opencode.home.data / "log").glob("*.log")]
    lines = (line for log in logs if log.exists() for line in log.read_text().splitlines())
    return [line for line in lines if COMPLAINT.search(line) and OFFLINE not in line]


@pytest.mark.main_path
async def test_it_is_loaded_once_and_nothing_is_said(tmp_path: Path, line: Line) -> None:
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Be short.", say("Done.")), say("Off."))
        await supervisor.settled()
        assert len(places.living(stage.opencode.home.data / "delegations")) == 1
        assert complaints(stage.opencode) == []


@pytest.mark.only("1", why="OpenCode 1 boots a part of OpenCode 2, which calls our other half")
async def test_opencode_1_that_also_boots_a_part_of_2_gets_one_service(
    tmp_path: Path, line: Line
) -> None:
    """That part can only register; whoever asks for a path of its API has it call ``setup``."""
    async with staged(tmp_path, line) as stage:
        opencode = stage.opencode
        async with aiohttp.ClientSession() as http:
            for path in ("/api/agent", "/api/session"):
                async with http.get(opencode.base_url + path) as answer:
                    assert answer.status == 200
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Be short.", say("Done.")), say("Off."))
        await supervisor.settled()
        assert len(places.living(opencode.home.data / "delegations")) == 1
        assert complaints(opencode) == []


async def delegated(user: TerminalUser, *args: str) -> Ran:
    """Hand something to an OpenCode that is started for it, and end that one."""
    prompt = f"Say hello.\n{script(say('Hello there.'))}"
    ran = await user.run("delegate", *args, "--wait", "-", given=prompt)
    for pid in households.serving(user.home):
        if "background_agents" in households.words(pid):
            os.kill(pid, signal.SIGTERM)
    await households.empty(user.home)
    return ran


@pytest.mark.only("2", why="it is about the way from 1 to 2")
async def test_an_upgrade_needs_no_new_installation(tmp_path: Path, line: Line) -> None:
    """What was delegated before is listed and read; its session goes on if it was brought along."""
    before, after = find_binary(Line.ONE), find_binary(line)
    home = Home(tmp_path, before.version)
    async with ModelServer(dialect=dialect(line)) as model:
        home.create(model.base_url)
        home.install_plugin()
        old = TerminalUser(home, {"OPENCODE_BIN": str(before.path)})
        made = await delegated(old, "general")
        assert (made.code, made.out) == (0, "Hello there.\n"), made.err
        name = made.err.split(" ", 1)[0]

        new = TerminalUser(home, {"OPENCODE_BIN": str(after.path)})
        assert f"{name}  completed" in (await new.run("list")).out
        assert (await new.run("read", name)).out.endswith("\n\nHello there.")
        assert (await delegated(new, "general")).code == 0
        # The preview keeps its sessions in a database of its own, unless it is told otherwise.
        left_behind = await delegated(new, "general", "--continue", name)
        assert left_behind.code == 2
        assert name in left_behind.err
        shared = {**new.env, "OPENCODE_DISABLE_CHANNEL_DB": "1"}
        brought = await delegated(TerminalUser(home, shared), "general", "--continue", name)
        assert (brought.code, brought.out) == (0, "Hello there.\n"), brought.err
