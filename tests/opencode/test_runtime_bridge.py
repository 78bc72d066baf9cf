"""OpenCode over the bridge passes the suites for runtimes and channels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.transport_bridge import PORTLESS_URL, BridgeTransport
from background_agents.ports.runtime import StreamRestored
from background_agents.rpc.connection import Connection
from background_agents.testing.contracts import AgentRuntimeContract, SupervisorChannelContract
from background_agents.testing.contracts.stage import listening, new_child, prompt
from background_agents.testing.scripts import script
from lab.harness.bridge import BridgePeer
from lab.harness.home import Home, find_binary
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.stage import OpenCodeStage
from lab.model_server import ModelServer

LINES = 30_000
"""Of a file of 0.3 MB."""

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Bridged:
    """An OpenCode whose bridge is connected to the test."""

    server: OpenCode
    peer: BridgePeer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridged]:
    """One OpenCode for all tests here."""
    folder = tmp_path_factory.mktemp("bridge")
    peer = BridgePeer(folder)
    peer.install(Home(folder / "opencode", find_binary().version))
    async with (
        ModelServer() as model,
        peer.listening(),
        running_opencode(folder / "opencode", model.base_url, plugin=False) as server,
    ):
        async with server.client() as client:
            await client.load()
        # The bridge ends its service with the last instance, so there is always another one.
        async with server.client(server.home.root / "home") as elsewhere:
            await elsewhere.load()
        await peer.until_attached(server.home.project)
        yield Bridged(server, peer)


@asynccontextmanager
async def silence() -> AsyncIterator[Transport]:
    """Give a transport whose bridge has gone."""
    connection = Connection(lambda _data: None)
    await connection.close("The bridge has gone.")
    yield BridgeTransport(connection, 1, PORTLESS_URL)


@pytest_asyncio.fixture(loop_scope="module")
async def stage(bridged: Bridged) -> AsyncIterator[OpenCodeStage]:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        with bridged.peer.losing_events():
            yield

    async with bridged.server.client() as client:
        transport = bridged.peer.transport(bridged.server.home.project)
        yield OpenCodeStage(client, transport, broken, silence)


class TestRuntimeOverTheBridge(AgentRuntimeContract):
    pass


class TestChannelOverTheBridge(SupervisorChannelContract):
    pass


async def test_whole_files_in_diffs_stay_in_opencode(
    bridged: Bridged, stage: OpenCodeStage
) -> None:
    """One changed line in a large file used to make 11 MB of events in a run of six steps."""
    large = bridged.server.home.project / "large.txt"
    large.write_text("".join(f"line {number}\n" for number in range(LINES)))
    look = {"call": "read", "args": {"filePath": str(large)}}
    change = {"filePath": str(large), "oldString": "line 7\n", "newString": "line seven\n"}
    steps = (look, {"call": "edit", "args": change}, look, {"say": "Done."})
    child = await new_child(stage)
    begun = len(bridged.peer.events)
    with listening(stage.runtime) as heard:
        await stage.runtime.prompt(child, prompt(script(*steps)))
        await heard.answered(child)
    assert "line seven" in large.read_text()
    (calls,) = [one.tools for one in (await stage.runtime.transcript(child)).answers[1:2]]
    assert (calls[0].tool, calls[0].state) == ("edit", "completed")
    assert sum(size for _, size in bridged.peer.events[begun:]) < large.stat().st_size / 10


async def test_details_of_sessions_that_nobody_follows_stay_in_opencode(
    bridged: Bridged, stage: OpenCodeStage
) -> None:
    session = await stage.new_session()
    begun = len(bridged.peer.events)
    with listening(stage.runtime) as heard:
        text = script({"say": "a word " * 300})
        await stage.user_says(session, text, agent="build", model="scripted/one")
        await heard.answered(session)
    kinds = {kind for kind, _ in bridged.peer.events[begun:]}
    assert "message.updated" in kinds
    assert not {kind for kind in kinds if kind.startswith("message.part")}


async def test_a_reloaded_project_is_followed_to_its_new_instance(
    bridged: Bridged, stage: OpenCodeStage
) -> None:
    peer, home = bridged.peer, bridged.server.home
    before = len(peer.instances(home.project))
    with listening(stage.runtime) as heard:
        async with bridged.server.client() as client:
            await client.reload()
            await client.load()
        await peer.until_attached(home.project, before + 1)
        assert heard.of("", StreamRestored)
        child = await new_child(stage)
        await stage.runtime.prompt(child, prompt(script({"say": "Still here."})))
        await heard.answered(child)
    assert (await stage.runtime.transcript(child)).result == "Still here."
