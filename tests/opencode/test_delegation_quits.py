"""OpenCode's own orderly ends: what they abort is cut off, and stopped by nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from plays import ENDED, Stage, Supervisor, call, delegate, notices_in, say, staged

from lab.harness.client.events import TextEnded, TextStored
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.harness.shared import ending_shared
from lab.model_server import ModelServer, script

pytestmark = pytest.mark.opencode

RUN_LIMIT_S = 60.0
"""How long a turn of ``opencode run`` may take that takes some seconds."""


CUTS_OFF = "there a reload aborts what runs in the instance"


@pytest.mark.only("1", why=CUTS_OFF)
async def test_a_reload_of_the_instance_stops_nothing(tmp_path: Path, line: Line) -> None:
    """The service lives on, for another project is open; it tells the agent to go on."""
    async with (
        staged(tmp_path, line) as stage,
        stage.opencode.client(stage.opencode.home.root / "home") as elsewhere,
    ):
        await elsewhere.load()
        supervisor, name = await cut_in_half(stage)

        async with reloaded(stage) as again:
            await completed(again, supervisor)
        assert stage.result(name)[1] == "Whole."
        assert stage.result(name)[0]["resumed"] == 1


@pytest.mark.main_path
@pytest.mark.only("1", why=CUTS_OFF)
async def test_a_reload_that_ends_the_service_stops_nothing(tmp_path: Path, line: Line) -> None:
    """It was the only project: the next service takes over, and knows an abort from a wish."""
    async with staged(tmp_path, line) as stage:
        supervisor, name = await cut_in_half(stage)

        async with reloaded(stage) as again:
            await completed(again, supervisor)
        assert stage.result(name)[1] == "Whole."


@pytest.mark.main_path
@pytest.mark.only("2", why="there what runs goes on while its location is put away")
@pytest.mark.parametrize("ends_the_service", [False, True])
async def test_what_runs_in_a_location_that_is_reloaded_is_not_lost(
    tmp_path: Path, line: Line, ends_the_service: bool
) -> None:
    """Whether the service lives on, since another project is open, or another one takes over."""
    async with (
        staged(tmp_path, line) as stage,
        stage.opencode.client(stage.opencode.home.root / "home") as elsewhere,
    ):
        if not ends_the_service:
            await elsewhere.load()
        supervisor, name = await cut_in_half(stage)
        await stage.client.reload()
        await stage.client.load()
        stage.model.open("never opened")
        (notice,) = await supervisor.settled()
        assert notice.fields["status"] == "completed"
        assert stage.result(name)[1] == "Half of it. "


OWN_SERVER = "there `opencode run` is a server of its own, which ends with its turn"


@pytest.mark.main_path
@pytest.mark.only("1", why=OWN_SERVER)
async def test_a_run_that_is_through_stops_nothing(tmp_path: Path, line: Line) -> None:
    """`opencode run` ends with its turn; the next OpenCode on the project takes its work up."""
    binary = find_binary(line)
    home = Home(tmp_path, binary.version)
    async with ModelServer(dialect=dialect(line)) as model:
        home.create(model.base_url)
        home.install_plugin()
        half = delegate("Outlive it.", say("Half of it. ", gate="half"), say("Whole."))
        await run_once(home, script(half, say("I am through.")))

        async with started(OpenCode(binary, home), model) as stage:
            (session,) = await sessions(stage)
            supervisor = Supervisor(session, stage)
            notice = await completed(stage, supervisor)
            assert stage.result(notice)[1] == "Whole."


@pytest.mark.only("1", why=OWN_SERVER)
async def test_a_run_is_told_that_its_opencode_ends_with_the_turn(
    tmp_path: Path, line: Line
) -> None:
    """The rules and the answer of `delegate` say so, and a wait for the result works."""
    binary = find_binary(line)
    home = Home(tmp_path, binary.version)
    async with ModelServer(dialect=dialect(line)) as model:
        home.create(model.base_url)
        home.install_plugin()
        task = delegate("Be waited for.", say("Waited for."))
        said = await run_once(home, script(task, call("delegation_wait"), say("Both are through.")))

        assert "Both are through." in said
        rules, answer = "ends with your turn", "ends with this turn"
        mine = [one for one in model.requests if one.tools and "delegate" in one.tool_names]
        # The first request waits for the rules no longer than a hook may.
        assert rules in mine[-1].messages[0].text
        assert answer in mine[-1].text
        assert "completed" in mine[-1].text
        child = [one for one in model.requests if "notify_parent" in one.tool_names]
        assert rules not in child[0].text

        async with started(OpenCode(binary, home), model) as stage:
            other = await stage.supervisor()
            await other.turn(delegate("In a server.", say("Done.")), say("Off."))
            assert rules not in other.requests[-1].messages[0].text
            assert answer not in (await other.outputs("delegate"))[0]


@pytest.mark.main_path
@pytest.mark.only("2", why="there `opencode run` uses the server that all terminals share")
async def test_what_a_run_has_delegated_goes_on_in_the_shared_server(
    tmp_path: Path, line: Line
) -> None:
    """The turn is through, the agent works on, and its end is told in the run's session."""
    binary = find_binary(line)
    home = Home(tmp_path, binary.version)
    async with ModelServer(dialect=dialect(line)) as model, ending_shared(home) as shared:
        home.create(model.base_url)
        home.install_plugin()
        task = delegate("Outlive it.", say("Whole.", gate="half"))
        said = await run_once(home, script(task, say("I am through."), on_notice=[say("Noted.")]))
        assert "I am through." in said
        rules = [one for one in model.requests if "delegate" in one.tool_names][-1].messages[0].text
        assert "ends with your turn" not in rules
        async with shared.client() as client, client.events() as events:
            model.open("half")
            told = await events.fact(TextStored, lambda one: one.text.startswith(f"<{ENDED}>"))
            (notice,) = notices_in(told.message, told.text, told.hidden)
            await events.fact(TextEnded, lambda one: one.text == "Noted.")
        assert notice.fields["status"] == "completed"


# --- steps ------------------------------------------------------------------------


async def cut_in_half(stage: Stage) -> tuple[Supervisor, str]:
    """Delegate what hangs in its first answer and is through with its second."""
    supervisor = await stage.supervisor()
    half = say("Half of it. ", gate="never opened")
    await supervisor.turn(delegate("Be cut off.", half, say("Whole.")), say("Off."))
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("never opened")
    return supervisor, name


@asynccontextmanager
async def reloaded(stage: Stage) -> AsyncIterator[Stage]:
    """Let OpenCode dispose the project's instance, and open another one."""
    await stage.client.reload()
    # 1.15 ends the stream without a word.
    with suppress(ConnectionError):
        await stage.events.wait_for(lambda seen: seen.type == "server.instance.disposed")
    async with stage.client.events() as events:
        yield Stage(stage.model, stage.opencode, stage.client, events)


async def completed(stage: Stage, supervisor: Supervisor) -> str:
    """Open the project anew and return the id of the only delegation, once it is told complete."""
    after = Supervisor(supervisor.id, stage)
    await after.turn(call("delegation_list"), say("Back."), on_notice=[say("Noted.")])
    (notice,) = await after.settled()
    assert notice.fields["status"] == "completed"
    return notice.id


async def run_once(home: Home, prompt: str) -> str:
    """Let ``opencode run`` play a prompt, and return what it printed."""
    running = await asyncio.create_subprocess_exec(
        *(str(find_binary(home.line).path), "run"),
        cwd=home.project,
        env=home.environment({"PWD": str(home.project)}),
        # As an argument it would be quoted, and the script no longer be JSON.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_LIMIT_S):
            out, _ = await running.communicate(prompt.encode())
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, out.decode()
    return out.decode()


@asynccontextmanager
async def started(opencode: OpenCode, model: ModelServer) -> AsyncIterator[Stage]:
    """Open a home's project in a served OpenCode."""
    await opencode.start()
    try:
        async with opencode.client() as client, client.events() as events:
            yield Stage(model, opencode, client, events)
    finally:
        await opencode.end()


async def sessions(stage: Stage) -> list[str]:
    """Return the root sessions of the project, newest first."""
    raw = await stage.client.request("GET", "/session?roots=true")
    return [one["id"] for one in json.loads(raw) if "parentID" not in one]
