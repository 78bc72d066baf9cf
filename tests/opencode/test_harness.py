"""The harness itself: what the tests beside this one rely on."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from lab.harness.client import ApiError, two
from lab.harness.client.events import Answered, Asked, Settled, TextEnded, ToolEnded, ToolRuns
from lab.harness.dialect import dialect
from lab.harness.home import Binary, Home, OpenCodeMissing, find_binary, free_port, lines_under_test
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, OpenCodeFailed, running_opencode
from lab.model_server import ModelServer, script

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

ASKING = {"permission": {"bash": {"touch *": "ask"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(line: Line) -> AsyncIterator[ModelServer]:
    """A scripted model, shared by the tests of this module."""
    async with ModelServer(dialect=dialect(line)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(
    tmp_path_factory: pytest.TempPathFactory, model: ModelServer, line: Line
) -> AsyncIterator[OpenCode]:
    """A running OpenCode without our plugin, shared by the tests of this module."""
    root = tmp_path_factory.mktemp("plain")
    async with running_opencode(
        root, model.base_url, line, plugin=False, config=ASKING, password="secret"
    ) as server:
        yield server


@pytest.mark.main_path
async def test_a_prompt_gets_the_scripted_answer(plain: OpenCode, model: ModelServer) -> None:
    async with plain.client() as client:
        session = await client.create_session()
        answer = await client.run(session, "Say it. " + script({"say": "Forty-two."}))

        assert answer == "Forty-two."
        health = await client.request("GET", plain.line.ways.health)
        assert f'"{plain.binary.version}"' in health.decode()
        assert await client.busy() == set()
    assert model.requests[-1].model in {"one", "small"}


async def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path, line: Line) -> None:
    home = Home(tmp_path, find_binary(line).version)
    home.create("http://127.0.0.1:9/v1")
    failing = tmp_path / "opencode"
    failing.write_text("#!/bin/sh\necho 'no disk left'\nexit 7\n")
    failing.chmod(0o755)

    with pytest.raises(OpenCodeFailed, match=r"ended with code 7(.|\n)*no disk left"):
        await OpenCode(Binary(failing, "0"), home).start()


async def test_a_missing_binary_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(OpenCodeMissing, match="make setup"):
        find_binary(environ={"OPENCODE_BIN": str(tmp_path / "none")})
    with pytest.raises(OpenCodeMissing, match="make test-versions"):
        find_binary(environ={"OPENCODE_VERSION": "0.0.1"})


async def test_a_binary_that_is_named_says_its_line(line: Line) -> None:
    found = find_binary(line)
    assert (found.line, find_binary(environ={"OPENCODE_BIN": str(found.path)})) == (line, found)
    assert lines_under_test({"OPENCODE_BIN": str(found.path)}) == (line,)
    assert lines_under_test({"OPENCODE_VERSION": found.version}) == (line,)


@pytest.mark.only("1", why="the harness chooses ports for both")
async def test_a_port_that_another_program_took_is_given_up(
    tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of what a start leaves behind, libraries of 26 MB, nothing stays where it ran."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1], free_port()]
        monkeypatch.setattr("lab.harness.opencode.free_port", lambda: ports.pop(0))
        async with running_opencode(tmp_path, "http://127.0.0.1:9", line, plugin=False) as opencode:
            assert opencode.port != other.getsockname()[1]
    assert [one.name for one in opencode.home.scratch.glob(".*.so")] == []


@pytest.mark.main_path
async def test_no_setting_of_the_user_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    monkeypatch.setenv("OPENCODE_CONFIG_CONTENT", '{"model": "other/model"}')
    monkeypatch.setenv("BACKGROUND_AGENTS_MAX_CONCURRENT", "1")

    environment = Home(tmp_path, find_binary(line).version).environment()

    ours = {name for name in environment if name.startswith(("OPENCODE", "BACKGROUND_AGENTS"))}
    own = ("DISABLE_AUTOUPDATE", "DISABLE_MODELS_FETCH", "MODELS_PATH")
    assert ours == {f"OPENCODE_{name}" for name in own}
    assert environment["HOME"] == str(tmp_path / "home")


async def test_a_session_is_seen_as_a_test_looks_at_it(
    plain: OpenCode, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts, messages and offered tools say the same, whichever line it is."""
    monkeypatch.setattr(two, "PAGE", 1)  # as if each session were a long one
    async with plain.client() as client, client.events() as events:
        session = await client.create_session()
        look = {"call": "bash", "args": {"command": "echo seen", "description": "Look"}}
        await client.prompt(session, script(look, {"say": "So it is."}))
        await events.fact(ToolRuns, lambda one: one.input.get("command") == "echo seen")
        tool = await events.fact(ToolEnded, lambda one: one.session == session)
        await events.fact(TextEnded, lambda one: one.text == "So it is.")
        answered = await events.fact(Answered, lambda one: one.session == session)
        await events.wait_idle(session)
        question, look_at, answer = await client.messages(session)

    assert (tool.tool, tool.output.startswith("seen\n"), tool.failed) == (
        dialect(plain.line).tool("bash"),
        True,
        False,
    )
    assert answered.messages == {question.info.id}
    assert (question.info.role, answer.info.parent) == ("user", question.info.id)
    (part,) = [one for one in look_at.parts if one.type == "tool"]
    assert (part.tool, part.status, part.output) == (tool.tool, "completed", tool.output)
    assert (answer.info.agent, answer.info.model) == ("build", "scripted/one")
    assert {"bash", "task", "read"} <= model.requests[-1].tool_names


async def test_what_is_undone_is_redone(plain: OpenCode) -> None:
    async with plain.client() as client:
        session = await client.create_session()
        await client.run(session, script({"say": "Kept."}))
        await client.run(session, script({"say": "Undone."}))
        before = await client.messages(session)
        await client.undo(session, before[2].info.id)
        await client.redo(session)
        assert await client.messages(session) == before


async def test_a_permission_is_answered(plain: OpenCode) -> None:
    async with plain.client() as client, client.events() as events:
        session = await client.create_session()
        touch = {"call": "bash", "args": {"command": "touch it", "description": "Touch"}}
        await client.prompt(session, script(touch, {"say": "Touched."}))
        asked = await events.fact(Asked)
        assert (asked.session, asked.patterns) == (session, ("touch it",))
        assert await client.permissions() == await client.busy() == {session}
        await client.answer(session, asked.request, "once")
        await events.fact(Settled)
        await events.wait_idle(session)
        assert (plain.home.project / "it").exists()


async def test_a_password_is_asked_for(plain: OpenCode) -> None:
    async with replace(plain, password=None).client() as stranger:
        with pytest.raises(ApiError, match="401"):
            await stranger.create_session()


async def test_a_killed_server_starts_again_with_the_same_sessions(plain: OpenCode) -> None:
    """And who waits on its stream is told at once."""
    async with plain.client() as client, client.events() as events:
        session = await client.create_session()
        await client.run(session, script({"say": "Kept."}))
        old = plain.pid

        await plain.kill()
        with pytest.raises(ProcessLookupError):
            os.kill(old, 0)
        with pytest.raises(ConnectionError, match="The event stream ended"):
            await events.wait_idle("ses_none")
    await plain.start()

    async with plain.client() as client:
        assert (await client.messages(session))[-1].text == "Kept."
