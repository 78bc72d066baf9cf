"""Finding, reading, counting, exporting and pruning: beside a live OpenCode, and with it closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import households
import msgspec
import pytest
from plays import Stage, call, delegate, say, staged
from terminal_user import Ran, TerminalUser

from background_agents.views.json import (
    ExportSheet,
    ListSheet,
    PruneSheet,
    ReadSheet,
    ShowSheet,
    StatsSheet,
)
from lab.harness import archive
from lab.harness.archive import Plan
from lab.harness.home import find_binary
from lab.harness.line import Line

T = TypeVar("T")

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="it reads our store, whichever line has filled it"),
]


@pytest.mark.timeout(240)
async def test_each_reading_command_beside_a_live_opencode_and_after_its_end(
    tmp_path: Path, line: Line
) -> None:
    """What a real run has left is found, shown, read, counted, exported; what is old is pruned."""
    async with staged(tmp_path, line) as stage:
        user = TerminalUser(stage.opencode.home, {"OPENCODE_BIN": str(find_binary(line).path)})
        ended, runs = await two(stage)
        assert (await user.run("wait", ended)).code == 0
        await everything_is_to_be_read(user, ended, runs, state="running")
        await old_ones_are_pruned(stage, user, ended)
        # The model goes on beside all that: its tools know nothing of other sessions' past.
        supervisor = await stage.supervisor()
        await supervisor.turn(call("delegation_list"), say("I see."))
        (listed,) = await supervisor.outputs("delegation_list")
        assert listed == "Nothing has been delegated in this session yet."
        assert (await user.run("stop", runs)).code == 0
        await stage.opencode.terminate()
        await everything_is_to_be_read(user, ended, runs, state="stopped")
        assert (await user.run("status")).out.startswith("Nothing is active.")
        transcript = await user.run("transcript", ended)
        assert "open. One is started to read the session …" in transcript.err
        assert transcript.out.startswith("> Look at the quince.")
        assert transcript.out.endswith("\n\nThe quince is old.\n\nIt bears in October.\n")
        await households.end(stage.opencode.home)  # what was started would end a minute later


async def two(stage: Stage) -> tuple[str, str]:
    """Let a supervisor delegate one task that ends, and one that does not."""
    supervisor = await stage.supervisor()
    tasks = (
        delegate("Look at the quince.", say("The quince is old.\n\nIt bears in October.")),
        delegate("Count the rows.", say("One, two. ", gate="rows")),
    )
    await supervisor.turn(*tasks, say("Off."), on_notice=[say("Noted.")])
    await stage.model.wait_held("rows")
    ended, runs = await supervisor.delegated(2)
    return ended, runs


async def everything_is_to_be_read(user: TerminalUser, ended: str, runs: str, state: str) -> None:
    """Every command that only looks, as text and as the JSON that is documented."""
    found = answer(await user.run("list", "quince", "--json"), ListSheet)
    assert [one.id for one in found.delegations] == [ended]
    assert (await user.run("list", f"state:{state}")).out.startswith(runs)
    listed = await user.run("list", "october", "@general", "state:completed")
    assert (listed.code, listed.out.split()[0]) == (0, ended)
    shown = answer(await user.run("show", ended, "--json"), ShowSheet)
    assert shown.prompt.startswith("Look at the quince.")
    assert shown.history[0].event == "Registered"
    assert "Look at the quince." in (await user.run("show", ended[:-2])).out
    read = answer(await user.run("read", ended, "--json"), ReadSheet)
    assert "It bears in October." in read.result
    assert (await user.run("read", ended)).out.endswith("It bears in October.")
    stats = answer(await user.run("stats", "--json"), StatsSheet)
    assert stats.whole.count >= 2
    exported = [
        msgspec.json.decode(line, type=ExportSheet)
        for line in (await user.run("export", f"id:{ended}")).out.splitlines()
    ]
    assert [one.id for one in exported] == [ended]
    assert "It bears in October." in (exported[0].result or "")
    for quiet in (("config", "--json"), ("completion", "bash"), ("doctor", "--json")):
        assert (await user.run(*quiet)).out != ""


async def old_ones_are_pruned(stage: Stage, user: TerminalUser, young: str) -> None:
    """While the service has the database open, and without touching what is young."""
    (folder,) = (one for one in (stage.opencode.home.data / "delegations").glob("*/delegations.db"))
    long_ago = datetime.now(UTC) - timedelta(days=60)
    old = archive.fill(folder.parent, Plan(30, active=0, newest=long_ago, unread_every=1000))
    dry = answer(await user.run("prune", "--older-than", "30d", "--dry-run", "--json"), PruneSheet)
    assert dry.dry_run
    done = await user.run("prune", "--older-than", "30d", "--unread", "--yes", "--json")
    assert sorted(answer(done, PruneSheet).deleted) == sorted(old)
    left = answer(await user.run("list", "--json", "-n", "0"), ListSheet)
    assert young in [one.id for one in left.delegations]
    assert not set(old) & {one.id for one in left.delegations}
    assert not [path for path in folder.parent.rglob("*.md") if path.stem in old]


def answer(ran: Ran, kind: type[T]) -> T:
    """Return a command's JSON, which is what the reference says it is."""
    assert ran.code == 0, ran.err
    return msgspec.json.decode(ran.out, type=kind)
