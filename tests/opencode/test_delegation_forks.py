"""What a fork of a conversation sees of that which was delegated before it."""

from __future__ import annotations

import pytest
from plays import Stage, Supervisor, call, delegate, say

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="whose transcript names what is ours to know"),
]

FOREVER = say("tick ", repeat=10_000, every_ms=250)


async def fork(supervisor: Supervisor) -> Supervisor:
    return Supervisor(await supervisor.stage.client.fork(supervisor.id), supervisor.stage)


async def test_a_fork_reads_and_stops_what_its_transcript_names(stage: Stage) -> None:
    """Reading, listing, peeking and stopping work there; what was never named stays unknown."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Find it.", say("It is found.")), delegate("Run on.", FOREVER), say("Off.")
    )
    found, running = await supervisor.delegated(2)
    await supervisor.settled()
    forked = await fork(supervisor)
    await supervisor.turn(delegate("Later.", say("Secret.")), say("Off."))
    later = (await supervisor.delegated(3))[-1]
    await supervisor.settled(2)

    await forked.turn(
        call("delegation_read", id=found),
        call("delegation_list"),
        call("delegation_peek", id=running),
        call("delegation_read", id=later),
        call("delegation_stop", id=running),
        say("Done."),
    )

    named, unnamed = await forked.outputs("delegation_read", 2)
    assert "It is found." in named
    assert unnamed.startswith("No delegation is called")
    (listed,) = await forked.outputs("delegation_list")
    assert [name in listed for name in (found, running, later)] == [True, True, False]
    assert "tick" in (await forked.outputs("delegation_peek"))[-1]
    assert stage.result(running)[1].startswith("[STOPPED BY SUPERVISOR]")
    # The conversation that delegated is told of the end, and no other.
    assert running in [one.id for one in await supervisor.settled(3)]
    assert [one.id for one in await forked.stored_notices()] == [found]
