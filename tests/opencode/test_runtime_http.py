"""The adapter over HTTP: what is not to be had over the bridge, which passes the suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from background_agents.adapters.opencode.transport import Transport
from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.transcript import Verdict
from background_agents.ports.runtime import StreamRestored, TextStreamed
from background_agents.testing.contracts.asking import ONCE, run
from background_agents.testing.contracts.runtime import ENDLESS
from background_agents.testing.contracts.stage import listening, new_child, prompt
from background_agents.testing.scripts import script
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.stage import OpenCodeStage
from lab.harness.tcp import Wire
from lab.harness.transport_http import HttpTransport
from lab.model_server import ModelServer

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "correct horse"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenCode]:
    """One OpenCode for all tests here, without our plugin and with a password."""
    root = tmp_path_factory.mktemp("http") / "open code"
    async with (
        ModelServer() as model,
        running_opencode(root, model.base_url, plugin=False, password=PASSWORD) as server,
    ):
        yield server


def transport_to(base_url: str, project: Path) -> HttpTransport:
    return HttpTransport(base_url, str(project), password=PASSWORD)


@asynccontextmanager
async def silence(server: OpenCode) -> AsyncIterator[Transport]:
    """Give a transport whose OpenCode has gone."""
    line = Wire(server.port)
    await line.join()
    async with transport_to(line.base_url, server.home.project) as transport:
        await line.cut()
        yield transport


@pytest_asyncio.fixture(loop_scope="module")
async def stage(served: OpenCode) -> AsyncIterator[OpenCodeStage]:
    line = Wire(served.port)
    await line.join()

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        await line.cut()
        yield
        await line.join()

    async with (
        served.client() as client,
        transport_to(line.base_url, served.home.project) as transport,
    ):
        yield OpenCodeStage(client, transport, broken, lambda: silence(served))
    await line.cut()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a transport give up soon."""
    monkeypatch.setattr("lab.harness.transport_http.REQUEST_LIMIT_S", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_where_no_opencode_listens_the_transport_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnreachable, match=r"127\.0\.0\.1:9\."):
        async with transport_to("http://127.0.0.1:9", tmp_path):
            pytest.fail("entered")


@pytest.mark.usefixtures("impatient")
async def test_without_the_password_nothing_is_opened(served: OpenCode) -> None:
    with pytest.raises(RuntimeUnreachable):
        async with HttpTransport(served.base_url, str(served.home.project)):
            pytest.fail("entered")


async def test_what_was_streamed_outlives_a_killed_opencode(served: OpenCode) -> None:
    line = Wire(served.port)
    await line.join()
    async with (
        transport_to(line.base_url, served.home.project) as transport,
        served.client() as client,
    ):
        stage = OpenCodeStage(client, transport, no_break, lambda: silence(served))
        child = await new_child(stage)
        with listening(stage.runtime) as heard:
            await stage.runtime.prompt(child, prompt(script(ENDLESS)))
            await heard.until(lambda: len(heard.of(child, TextStreamed)) > 20)
            await served.kill()
            streamed = (await stage.runtime.transcript(child)).everything
            await served.start()
            line.target = served.port
            await heard.until(lambda: bool(heard.of("", StreamRestored)))
        transcript = await stage.runtime.transcript(child, refresh=True)
        assert transcript.everything == streamed != ""
        assert transcript.verdict is Verdict.GOING_ON
        assert not (await stage.runtime.state(child)).busy
    await line.cut()


async def test_a_session_of_another_directory_is_reached_there(
    served: OpenCode, stage: OpenCodeStage
) -> None:
    """What works and what is asked is told by directory, and answers are taken there alone."""
    elsewhere = served.home.root / "another tree"
    elsewhere.mkdir()
    asks = [{"permission": "bash", "pattern": "*", "action": "ask"}]
    runtime = stage.runtime
    async with (
        served.client(elsewhere) as client,
        client.events() as events,
    ):
        child = await client.create_session(permission=asks)
        await runtime.lineage(child)
        await runtime.prompt(child, prompt(script(run("pwd"), {"say": "Done."})))
        await events.wait_for(lambda seen: seen.type == "permission.asked")
        assert (await runtime.state(child)).busy
        (ask,) = [one for one in await runtime.requests() if one.session == child]
        await runtime.answer(ask, ONCE)
        await events.wait_idle(child)
    assert (await runtime.transcript(child, refresh=True)).result == "Done."


@asynccontextmanager
async def no_break() -> AsyncIterator[None]:
    yield
