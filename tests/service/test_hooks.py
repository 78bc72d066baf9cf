"""What the user has set to be run when a delegation ends or asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest
from world import HANG, LIVING, World, bash

from background_agents.adapters.system import processes
from background_agents.config import Settings
from background_agents.domain.actor import Actor
from background_agents.domain.status import Status
from background_agents.service.delivery.hooks import AT_ONCE, LIMIT
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.testing.waiting import Changes
from background_agents.views.json import HookSheet

SET = Settings(notify_command="notify --me", max_concurrent=30)


@dataclass
class Hand:
    """Takes what would be run, and answers why it failed."""

    failure: str = ""
    gate: asyncio.Event | None = None
    ran: list[tuple[Sequence[str], bytes]] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    async def __call__(self, command: Sequence[str], content: bytes, limit: timedelta) -> str:
        assert limit == LIMIT
        self.ran.append((command, content))
        self.changes.tell()
        if self.gate is not None:
            await self.gate.wait()
        return self.failure

    async def told(self, world: World, count: int = 1) -> list[HookSheet]:
        """Return what was told once so much was, and whatever waits for no time came of it."""
        await world.settle()
        world.clock.advance(GIVE_WAY)
        await self.changes.until(lambda: len(self.ran) >= count)
        await world.settle()
        return [msgspec.json.decode(content, type=HookSheet) for _, content in self.ran if content]


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(processes, "hand", hand)
    return hand


async def test_an_end_is_told_by_json_and_by_nothing_else(world: World, hand: Hand) -> None:
    """What an agent wrote is on stdin; the line for the shell is the user's alone."""
    service = await world.service(SET)
    delegation = await world.delegate(service, {"say": "$(touch /tmp/evil) `x`"})
    await world.ended(delegation)
    assert hand.ran == []  # not on the way of the notice
    (told,) = await hand.told(world)
    assert hand.ran[0][0] == ("/bin/sh", "-c", "notify --me")
    assert hand.ran[0][1].count(b"\n") == 1
    assert (told.what, told.title) == ("ended", "Delegation completed")
    assert (told.delegation.id, told.delegation.state) == (delegation.id, "completed")
    assert delegation.id in told.message


async def test_what_is_asked_is_told_and_a_message_is_not(world: World, hand: Hand) -> None:
    service = await world.service(SET)
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    await service.notify(child.name, "By the way.")
    world.below(child, bash("ls"), HANG)
    await world.waits(delegation)
    (told,) = await hand.told(world)
    assert told.what == "request"
    (request,) = told.delegation.requests
    assert request.kind == "permission"


@pytest.mark.parametrize(
    ("by", "count"),
    [(Actor.COMMAND_LINE, 0), (Actor.PANEL, 0), (Actor.END_ABOVE, 0), (Actor.SUPERVISOR, 1)],
)
async def test_whoever_stops_one_knows_it(world: World, hand: Hand, by: Actor, count: int) -> None:
    service = await world.service(SET)
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    stopping = asyncio.create_task(service.user.stop(delegation.id, by=by))
    assert (await world.ended(delegation)).status is Status.STOPPED
    await stopping
    assert len(await hand.told(world, count)) == count


async def test_the_desktop_is_told_no_word_of_an_agent(world: World, hand: Hand) -> None:
    service = await world.service(Settings(notify_desktop=True))
    delegation = await world.delegate(service, {"say": "--icon=evil"})
    await world.ended(delegation)
    assert await hand.told(world) == []
    words = ("--app-name=background-agents", "--", "Delegation completed", delegation.id)
    assert hand.ran == [(("notify-send", *words), b"")]


async def test_nothing_is_run_where_nothing_is_set(world: World, hand: Hand) -> None:
    service = await world.service()
    delegation = await world.delegate(service, {"say": "Done."})
    await world.ended(delegation)
    assert await hand.told(world, 0) == []


async def test_it_is_not_run_again_by_the_next_process(world: World, hand: Hand) -> None:
    """Which delivers what is due and takes over what waits for an answer."""
    world.runtime.asking.add("bash")
    first = await world.service(SET)
    over = await world.delegate(first, {"say": "Done."})
    await world.ended(over)
    waits = await world.delegate(first, bash("ls"), {"say": "Done."})
    await world.waits(waits)
    assert [one.what for one in await hand.told(world, 2)] == ["ended", "request"]
    await first.close()
    second = await world.service(SET, owner=LIVING)
    await world.until(lambda: world.now(waits).owner == LIVING)
    assert len(await hand.told(world, 2)) == 2
    await second.user.answer(waits.id, "once")
    await world.ended(waits)
    assert [one.what for one in await hand.told(world, 3)] == ["ended", "request", "ended"]


async def test_one_that_hangs_holds_up_no_notice_and_no_more_than_its_place(
    world: World, hand: Hand
) -> None:
    hand.gate = asyncio.Event()
    service = await world.service(SET)
    many = [await world.delegate(service, {"say": f"Done {n}."}) for n in range(AT_ONCE + 3)]
    for one in many:
        await world.ended(one)
    assert len(await hand.told(world, AT_ONCE)) == AT_ONCE
    assert len(await world.told("task-notification", len(many))) == len(many)
    hand.gate.set()
    assert len(await hand.told(world, len(many))) == len(many)


async def test_why_it_fails_is_logged_once(
    world: World, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    hand.failure = "ended with 127"
    service = await world.service(SET)
    for number in range(1, 4):
        delegation = await world.delegate(service, {"say": "Done."})
        await world.ended(delegation)
        await hand.told(world, number)
    found = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert [one.getMessage().partition(": ")[2] for one in found] == ["it ended with 127"]
