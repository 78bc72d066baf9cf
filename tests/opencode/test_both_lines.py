"""One user who has both lines: side by side on one project, and one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from plays import Notice, Stage, Supervisor, delegate, say
from terminal_user import TerminalUser

from background_agents.domain.events import FIRST_RUNTIME
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer

pytestmark = [pytest.mark.opencode, pytest.mark.timeout(180)]

ONE_DATABASE = {"OPENCODE_DISABLE_CHANNEL_DB": "1"}
"""Lets the preview of OpenCode 2 have its sessions where released ones have them: where OpenCode 1
has its own."""


@dataclass
class Owner:
    """A home in which either line can be started; one plugin file was installed for both."""

    root: Path
    model: ModelServer

    def create(self) -> None:
        home = self.home(Line.ONE)
        home.create(self.model.base_url)
        home.install_plugin()

    def home(self, line: Line) -> Home:
        return Home(self.root, find_binary(line).version)

    @property
    def terminal(self) -> TerminalUser:
        return TerminalUser(self.home(Line.ONE))

    @asynccontextmanager
    async def opened(
        self, line: Line, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[Stage]:
        """Start a line's server; end it on the way out, unless it has ended by then."""
        opencode = OpenCode(find_binary(line), self.home(line), env or {})
        await opencode.start()
        try:
            async with opencode.client() as client, client.events() as events:
                yield Stage(self.model, opencode, client, events)
        finally:
            await opencode.end()


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[Owner]:
    """Somebody who has both lines."""
    async with ModelServer() as model:
        found = Owner(tmp_path, model)
        await asyncio.to_thread(found.create)
        yield found


async def begin(stage: Stage, gate: str) -> tuple[Supervisor, str]:
    """Let a new supervisor delegate something that ends once the gate is opened."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate(f"Task at {gate}.", say("Found it.", gate=gate)), say("Off."))
    await stage.model.wait_held(gate)
    (name,) = await supervisor.delegated()
    return supervisor, name


def statuses(told: list[Notice]) -> list[tuple[str, str]]:
    return [(one.id, one.fields["status"]) for one in told]


async def test_both_at_once_on_one_project_lose_and_double_nothing(owner: Owner) -> None:
    """Each runs and tells its own, also after the other was killed in the middle of a run."""
    async with owner.opened(Line.ONE) as one, owner.opened(Line.TWO) as two:
        first, its = await begin(one, "one")
        async with owner.opened(Line.TWO) as killed:
            second, theirs = await begin(killed, "two")
            status = (await owner.terminal.run("status")).out
            await killed.opencode.kill()
        assert its in status
        assert theirs in status
        owner.model.open("one")
        assert statuses(await first.settled()) == [(its, "completed")]

        owner.model.open("two")
        again = Supervisor(second.id, two)
        assert statuses(await again.settled(timeout_s=60)) == [(theirs, "completed")]
        assert statuses(await first.stored_notices()) == [(its, "completed")]
        assert statuses(await again.stored_notices()) == [(theirs, "completed")]


async def test_what_line_1_left_running_waits_for_it_and_what_it_had_is_read(owner: Owner) -> None:
    """The preview has sessions of its own: nothing is ended there that could go on elsewhere."""
    async with owner.opened(Line.ONE) as before:
        done, read = await begin(before, "done")
        owner.model.open("done")
        await done.settled()
        _, left = await begin(before, "left")
        await before.opencode.kill()
    async with owner.opened(Line.TWO) as after:
        mine, name = await begin(after, "mine")
        refused = await owner.terminal.run("delegate", "general", "More.", "--continue", read)
        listed = await owner.terminal.run("list")
        text = await owner.terminal.run("read", read)
        shown = await owner.terminal.run("show", left)
        owner.model.open("mine")
        assert statuses(await mine.settled()) == [(name, "completed")]
    assert "its session stayed with opencode-1" in refused.err
    assert all(one in listed.out for one in (read, left, name))
    assert "Found it." in text.out
    assert f"runtime     {FIRST_RUNTIME}" in shown.out
    assert shown.out.startswith(f"{left}: running")
    async with owner.opened(Line.ONE) as back:
        owner.model.open("left")
        await back.ended(left)


async def test_what_line_1_left_running_goes_on_where_its_sessions_went(owner: Owner) -> None:
    """Released OpenCode 2 takes sessions over, under the same ids."""
    async with owner.opened(Line.ONE) as before:
        supervisor, left = await begin(before, "left")
        await before.opencode.kill()
    owner.model.open("left")
    async with owner.opened(Line.TWO, ONE_DATABASE) as after:
        same = Supervisor(supervisor.id, after)
        # It wakes nobody there: the preview takes sessions over without their messages.
        (told,) = await same.notices(timeout_s=60)
        assert told.id == left
        assert told.fields["status"] in ("completed", "interrupted")
        assert statuses(await same.stored_notices()) == statuses([told])
