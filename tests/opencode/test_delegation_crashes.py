"""Processes that die: the service, its interpreter, OpenCode itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from plays import Stage, Supervisor, call, delegate, say, staged

from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer

pytestmark = pytest.mark.opencode


async def service_pid(opencode: OpenCode) -> int:
    """Return the pid of the service that this OpenCode has started."""
    asking = await asyncio.create_subprocess_exec(
        *("pgrep", "-P", str(opencode.pid), "-f", "background_agents"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asking.communicate()
    (pid,) = out.split()
    return int(pid)


@asynccontextmanager
async def restarted(stage: Stage) -> AsyncIterator[Stage]:
    """Start a killed OpenCode again, as its user does: the project is opened anew."""
    await stage.opencode.start()
    async with stage.opencode.client() as client, client.events() as events:
        yield Stage(stage.model, stage.opencode, client, events)


async def answer_of(supervisor: Supervisor, tool: str, count: int = 1) -> str:
    """Let the supervisor call a tool, for the ``count``-th time, and return the answer."""
    await supervisor.turn(call(tool), say("Looked."))
    return (await supervisor.outputs(tool, count))[-1]


SHARED = "one file starts the service on both; test_real_kills kills it on both"


@pytest.mark.only("2", why=SHARED)
async def test_a_call_waits_for_no_restart_that_is_due_later(tmp_path: Path, line: Line) -> None:
    """After several deaths the bridge pauses for seconds; a model's call starts the service."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        for count in range(1, 9):
            asked_s = time.monotonic()
            answer = await answer_of(supervisor, "delegation_list", count)
            took_s = time.monotonic() - asked_s
            assert answer == "Nothing has been delegated in this session yet."
            os.kill(await service_pid(stage.opencode), signal.SIGKILL)
        # After seven deaths the pause is 16 s, and a turn with a start takes one or two.
        assert took_s < 12


@pytest.mark.only("1", why=SHARED)
async def test_a_service_killed_in_mid_run_finishes_the_delegation(
    tmp_path: Path, line: Line
) -> None:
    """OpenCode and the child live on: the next service knows all that was, and takes over."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Before.", say("Done before.")), say("Off."))
        await supervisor.settled()
        task = delegate("Survive.", say("Survived.", gate="restart"))
        await supervisor.turn(task, say("Off."), on_notice=[say("Noted.")])
        before, name = await supervisor.delegated(2)
        await stage.model.wait_held("restart")
        old = await service_pid(stage.opencode)

        os.kill(old, signal.SIGKILL)
        listed = await answer_of(supervisor, "delegation_list")
        stage.model.open("restart")
        notices = await supervisor.settled(2)

        assert await service_pid(stage.opencode) != old
        assert f"- {before} [completed, unread]" in listed
        assert f"- {name} [running]" in listed
        assert [notice.id for notice in notices] == [before, name]
        assert notices[-1].fields["status"] == "completed"
        assert stage.result(name)[1] == "Survived."


@pytest.mark.only("1", why=SHARED)
async def test_a_missing_python_is_said_and_opencode_works_on(tmp_path: Path, line: Line) -> None:
    """A tool answers with one clear sentence; OpenCode never breaks or waits."""
    binary = find_binary(line)
    home = Home(tmp_path, binary.version)
    async with ModelServer(dialect=dialect(line)) as model:
        home.create(model.base_url)
        shim = home.install_plugin()
        shim.write_text(shim.read_text().replace(sys.executable, "/nowhere/bin/python"))
        opencode = OpenCode(binary, home)
        await opencode.start()
        try:
            async with opencode.client() as client, client.events() as events:
                stage = Stage(model, opencode, client, events)
                supervisor = await stage.supervisor()
                await supervisor.turn(
                    delegate("Try.", say("Never.")), call("delegation_list"), say("I go on alone.")
                )
                answers = [
                    *await supervisor.outputs("delegate"),
                    *await supervisor.outputs("delegation_list"),
                ]
                newest = (await supervisor.messages())[-1]
        finally:
            await opencode.end()

    for answer in answers:
        assert answer.startswith("The background-agents service is not running")
        assert "/nowhere/bin/python" in answer or "ENOENT" in answer
        assert "background-agents install" in answer
        assert "\n" not in answer
    assert newest.text == "I go on alone."


async def until_kept(stage: Stage, text: str) -> None:
    """Return once so much of what a child streams is stored; it looks, since nobody tells."""
    (database,) = (stage.opencode.home.data / "delegations").rglob("delegations.db")
    async with asyncio.timeout(10):
        while True:
            with closing(sqlite3.connect(database)) as connection:
                found = connection.execute("SELECT text FROM pieces ORDER BY start").fetchall()
            if "".join(piece for (piece,) in found).endswith(text):
                return
            await asyncio.sleep(0.05)


@pytest.mark.main_path
async def test_opencode_killed_in_mid_run_goes_on_after_the_restart(
    tmp_path: Path, line: Line
) -> None:
    """Cut off in the middle: it is told to go on, sees what it had written, and completes.

    What had ended is still there, and is not told again.
    """
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("End.", say("The end.")), say("Off."))
        await supervisor.settled()
        half = say("Half of it. ", repeat=3, every_ms=20, gate="never opened")
        await supervisor.turn(delegate("Be cut off.", half, say("Whole.")), say("Off."))
        ended, name = await supervisor.delegated(2)
        await stage.model.wait_held("never opened")
        await until_kept(stage, "Half of it. " * 3)

        await stage.opencode.kill()
        async with restarted(stage) as again:
            after = Supervisor(supervisor.id, again)
            read = call("delegation_read", id=ended)
            await after.turn(read, say("Back."), on_notice=[say("Noted.")])
            before, notice = await after.settled()

            assert (await after.outputs("delegation_read"))[0].endswith("\n\nThe end.")
            assert (before.id, notice.id) == (ended, name)
            assert notice.fields["status"] == "completed"
            assert notice.fields["resumed"] == "1"
            assert len(await after.stored_notices()) == 2
            front, body = again.result(name)
            assert (body, front["resumed"]) == ("Whole.", 1)
            told = again.asked("Be cut off.")[-1].messages[-1].text
            assert told.startswith("You were cut off: ")
            assert told.endswith("\n\n" + "Half of it. " * 3)


@pytest.mark.only("1", why="our own journal of the text; on OpenCode 2 it is read above")
async def test_without_resume_all_that_was_streamed_is_kept(tmp_path: Path, line: Line) -> None:
    """OpenCode has stored nothing of the unfinished text; the artifact has it, to the last word."""
    async with staged(tmp_path, line, env={"BACKGROUND_AGENTS_RESUME": "0"}) as stage:
        supervisor = await stage.supervisor()
        half = say("Half of it. ", repeat=3, every_ms=20, gate="never opened")
        await supervisor.turn(delegate("Be cut off.", half), say("Off."))
        (name,) = await supervisor.delegated()
        await stage.model.wait_held("never opened")
        await until_kept(stage, "Half of it. " * 3)

        await stage.opencode.kill()
        async with restarted(stage) as again:
            after = Supervisor(supervisor.id, again)
            await after.turn(call("delegation_list"), say("Back."), on_notice=[say("Noted.")])
            (notice,) = await after.settled()
            assert notice.fields["status"] == "interrupted"
            assert again.result(name)[1].endswith("\n\n" + "Half of it. " * 3)


@pytest.mark.only("2", why="test_real_kills quits it on both")
async def test_quitting_opencode_in_mid_run_stops_nothing(tmp_path: Path, line: Line) -> None:
    """Who quits and comes back finds the work going on, not stopped."""
    async with staged(tmp_path, line) as stage:
        supervisor = await stage.supervisor()
        half = say("Half of it. ", gate="never opened")
        await supervisor.turn(delegate("Be quit.", half, say("Whole.")), say("Off."))
        (name,) = await supervisor.delegated()
        await stage.model.wait_held("never opened")

        await stage.opencode.terminate()
        async with restarted(stage) as again:
            after = Supervisor(supervisor.id, again)
            await after.turn(call("delegation_list"), say("Back."), on_notice=[say("Noted.")])
            (notice,) = await after.settled()
            assert (notice.id, notice.fields["status"]) == (name, "completed")
            assert again.result(name)[1] == "Whole."
