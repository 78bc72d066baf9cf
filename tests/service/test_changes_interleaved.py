"""Two agents, their supervisor and a human write the same files at once, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from offices import HERON, OTTER, Office

from background_agents.domain.changes import Certainty, Segment
from background_agents.service.changes.attribution import NOBODY
from background_agents.service.changes.calls import Call

HUMAN = "human"

AGENTS = (OTTER, HERON, NOBODY)

PATHS = ("a", "b", "c")

STEPS = 40


class Wrote(NamedTuple):
    """What has truly happened."""

    by: str
    is_tool: bool
    path: str
    before: str | None
    after: str | None


@dataclass
class Tool:
    """A call that is going on."""

    call: Call
    path: str
    text: str
    is_written: bool = False


@dataclass
class Play:
    """One order of events, by its seed."""

    office: Office
    dice: random.Random
    truth: list[Wrote] = field(default_factory=list)
    commands: dict[str, Call] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    """What a tool has written, and was there when that was told."""
    texts: int = 0

    async def run(self) -> None:
        for _ in range(STEPS):
            await self.step()
        for owner in AGENTS:
            await self.end_tool(owner)
            await self.end_command(owner)
        for owner in (OTTER, HERON):
            await self.office.finish(owner)

    async def step(self) -> None:
        who = self.dice.choice((*AGENTS, HUMAN))
        if who == HUMAN:
            self.write(HUMAN, self.dice.choice(PATHS))
        elif who in self.tools:
            await (self.tell if self.tools[who].is_written else self.write_by_tool)(who)
        elif self.dice.random() < 0.4:
            await self.begin_tool(who)
        elif who in self.commands:
            if self.dice.random() < 0.5:
                self.write(who, self.dice.choice(PATHS))
            else:
                await self.end_command(who)
        else:
            self.commands[who] = await self.office.start(who, "bash")
        if self.dice.random() < 0.3:
            await asyncio.sleep(0)

    async def begin_tool(self, who: str) -> None:
        path, text = self.dice.choice(PATHS), self.text()
        call = await self.office.start(who, "write", filePath=path, content=text)
        self.tools[who] = Tool(call, path, text)

    async def write_by_tool(self, who: str) -> None:
        """Write what was announced; others may go on before it is told."""
        tool = self.tools[who]
        tool.is_written = True
        self.write(who, tool.path, tool.text, is_tool=True)

    async def tell(self, who: str) -> None:
        tool = self.tools.pop(who)
        if (self.office.top / tool.path).exists():
            found = (self.office.top / tool.path).read_text()
            if found == tool.text:
                self.told.append((who, tool.path, tool.text))
        await self.office.end(tool.call)

    async def end_tool(self, who: str) -> None:
        if who in self.tools:
            if not self.tools[who].is_written:
                await self.write_by_tool(who)
            await self.tell(who)

    async def end_command(self, who: str) -> None:
        if (call := self.commands.pop(who, None)) is not None:
            await self.office.end(call)

    def write(self, who: str, path: str, text: str | None = None, *, is_tool: bool = False) -> None:
        file = self.office.top / path
        before = file.read_text() if file.exists() else None
        if text is None and before is not None and self.dice.random() < 0.2:
            file.unlink()
        else:
            text = text or self.text()
            file.write_text(text)
        self.truth.append(Wrote(who, is_tool, path, before, text))

    def text(self) -> str:
        """Return what nobody has written before."""
        self.texts += 1
        return f"{self.texts} {self.dice.random()}\n"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.tasks.close()


@pytest.mark.parametrize("seed", range(25))
async def test_nobody_is_given_what_another_is_known_to_have_written(
    office: Office, seed: int
) -> None:
    play = Play(office, random.Random(seed))
    await play.run()
    await asyncio.to_thread(check_all, play)


def check_all(play: Play) -> None:
    for owner in (OTTER, HERON):
        segments = play.office.journal.segments(owner)
        for one in segments:
            check(play, one, owner)
        sure = {(one.path, play.office.shown(one.after)) for one in segments if one.by == "write"}
        assert {(path, text) for who, path, text in play.told if who == owner} <= sure


def check(play: Play, one: Segment, owner: str) -> None:
    after = play.office.shown(one.after)
    writers = [w for w in play.truth if w.path == one.path and w.after == after and w.after]
    if one.certainty is Certainty.SURE:
        (writer,) = writers
        assert (writer.by, writer.is_tool) == (owner, True)
        assert one.by == "write"
    elif one.certainty is Certainty.LIKELY and writers:
        assert {writer.by for writer in writers} <= {owner, HUMAN}, one
