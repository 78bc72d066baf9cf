"""Messages that a user has undone are theirs to redo, whatever ends meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from plays import Stage, Supervisor, call, delegate, say, staged
from test_delegation_crashes import restarted

from lab.harness.line import Line

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]


async def held(stage: Stage) -> tuple[Supervisor, str, list[str]]:
    """Let a user undo a message that has delegated, and the delegation end then.

    Returns the session, the delegation, and the messages that can be redone.
    """
    supervisor = await stage.supervisor()
    await supervisor.turn(say("Hello."))
    late = delegate("Be late.", say("Late.", gate=f"late {supervisor.id}"))
    await supervisor.turn(late, say("Off."), on_notice=[say("Noted.")])
    (name,) = await supervisor.delegated()
    messages = await supervisor.messages()
    newest = [one.info.id for one in messages if one.info.role == "user"][-1]
    await stage.client.undo(supervisor.id, newest)
    stage.model.open(f"late {supervisor.id}")
    await stage.ended(name)
    await told_elsewhere(stage)
    return supervisor, name, [one.info.id for one in messages]


async def told_elsewhere(stage: Stage) -> None:
    """Return once a later notice has arrived in another session: what could be told was."""
    other = await stage.supervisor()
    await other.turn(delegate("Be told.", say("Told.")), say("Off."), on_notice=[say("Noted.")])
    await other.settled()


async def stored(supervisor: Supervisor) -> list[str]:
    return [one.info.id for one in await supervisor.messages()]


@pytest.mark.main_path
async def test_a_notice_waits_until_undone_messages_are_redone(stage: Stage) -> None:
    """OpenCode would delete them for good at the next message, a notice as well."""
    supervisor, name, before = await held(stage)
    assert await stored(supervisor) == before

    await stage.client.redo(supervisor.id)
    (notice,) = await supervisor.settled()
    assert notice.id == name
    assert (await stored(supervisor))[: len(before)] == before


async def test_a_notice_comes_with_what_the_user_says_instead(stage: Stage) -> None:
    """Who goes on has let go of what was undone; the notice stands after what they said."""
    supervisor, name, before = await held(stage)

    await supervisor.start(say("Anew."), on_notice=[say("Noted.")])
    (notice,) = await supervisor.settled()
    assert notice.id == name
    kept, spoken = await stored(supervisor), await users(supervisor)
    assert kept[:2] == before[:2]
    assert not set(kept) & set(before[2:])
    assert spoken[1:] == [spoken[1], notice.message]


async def users(supervisor: Supervisor) -> list[str]:
    return [one.info.id for one in await supervisor.messages() if one.info.role == "user"]


@pytest.mark.only("1", why="what is undone there is asked for again by each service")
async def test_a_notice_is_held_by_the_next_opencode_too(tmp_path: Path, line: Line) -> None:
    """What is undone stays so when OpenCode ends, and nobody tells the next service of it."""
    async with staged(tmp_path, line) as stage:
        supervisor, name, before = await held(stage)
        await stage.opencode.kill()
        async with restarted(stage) as again:
            await told_elsewhere(again)
            after = Supervisor(supervisor.id, again)
            assert await stored(after) == before

            await again.client.redo(after.id)
            (notice,) = await after.settled()
            assert notice.id == name
            assert (await stored(after))[: len(before)] == before


@pytest.mark.only("2", why="our service refuses")
async def test_a_session_with_undone_messages_is_not_gone_on_with(stage: Stage) -> None:
    """A model does not make final what the user has undone in a background agent's session."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Be undone.", say("Done.")), say("Off."), on_notice=[say("Ok.")])
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    child = await stage.child(name)
    before = [one.info.id for one in await stage.client.messages(child)]
    await stage.client.undo(child, before[0])

    again = call("delegate", prompt="Go on.", agent="general", continue_id=name)
    await supervisor.turn(again, say("Refused."))

    assert "has undone messages" in (await supervisor.outputs("delegate", 2))[-1]
    await stage.client.redo(child)
    assert [one.info.id for one in await stage.client.messages(child)] == before
