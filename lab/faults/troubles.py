"""Faults other than death: disks, clocks, streams, frames. Each is a play like the others.

What it does to the world it also undoes; the promise is judged as after a kill.
"""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

from background_agents.domain.errors import RuntimeUnreachable
from background_agents.domain.status import Status
from background_agents.rpc.framing import MAX_FRAME_BYTES
from lab.faults.scenarios import BASH, COMPLETED, Scenario
from lab.faults.stage import Stage

A_DAY_S = timedelta(days=1).total_seconds()

GARBAGE = (
    b"{no json\n",
    b"[]\n",
    b"\xff\xfe\x00\n",
    b"\n \n",
    b'{"jsonrpc": "2.0", "method": "nonsense", "params": {}}\n',
    b'{"jsonrpc": "2.0", "id": 999999, "result": {}}\n',
    b'{"jsonrpc": "2.0", "method": "happened", "params": {"kind": 7}}\n',
)


async def full_disk(stage: Stage) -> None:
    """No file can grow while a run ends; nothing is accepted, and nothing that ran is lost."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    await stage.trouble(disk_full=True)
    stage.runtime.open("go")
    refused = await stage.tool("delegate", prompt="One more.", agent="build")
    _expect("cannot be used" in refused, refused)
    listed = await stage.tool("delegation_list")
    _expect("[running]" in listed, listed)
    await stage.trouble()
    await stage.told(1)


async def full_disk_then_killed(stage: Stage) -> None:
    """It dies before the disk has room again: the next life stores the ending."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    await stage.trouble(disk_full=True)
    stage.runtime.open("go")
    listed = await stage.tool("delegation_list")
    _expect("[running]" in listed, listed)
    await stage.kill()
    await stage.told(1)


async def folder_in_the_way(stage: Stage) -> None:
    """The data folder cannot be made; once it can, the same service goes on."""
    stage.data.parent.mkdir(parents=True)
    stage.data.write_text("a file")
    refused = await stage.tool("delegate", prompt="Try.", agent="build")
    _expect("cannot be used" in refused, refused)
    stage.data.unlink()
    await stage.delegate({"say": "Found it."})
    await stage.told(1)


async def artifacts_in_the_way(stage: Stage) -> None:
    """A file stands where the artifacts' folder belongs; the ending waits for its removal."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    (project,) = (one for one in stage.data.iterdir() if one.is_dir())
    obstacle = project / stage.supervisor
    obstacle.write_text("a file")
    stage.runtime.open("go")
    listed = await stage.tool("delegation_list")
    _expect("[running]" in listed, listed)
    obstacle.unlink()
    await stage.told(1)


async def folder_deleted(stage: Stage) -> None:
    """Somebody deletes everything in the middle of a run: its result is written all the same."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    shutil.rmtree(stage.data)
    stage.runtime.open("go")
    await stage.told(1)


async def clock_forward(stage: Stage) -> None:
    """A day passes on the wall in a moment: no time window ends by it."""
    await _stepped(stage, A_DAY_S)


async def clock_back(stage: Stage) -> None:
    """The wall clock goes back by a day."""
    await _stepped(stage, -A_DAY_S)


async def _stepped(stage: Stage, seconds: float) -> None:
    await stage.delegate({"say": "First.", "gate": "go"})
    await stage.wrote("First.")
    await stage.trouble(clock_step_s=seconds)
    await stage.delegate({"say": "Second.", "gate": "go"})
    await stage.wrote("Second.")
    stage.runtime.open("go")
    await stage.told(2)


async def clock_across_lives(stage: Stage) -> None:
    """What was begun tomorrow is taken over today."""
    await stage.tool("delegation_list")
    await stage.trouble(clock_step_s=A_DAY_S)
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    await stage.kill()
    await stage.tool("delegation_list")
    stage.runtime.open("go")
    await stage.told(1)


async def unreachable_at_launch(stage: Stage) -> None:
    """OpenCode does not answer when the second one gets its place: it fails, and says so."""
    await stage.delegate({"say": "First.", "gate": "go"})
    await stage.delegate({"say": "Second."})
    await stage.wrote("First.")
    stage.runtime.failure = RuntimeUnreachable("OpenCode does not answer.")
    stage.runtime.open("go")
    await stage.told(2)
    stage.runtime.failure = None


async def unreachable_in_a_run(stage: Stage) -> None:
    """OpenCode does not answer for a while and tells nothing; then all is as it was."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    with stage.runtime.losing_events():
        stage.runtime.failure = RuntimeUnreachable("OpenCode does not answer.")
        stage.runtime.open("go")
        listed = await stage.tool("delegation_list")
        stage.runtime.failure = None
    _expect("[running]" in listed, listed)
    await stage.told(1)


async def supervisor_unreachable(stage: Stage) -> None:
    """Two deliveries fail, and the third arrives without a receipt."""
    stage.channel.fail(2)
    stage.channel.fail(1, arrives=True)
    await stage.delegate({"say": "Found it."})
    await stage.until(lambda: len(stage.channel.attempts) == 4)
    await stage.told(1)


async def stream_cut(stage: Stage) -> None:
    """The run ends while no event arrives."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    with stage.runtime.losing_events():
        stage.runtime.open("go")
        listed = await stage.tool("delegation_list")
    _expect("[running]" in listed, listed)
    await stage.told(1)


async def stream_cut_while_asking(stage: Stage) -> None:
    """A permission is asked for while no event arrives."""
    stage.runtime.asking.add("bash")
    name = await stage.delegate({"say": "First.", "gate": "go", **BASH}, {"say": "Built."})
    await stage.wrote("First.")
    with stage.runtime.losing_events():
        stage.runtime.open("go")
        await stage.tool("delegation_list")
    await stage.until(lambda: stage.notices("delegation-request") > 0)
    await stage.tool("delegation_answer", id=name, reply="once")
    await stage.told(1)


async def malformed_frames(stage: Stage) -> None:
    """Nonsense between the frames of a run is answered and skipped."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    for frame in (*GARBAGE, os.urandom(1000).replace(b"\n", b"") + b"\n"):
        stage.disturb(frame)
    stage.runtime.open("go")
    await stage.told(1)


async def oversized_frame(stage: Stage) -> None:
    """A frame over the limit is skipped, and the next one is read."""
    await stage.delegate({"say": "Found it.", "gate": "go"})
    await stage.wrote("Found it.")
    stage.disturb(b"x" * (MAX_FRAME_BYTES + 1) + b"\n")
    stage.runtime.open("go")
    await stage.told(1)


def _expect(holds: bool, answer: str) -> None:
    """Check that the trouble was felt: a fault that did not happen proves nothing."""
    if not holds:
        raise AssertionError(f"this was not to be expected: {answer}")


ONE_PLACE = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "1"}

TROUBLES = (
    Scenario("disk full", full_disk, COMPLETED),
    Scenario("disk full, then killed", full_disk_then_killed, COMPLETED),
    Scenario("data folder cannot be made", folder_in_the_way, COMPLETED),
    Scenario("artifact folder cannot be made", artifacts_in_the_way, COMPLETED),
    Scenario("data folder deleted in a run", folder_deleted, COMPLETED),
    Scenario("clock steps forward a day", clock_forward, COMPLETED, 2),
    Scenario("clock steps back a day", clock_back, COMPLETED, 2),
    Scenario("clock steps back between lives", clock_across_lives, COMPLETED),
    Scenario(
        "runtime unreachable at a launch",
        unreachable_at_launch,
        COMPLETED | {Status.FAILED},
        2,
        ONE_PLACE,
    ),
    Scenario("runtime unreachable in a run", unreachable_in_a_run, COMPLETED),
    Scenario("supervisor unreachable", supervisor_unreachable, COMPLETED),
    Scenario("event stream cut at the end", stream_cut, COMPLETED),
    Scenario("event stream cut at a request", stream_cut_while_asking, COMPLETED),
    Scenario("malformed frames", malformed_frames, COMPLETED),
    Scenario("oversized frame", oversized_frame, COMPLETED),
)
