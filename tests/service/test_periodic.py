"""What is done every so often goes on whatever happens, and says since when it fails."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from world import HANG, LIVING, World

from background_agents.domain.errors import StoreUnavailable
from background_agents.service.delivery.outbox import RETRY_FIRST
from background_agents.service.ownership.leases import HEARTBEAT
from background_agents.service.periodic import Periodic
from background_agents.service.project import ORPHAN_SEARCH
from background_agents.service.running.streamed import PACE
from background_agents.service.tasks import Tasks
from background_agents.testing.clock import START, ManualClock

PAUSE = timedelta(seconds=3)

UNFORESEEN = RuntimeError("nobody thought of this")


class Work:
    """Work that fails as told, and counts."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.done = 0

    async def __call__(self) -> None:
        self.done += 1
        if self.error is not None:
            raise self.error


async def ticks(clock: ManualClock, count: int = 1) -> None:
    for _ in range(count):
        clock.advance(PAUSE)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def begun() -> tuple[ManualClock, Work, Periodic]:
    clock, work = ManualClock(), Work()
    periodic = Periodic(clock, PAUSE, work, "the odd work")
    Tasks().spawn(periodic.run(), periodic.name)
    await asyncio.sleep(0)
    return clock, work, periodic


Begun = tuple[ManualClock, Work, Periodic]


async def test_it_goes_on_after_any_error_and_knows_since_when(begun: Begun) -> None:
    clock, work, periodic = begun
    await ticks(clock)
    assert periodic.failing is None
    work.error = UNFORESEEN
    await ticks(clock, 3)
    work.error = StoreUnavailable("The disk is full.")
    await ticks(clock)
    assert work.done == 5
    assert periodic.failing is not None
    assert periodic.failing.since == START + 2 * PAUSE
    assert periodic.failing.error == "StoreUnavailable: The disk is full."
    work.error = None
    await ticks(clock)
    assert periodic.failing is None


async def test_an_error_is_logged_once_for_each_change(
    begun: Begun, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw with its traceback, what a disk does without."""
    clock, work, _ = begun
    courses: list[BaseException | None] = [
        *([UNFORESEEN] * 3),
        *([StoreUnavailable("The disk is full.")] * 3),
        None,
        UNFORESEEN,
    ]
    for work.error in courses:
        await ticks(clock)
    said = [one for one in caplog.records if "the odd work" in one.message]
    assert [(one.levelno, one.exc_info is not None) for one in said] == [
        (logging.ERROR, True),
        (logging.ERROR, False),
        (logging.WARNING, False),
        (logging.ERROR, True),
    ]


async def test_what_it_waited_for_may_be_cancelled(begun: Begun) -> None:
    """That is no end of the work, which nobody cancelled."""
    clock, work, periodic = begun
    work.error = asyncio.CancelledError()
    await ticks(clock, 2)
    assert work.done == 2
    assert periodic.failing is not None


async def test_a_task_that_dies_of_a_cancelled_future_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = Tasks()
    future = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await future

    task = tasks.spawn(wait(), "the odd work")
    await asyncio.sleep(0)
    future.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "the odd work failed" in caplog.text


async def test_a_task_that_is_cancelled_is_nobodys_error(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.spawn(asyncio.Event().wait(), "the odd work")  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await tasks.close()
    assert caplog.text == ""


# --- in a service ------------------------------------------------------------------


async def passes(world: World, span: timedelta) -> None:
    """Let time pass, with what is looked at on threads."""
    await world.settle()  # so that whoever is going to sleep does
    world.clock.advance(span)
    for _ in range(3):
        await world.settle()
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(8)))
    await world.settle()


def broken(*_: object) -> object:
    raise UNFORESEEN


@pytest.mark.parametrize("operation", ["unfinished", "due", "leases"])
async def test_orphans_are_found_after_an_unforeseen_error(
    world: World, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    dead = await world.service()
    heir = await world.service(owner=LIVING)
    delegation = await world.delegate(dead, HANG)
    await world.working(delegation)
    await dead.close()
    with monkeypatch.context() as patched:
        patched.setattr(world.store, operation, broken)
        await passes(world, ORPHAN_SEARCH)
        (failing,) = heir.project.failing
        assert (failing.name, failing.error) == (
            "the search for orphans",
            f"RuntimeError: {UNFORESEEN}",
        )
    await passes(world, ORPHAN_SEARCH)
    assert heir.project.failing == []
    assert world.now(delegation).owner == LIVING


async def test_the_heartbeat_goes_on_after_an_unforeseen_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(owner=LIVING)
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "renew", broken)
        await passes(world, HEARTBEAT)
        assert [one.name for one in service.project.failing] == ["the heartbeat"]
    await passes(world, HEARTBEAT)
    assert service.project.failing == []
    (lease,) = await world.store.leases()
    assert lease.renewed_s == world.clock.monotonic_s()


async def test_what_agents_stream_is_kept_after_an_unforeseen_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of what came in between is missing."""
    service = await world.service(owner=LIVING)
    delegation = await world.delegate(service, HANG)
    child = await world.working(delegation)
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "keep", broken)
        child.write("One. ")
        await passes(world, PACE)
        assert [one.name for one in service.project.failing] == ["keeping what agents stream"]
    child.write("Two.")
    await passes(world, PACE)
    assert service.project.failing == []
    assert list((await world.store.kept(delegation.id)).values()) == ["One. Two."]


async def test_a_notice_is_tried_again_after_an_unforeseen_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(owner=LIVING)
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "assign", broken)
        delegation = await world.delegate(service, {"say": "Done."})
        await world.ended(delegation)
        await world.settle()
        assert world.channel.attempts == []
    await passes(world, RETRY_FIRST)
    assert len(await world.notified()) == 1
