"""OpenCode 2's managed server from the command line: used where it runs, and never ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import households
import msgspec
import pytest
from plays import say
from terminal_user import TerminalUser, ended

from background_agents.client.managed_server import ManagedServer, registered
from background_agents.control.shells import MARK, Starter, mark_for, starter_of
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark, Report
from background_agents.testing.scripts import READABLE_ID, script
from background_agents.views.json import Sheet
from lab.harness.dialect import dialect
from lab.harness.home import Binary, Home, find_binary
from lab.harness.line import Line
from lab.harness.shared import SharedServer
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.timeout(180),
    pytest.mark.only("2", why="OpenCode 1 has no server that its terminals share"),
]

PROMPT = f"Say hello.\n{script(say('Hello there.'))}"


async def service(binary: Binary, home: Home, word: str, **env: str) -> str:
    """Call ``opencode service`` and return what it prints."""
    running = await asyncio.create_subprocess_exec(
        *(str(binary.path), "service", word),
        cwd=home.project,
        env=home.environment(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(running.communicate(), 60)
    assert running.returncode == 0
    return said.decode().strip()


@asynccontextmanager
async def managed(
    root: Path, line: Line, **env: str
) -> AsyncIterator[tuple[TerminalUser, ManagedServer]]:
    """A user with our plugin, whose managed server runs and has opened nothing yet."""
    binary = find_binary(line)
    async with ModelServer(dialect=dialect(line)) as model:
        home = Home(root, binary.version)
        home.create(model.base_url)
        home.install_plugin()
        programs = root / "programs"
        programs.mkdir()
        (programs / "opencode").symlink_to(binary.path)
        user = TerminalUser(home, {"PATH": f"{programs}:{os.environ['PATH']}"})
        await service(binary, home, "start", **env)
        try:
            server = registered(user.environment())
            assert server is not None
            yield user, server
        finally:
            await service(binary, home, "stop")
            await households.empty(home)


async def examined(user: TerminalUser) -> dict[str, Finding]:
    ran = await user.run("doctor", "--json")
    report = msgspec.json.decode(ran.out, type=Report)
    return {one.check: one for section in report.sections for one in section.findings}


async def test_it_delegates_there_and_leaves_it_alone(tmp_path: Path, line: Line) -> None:
    """It was started in the user's home, and opens the project for us; nothing else is started."""
    async with managed(tmp_path, line) as (user, server):
        made = await user.run("delegate", "general", "-", "--wait", given=PROMPT)
        assert (made.code, made.out) == (0, "Hello there.\n"), made.err
        assert households.serving(user.home) == {server.pid}

        again = await user.run("delegate", "general", "-", "--json", given=PROMPT)
        sheet = msgspec.json.decode(again.out, type=Sheet)
        assert (await user.run("wait", sheet.id)).code == 0
        assert households.parent(int(sheet.owner.split(":")[0])) == server.pid

        serve = await user.start("serve")
        assert serve.stdout is not None
        assert await serve.stdout.readline() == b"ready\n"
        serve.send_signal(signal.SIGTERM)
        assert (await ended(serve)).code == 0
        assert server.is_there


async def test_whoever_has_started_it_binds_nobody_who_uses_it(tmp_path: Path, line: Line) -> None:
    """As when a background agent ran ``opencode`` while no terminal was open."""
    async with managed(tmp_path, line, **{MARK: mark_for(Starter.BACKGROUND)}) as (user, server):
        assert (await user.run("delegate", "general", "-", "--wait", given=PROMPT)).code == 0
        async with SharedServer(user.home).client() as client, client.events() as events:
            session = await client.create_session()
            mark = events.mark()
            child = {"prompt": PROMPT, "agent": "general"}
            steps = ({"call": "delegate", "args": child}, {"say": "Off."})
            await client.prompt(session, script(*steps, on_notice=[say("Noted.")]))
            await events.wait_idle(session, since=mark)
            (answer,) = [
                part.output
                for message in await client.messages(session)
                for part in message.parts
                if part.tool == "delegate"
            ]
            assert READABLE_ID.search(answer), answer
        assert starter_of(server.pid) is Starter.PERSON


async def test_its_address_needs_no_password(tmp_path: Path, line: Line) -> None:
    async with managed(tmp_path, line) as (user, server):
        args = ("delegate", "general", "-", "--wait", "--url", server.url)
        ran = await user.run(*args, given=PROMPT)
        assert (ran.code, ran.out) == (0, "Hello there.\n"), ran.err


async def test_a_server_that_ends_ends_serve(tmp_path: Path, line: Line) -> None:
    async with managed(tmp_path, line) as (user, server):
        serve = await user.start("serve", "--idle", "1h")
        assert (await ended(serve)).out == "ready\n"  # whoever asked has what it needs
        foreground = await user.start("serve")
        assert foreground.stdout is not None
        assert await foreground.stdout.readline() == b"ready\n"
        os.kill(server.pid, signal.SIGKILL)
        ran = await ended(foreground)
        assert ran.code == 3
        assert ran.err.startswith("OpenCode has ended; ")


async def test_the_doctor_sees_it_live_hang_and_die(tmp_path: Path, line: Line) -> None:
    async with managed(tmp_path, line) as (user, server):
        found = await examined(user)
        assert found["opencode.server"].mark is Mark.OK
        assert found["service.running"].mark is Mark.WARNING
        assert f"(process {server.pid}) without our service" in found["service.running"].says
        assert found["service.running"].mend is not None
        assert found["service.running"].mend.endswith(" service restart")

        assert (await user.run("delegate", "general", "-", "--wait", given=PROMPT)).code == 0
        found = await examined(user)
        # Nobody has installed a panel here.
        assert {one.check for one in found.values() if one.mark is not Mark.OK} == {"panel.loaded"}
        assert f"(process {server.pid})" in found["service.running"].says

        os.kill(server.pid, signal.SIGSTOP)
        try:
            hangs = (await examined(user))["opencode.server"]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert hangs.mark is Mark.PROBLEM
        os.kill(server.pid, signal.SIGKILL)
        await households.gone(server.pid)
        dead = (await examined(user))["opencode.server"]
        assert dead.mark is Mark.WARNING
        assert dead.mend is not None
        assert dead.mend.endswith(" service start")
