"""What is told of a delegation is true, and the same on every surface at the same moment."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec
import pytest
from plays import REQUEST, Stage, call, delegate, say
from terminal_user import TerminalUser

from background_agents.hosts.cli.exits import Exit
from background_agents.views.json import (
    ActiveSheet,
    ExportSheet,
    ListSheet,
    PeekSheet,
    ShowSheet,
    StatsSheet,
)
from lab.harness.client.events import ToolRuns

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="our service tells each surface the same"),
]

CUT = "The model's output limit cut it off: it is not whole."

MODEL = "scripted/one"


def user_of(stage: Stage) -> TerminalUser:
    return TerminalUser(stage.opencode.home, {"OPENCODE_BIN": str(stage.opencode.binary.path)})


@pytest.mark.only(
    "1", "2", why="each line says in its own way why an answer ended, and which model ran"
)
async def test_a_result_cut_by_the_output_limit_is_told_as_cut(stage: Stage) -> None:
    """OpenCode ends such a run like any other; notice, toast, lists, files and JSON say it."""
    supervisor = await stage.supervisor()
    task = delegate("List all.", say("One, two, thr", finish="length", gate="limit"))
    await supervisor.turn(task, say("Off."), on_notice=[call("delegation_list"), say("Noted.")])
    (name,) = await supervisor.delegated()
    stage.model.open("limit")
    (notice,) = await supervisor.notices()
    assert notice.fields["status"] == "completed"
    assert notice.fields["cut"] == CUT
    assert f'continue_id="{name}"' in notice.fields["retrieval"]
    assert "cut" in await stage.shown(name)
    front, body = stage.result(name)
    assert front["cut"] == "length"
    assert body == f"[CUT] {CUT}\n\nOne, two, thr"
    (listed,) = await supervisor.outputs("delegation_list")
    assert f"{name} [completed, cut, unread]" in listed

    user = user_of(stage)
    assert "completed, cut" in (await user.run("list")).out
    assert CUT in (await user.run("show", name)).out
    assert CUT in (await user.run("wait", name)).out
    shown = msgspec.json.decode((await user.run("show", name, "--json")).out, type=ShowSheet)
    assert shown.cut == "length"
    exported = (await user.run("export", f"id:{name}")).out
    assert msgspec.json.decode(exported, type=ExportSheet).cut == "length"


@pytest.mark.only("1", why="OpenCode 2 ends with an answer for whose end no reason is known")
async def test_a_whole_result_is_not_told_as_cut(stage: Stage) -> None:
    """Nor after an answer for whose end no reason was known: OpenCode goes on by itself."""
    supervisor = await stage.supervisor()
    steps = (say("Half", finish="no such reason"), say("All of it."))
    await supervisor.turn(delegate("Tell.", *steps), say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    (notice,) = await supervisor.notices()
    assert "cut" not in notice.fields
    assert stage.result(name)[0]["cut"] is None
    assert stage.result(name)[1] == "All of it."


@pytest.mark.only(
    "1", "2", why="each line says in its own way why an answer ended, and which model ran"
)
async def test_which_model_ran_is_told_though_nobody_chose_one(stage: Stage) -> None:
    """While it runs, by its owner; after its end, by record, file, search and statistics."""
    supervisor = await stage.supervisor()
    task = delegate("Think.", say("Hm.", gate="thinking"))
    steps = (task, call("delegation_status"), say("Off."))
    await supervisor.turn(*steps, on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("thinking")
    user = user_of(stage)
    assert f"general on {MODEL}" in (await user.run("status")).out
    assert MODEL in (await user.run("show", name)).out
    stage.model.open("thinking")
    await supervisor.settled()

    assert stage.result(name)[0]["ran_on"] == MODEL
    shown = msgspec.json.decode((await user.run("show", name, "--json")).out, type=ShowSheet)
    assert (shown.model, shown.ran_on, shown.models) == (None, MODEL, (MODEL,))
    assert name in (await user.run("list", f"model:{MODEL}")).out
    stats = (await user.run("stats", "--by", "model", "--json")).out
    keys = [one.key for one in msgspec.json.decode(stats, type=StatsSheet).groups]
    assert keys == [MODEL]


async def test_surfaces_agree_while_a_command_runs(stage: Stage) -> None:
    """Numbers are those of one moment everywhere; what runs, and why something failed, is said."""
    supervisor = await stage.supervisor()
    tap = stage.opencode.home.project / "tap"
    os.mkfifo(tap)
    steps = (
        call("bash", command="exit 3", description="Fails"),
        call("bash", command="cat tap", description="Waits"),
        say("Done."),
    )
    await supervisor.turn(delegate("Run it.", *steps), say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    session = await stage.child(name)

    await stage.events.fact(
        ToolRuns, lambda one: one.session == session and one.input.get("command") == "cat tap"
    )
    await supervisor.turn(call("delegation_peek", id=name), say("I see."))
    user = user_of(stage)
    (active,) = msgspec.json.decode(
        (await user.run("status", "--json")).out, type=list[ActiveSheet]
    )
    shown = msgspec.json.decode((await user.run("show", name, "--json")).out, type=ShowSheet)
    listed = msgspec.json.decode((await user.run("list", "--json")).out, type=ListSheet)
    exported = msgspec.json.decode((await user.run("export", f"id:{name}")).out, type=ExportSheet)
    (line,) = [one for one in listed.delegations if one.id == name]
    told = active.delegation
    assert told.tool_calls == 2
    assert told.tokens > 0
    for other in (shown, exported, line):
        assert (other.tool_calls, other.tokens) == (told.tool_calls, told.tokens)
        assert other.ran_on == told.ran_on == MODEL
    assert "2 tool calls" in (await user.run("show", name)).out

    peeked = (await user.run("peek", name)).out
    assert "cat tap]" in peeked.replace("\n", " ")
    assert "exit code 3" in peeked
    assert "Nothing has been written" not in peeked
    sheet = msgspec.json.decode((await user.run("peek", name, "--json")).out, type=PeekSheet)
    assert sheet.active.live is not None
    assert [one.title for one in sheet.active.live.running] == ["cat tap"]
    assert "cat tap" in (await user.run("status")).out.replace("\n", " ")
    (by_model,) = await supervisor.outputs("delegation_peek")
    assert f"{stage.shell} running: cat tap" in by_model
    assert "exit code 3" in by_model
    await asyncio.to_thread(tap.write_text, "over\n")
    await supervisor.notices()
    whole = msgspec.json.decode((await user.run("stats", "--json")).out, type=StatsSheet).whole
    assert whole.untimed == 0
    assert min(whole.tools_s, whole.model_s, whole.queue_s) > 0
    assert "Where their time went:" in (await user.run("stats")).out


async def test_what_a_person_delegated_is_read_by_that_person(stage: Stage) -> None:
    """`read` takes the mark from a command line's delegation, and never from a model's."""
    user = user_of(stage)
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("By a model.", say("Yes.")), say("Off."), on_notice=[say("Noted.")]
    )
    (models,) = await supervisor.delegated()
    await supervisor.settled()
    made = await user.run("delegate", "general", "By a person.")
    assert made.code == 0, made.err
    mine = made.out.strip()
    assert (await user.run("wait", mine)).code == 0
    for name, unread in ((mine, False), (models, True)):
        assert (await user.run("read", name)).code == 0
        shown = (await user.run("show", name, "--json")).out
        assert msgspec.json.decode(shown, type=ShowSheet).unread is unread


async def test_a_wait_whose_reader_has_left_ends(stage: Stage) -> None:
    """`wait 2>&1 | head -1`: what asks is told to nobody, and nothing waits for ever."""
    user = user_of(stage)
    supervisor = await stage.supervisor()
    asks = call("read", filePath="/etc/hostname")
    await supervisor.turn(delegate("Ask.", asks, say("Done.")), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.notices(tag=REQUEST)
    reader, writer = os.pipe()
    os.close(reader)
    waiting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "background_agents", "wait", name),
        cwd=user.home.project,
        env=user.environment(),
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    try:
        async with asyncio.timeout(20):
            assert await waiting.wait() == Exit.UNHEARD
    finally:
        if waiting.returncode is None:
            waiting.kill()
        await user.run("stop", name)
