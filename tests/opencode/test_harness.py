"""The harness itself: what the tests beside this one rely on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.harness.client import ApiError, OpenCodeClient
from lab.harness.home import Binary, Home, OpenCodeMissing, find_binary
from lab.harness.opencode import OpenCode, OpenCodeFailed, running_opencode
from lab.model_server import ModelServer, script

pytestmark = pytest.mark.opencode


@pytest.fixture
async def plain(tmp_path: Path, model: ModelServer) -> AsyncIterator[OpenCode]:
    """A running OpenCode without our plugin."""
    root = tmp_path / "plain"
    async with running_opencode(root, model.base_url, plugin=False) as server:
        yield server


@pytest.mark.main_path
async def test_a_prompt_gets_the_scripted_answer(plain: OpenCode, model: ModelServer) -> None:
    async with plain.client() as client:
        session = await client.create_session()
        answer = await client.run(session, "Say it. " + script({"say": "Forty-two."}))

        assert answer == "Forty-two."
        health = await client.request("GET", "/global/health")
        assert f'"{plain.binary.version}"' in health.decode()
        assert await client.busy() == set()
    assert model.requests[0].model in {"one", "small"}


@pytest.mark.main_path
async def test_the_installed_plugin_is_loaded(client: OpenCodeClient) -> None:
    assert "delegation_read" in await client.tool_ids()


async def test_a_killed_server_starts_again_with_the_same_sessions(plain: OpenCode) -> None:
    async with plain.client() as client:
        session = await client.create_session()
        await client.run(session, script({"say": "Kept."}))
    old = plain.pid

    await plain.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(old, 0)
    await plain.start()

    async with plain.client() as client:
        assert (await client.messages(session))[-1].text == "Kept."


async def test_waiting_on_a_stream_that_ended_fails_at_once(plain: OpenCode) -> None:
    async with plain.client() as client, client.events() as events:
        await plain.kill()
        with pytest.raises(ConnectionError, match=r"server\.connected"):
            await events.wait_idle("ses_none")


async def test_a_password_is_asked_for_and_given(tmp_path: Path, model: ModelServer) -> None:
    root = tmp_path / "locked"
    async with running_opencode(root, model.base_url, plugin=False, password="secret") as server:
        async with server.client() as client:
            assert await client.create_session()
        server.password = None
        async with server.client() as stranger:
            with pytest.raises(ApiError, match="401"):
                await stranger.create_session()


async def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path, find_binary().version)
    home.create("http://127.0.0.1:9/v1")
    failing = tmp_path / "opencode"
    failing.write_text("#!/bin/sh\necho 'no disk left'\nexit 7\n")
    failing.chmod(0o755)

    with pytest.raises(OpenCodeFailed, match=r"ended with code 7(.|\n)*no disk left"):
        await OpenCode(Binary(failing, "0"), home).start()


def test_a_missing_binary_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(OpenCodeMissing, match="make setup"):
        find_binary({"OPENCODE_BIN": str(tmp_path / "none")})
    with pytest.raises(OpenCodeMissing, match="make test-versions"):
        find_binary({"OPENCODE_VERSION": "0.0.1"})


@pytest.mark.main_path
async def test_no_setting_of_the_user_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCODE_CONFIG_CONTENT", '{"model": "other/model"}')
    monkeypatch.setenv("BACKGROUND_AGENTS_MAX_CONCURRENT", "1")

    environment = Home(tmp_path, "1").environment()

    ours = {name for name in environment if name.startswith(("OPENCODE", "BACKGROUND_AGENTS"))}
    own = ("DISABLE_AUTOUPDATE", "DISABLE_MODELS_FETCH", "MODELS_PATH")
    assert ours == {f"OPENCODE_{name}" for name in own}
    assert environment["HOME"] == str(tmp_path / "home")
