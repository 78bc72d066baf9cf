"""OpenCode 2 over the bridge of its plugin passes the suites for runtimes and channels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.transport_bridge import BridgeTransport
from background_agents.rpc.connection import Connection
from background_agents.testing.contracts import AgentRuntimeContract, SupervisorChannelContract
from background_agents.testing.contracts.stage import listening, new_child, prompt
from background_agents.testing.scripts import script
from lab.harness.bridge import BridgePeer
from lab.harness.client.two import ClientTwo
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.stage_two import CONFIG, OpenCode2Stage
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="OpenCode 1 has another bridge, with tests of its own"),
]

LINES = 30_000
"""Of a command's output of 0.2 MB."""


@dataclass(frozen=True)
class Bridged:
    """An OpenCode 2 whose plugin's bridge is connected to the test."""

    server: OpenCode
    peer: BridgePeer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridged]:
    """One OpenCode for all tests here."""
    folder = tmp_path_factory.mktemp("bridge")
    peer = BridgePeer(folder)
    peer.install(Home(folder / "opencode", find_binary(Line.TWO).version))
    async with (
        ModelServer(dialect=dialect(Line.TWO)) as model,
        peer.listening(),
        running_opencode(
            folder / "opencode", model.base_url, Line.TWO, plugin=False, config=CONFIG
        ) as server,
    ):
        await peer.until_attached(server.home.project)
        yield Bridged(server, peer)


@asynccontextmanager
async def silence() -> AsyncIterator[Transport]:
    """Give a transport whose bridge has gone."""
    connection = Connection(lambda _data: None)
    await connection.close("The bridge has gone.")
    yield BridgeTransport(connection, 1, "http://127.0.0.1:1", over_http=False)


@pytest_asyncio.fixture(loop_scope="module")
async def stage(bridged: Bridged) -> AsyncIterator[OpenCode2Stage]:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        with bridged.peer.losing_events():
            yield

    async def anew() -> None:
        raise AssertionError("its bridge ends with it")

    server = bridged.server
    async with ClientTwo(server.base_url, server.home.project, server.password) as client:
        transport = bridged.peer.transport(server.home.project)
        yield OpenCode2Stage(client, transport, broken, silence, anew)


class TestRuntimeOfTwoOverTheBridge(AgentRuntimeContract):
    # A server that ends takes its bridge with it; the next service asks. See test_runtime_two.
    test_a_runtime_that_begins_anew_tells_so_and_has_ended_what_ran = None  # type: ignore[assignment]


class TestChannelOfTwoOverTheBridge(SupervisorChannelContract):
    pass


async def test_what_tools_print_stays_in_opencode(bridged: Bridged, stage: OpenCode2Stage) -> None:
    child = await new_child(stage)
    begun = len(bridged.peer.events)
    steps = ({"call": "bash", "args": {"command": f"seq {LINES}"}}, {"say": "Done."})
    with listening(stage.runtime) as heard:
        await stage.runtime.prompt(child, prompt(script(*steps)))
        await heard.answered(child)
    (call,) = (await stage.runtime.transcript(child)).answers[0].tools
    assert (call.tool, call.state, call.title) == ("shell", "completed", f"seq {LINES}")
    assert max(size for _, size in bridged.peer.events[begun:]) < 10_000


async def test_details_of_sessions_that_nobody_follows_stay_in_opencode(
    bridged: Bridged, stage: OpenCode2Stage
) -> None:
    session = await stage.new_session()
    begun = len(bridged.peer.events)
    with listening(stage.runtime) as heard:
        text = script({"say": "a word " * 300})
        await stage.user_says(session, text, agent="build", model="scripted/one")
        await heard.answered(session)
    kinds = {kind for kind, _ in bridged.peer.events[begun:]}
    assert "session.step.ended" in kinds
    assert not {kind for kind in kinds if kind.startswith(("session.text", "session.tool"))}
    assert max(size for _, size in bridged.peer.events[begun:]) < 10_000
