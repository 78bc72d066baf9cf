"""OpenCode 2 over HTTP passes the suites for runtimes and channels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from background_agents.adapters.opencode.transport import Transport
from background_agents.testing.contracts import AgentRuntimeContract, SupervisorChannelContract
from lab.harness.client.two import ClientTwo
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.stage_two import CONFIG, OpenCode2Stage
from lab.harness.tcp import Wire
from lab.harness.transport_http import HttpTransport
from lab.model_server import ModelServer

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer(dialect=dialect(Line.TWO)) as model:
        yield model


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, model: ModelServer
) -> AsyncIterator[OpenCode]:
    """One OpenCode 2 for all tests here, without our plugin."""
    root = tmp_path_factory.mktemp("two") / "open code"
    async with running_opencode(
        root, model.base_url, Line.TWO, plugin=False, config=CONFIG
    ) as server:
        yield server


def transport_to(wire: Wire, served: OpenCode) -> HttpTransport:
    return HttpTransport(
        wire.base_url, str(served.home.project), Line.TWO, password=served.password
    )


@asynccontextmanager
async def silence(served: OpenCode) -> AsyncIterator[Transport]:
    """Give a transport whose OpenCode has gone."""
    wire = Wire(served.port)
    await wire.join()
    async with transport_to(wire, served) as transport:
        await wire.cut()
        yield transport


@pytest_asyncio.fixture(loop_scope="module")
async def stage(served: OpenCode) -> AsyncIterator[OpenCode2Stage]:
    wire, users = Wire(served.port), Wire(served.port)
    await wire.join()
    await users.join()

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        await wire.cut()
        yield
        await wire.join()

    async def anew() -> None:
        await served.kill()
        await served.start()
        wire.target = users.target = served.port

    client = ClientTwo(users.base_url, served.home.project, served.password)
    async with client, transport_to(wire, served) as transport:
        yield OpenCode2Stage(client, transport, broken, lambda: silence(served), anew)
    await wire.cut()
    await users.cut()


class TestRuntimeOfTwo(AgentRuntimeContract):
    pass


class TestChannelOfTwo(SupervisorChannelContract):
    pass
