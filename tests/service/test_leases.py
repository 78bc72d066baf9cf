"""Who is frozen for longer than its claim holds loses it, notices that, and writes nothing more."""

from __future__ import annotations

import asyncio
import os

import pytest
from world import DIRECTORY, World

from background_agents.adapters.system import processes
from background_agents.adapters.system.processes import is_alive, is_running, process_name
from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RunElsewhere
from background_agents.domain.status import Status
from background_agents.hosts.opencode.tools import NAMES
from background_agents.service.context import Context
from background_agents.service.ownership.leases import HEARTBEAT, LEASE
from background_agents.testing.clock import ManualClock
from background_agents.testing.runtime import ScriptedRuntime
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}
ONE, OTHER = f"{process_name()}:one", f"{process_name()}:other"


class Muted:
    """The runtime as one of two OpenCodes sees it: what it aborts is its own loop alone."""

    def __init__(self, runtime: ScriptedRuntime) -> None:
        self.aborted: list[str] = []
        self._runtime = runtime

    def __getattr__(self, name: str) -> object:
        return getattr(self._runtime, name)

    async def abort(self, session: str) -> None:
        self.aborted.append(session)


class Process:
    """A service with a clock of its own, so that it can be frozen."""

    def __init__(self, world: World, owner: str) -> None:
        self.clock = ManualClock()
        self.runtime = Muted(world.runtime)
        context = Context(
            runtime=self.runtime,  # type: ignore[arg-type]  # all but one method is the fake's own
            channel=world.channel,
            store=world.store,
            artifacts=world.artifacts,
            journal=world.changes,
            trees=world.trees,
            tries=world.tries,
            clock=self.clock,
            processes=processes,
            ids=world._ids,
            project="p1",
            directory=DIRECTORY,
            owner=owner,
            tools=NAMES,
        )
        self.service = Service(context, Settings())


@pytest.fixture
def frozen_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenCode of whoever is frozen is frozen with it."""
    monkeypatch.setattr(processes, "is_running", lambda _host: False)


async def two(world: World) -> tuple[Process, Process, Delegation]:
    """Return a process that runs a delegation, another one, and the delegation."""
    one, other = Process(world, ONE), Process(world, OTHER)
    await one.service.start()
    await other.service.start()
    delegation = await world.delegate(one.service, HANG)
    await world.working(delegation)
    return one, other, delegation


async def pass_together(world: World, *processes: Process, seconds: float) -> None:
    for _ in range(int(seconds / HEARTBEAT.total_seconds()) + 1):
        for process in processes:
            process.clock.advance(HEARTBEAT)
        await looked_at(world)


async def looked_at(world: World) -> None:
    """Let what looks at processes, on threads, come to its end."""
    await world.settle()
    for _ in range(3):
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(8)))
        await world.settle()


async def taken_over(world: World, other: Process, delegation: Delegation) -> None:
    """Let time pass for a process until it has what the other one had."""
    for _ in range(20):
        other.clock.advance(HEARTBEAT)
        await looked_at(world)
        if world.now(delegation).owner == OTHER:
            return
    raise AssertionError("it was not taken over")


async def test_what_a_frozen_process_owned_goes_on_elsewhere(
    world: World, frozen_host: None
) -> None:
    """It is adopted, ends once, and whoever is thawed has written nothing more."""
    one, other, delegation = await two(world)
    await taken_over(world, other, delegation)
    one.clock.advance(LEASE * 2)
    await world.settle()
    child = world.runtime.sessions[world.now(delegation).session or ""]
    assert one.runtime.aborted == [child.name]
    before = len(world.journal.of("try to commit"))
    child.write("Done.")
    child.finish()
    ended = await world.ended(delegation)
    await world.notified()
    assert ended.status is Status.COMPLETED
    assert world.journal.of("end") == [delegation.id]
    assert world.journal.of("try to write") == [delegation.id]
    assert len(world.journal.of("try to commit")) - before <= 3
    await one.service.close()
    await other.service.close()


async def test_it_notices_also_when_something_happens_before_its_heartbeat(
    world: World, frozen_host: None
) -> None:
    """The first signal after the thaw is not acted on."""
    one, other, delegation = await two(world)
    await taken_over(world, other, delegation)
    one.clock.step_wall(LEASE * 2)
    one.clock._elapsed += LEASE * 2  # thawed: time has passed, and no timer has run yet
    world.runtime.sessions[world.now(delegation).session or ""].finish()
    await world.ended(delegation)
    await world.notified()
    assert world.journal.of("try to write") == [delegation.id]
    await one.service.close()
    await other.service.close()


async def test_who_has_lost_everything_works_on_under_a_new_name(
    world: World, frozen_host: None
) -> None:
    """What it is asked about runs elsewhere; what it begins now is its own."""
    one, other, delegation = await two(world)
    await taken_over(world, other, delegation)
    one.clock.advance(LEASE * 2)
    await world.settle()
    with pytest.raises(RunElsewhere):
        await one.service.stop(world.supervisor, delegation.id)
    later = await world.delegate(one.service, {"say": "Done."})
    ended = await world.ended(later)
    assert (ended.status, ended.owner) == (Status.COMPLETED, f"{ONE}:1")
    await one.service.close()
    await other.service.close()


async def test_who_renews_its_claim_keeps_it(world: World, frozen_host: None) -> None:
    """However long it takes."""
    one, other, delegation = await two(world)
    await pass_together(world, one, other, seconds=120)
    assert world.now(delegation).owner == ONE
    await one.service.close()
    await other.service.close()


async def test_a_service_that_is_frozen_alone_keeps_its_claim(world: World) -> None:
    """Its OpenCode runs on with the agent in it, which nobody else could follow."""
    one, other, delegation = await two(world)
    await pass_together(world, other, seconds=120)
    assert world.now(delegation).owner == ONE
    one.clock.advance(LEASE * 10)
    await world.settle()
    world.runtime.sessions[world.now(delegation).session or ""].finish()
    assert (await world.ended(delegation)).owner == ONE
    await one.service.close()
    await other.service.close()


async def test_a_dead_service_is_left_to_its_own_opencode_for_the_time_of_a_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That starts the next one at once, with the agents still at work in it; then others may."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "getppid", os.getpid)  # an OpenCode that lives, and is not ours
        dead = Process(world, "4194304:1")  # beyond the highest pid that there can be
        await dead.service.start()
    delegation = await world.delegate(dead.service, HANG)
    await world.working(delegation)
    await dead.service.close()
    other = Process(world, OTHER)
    await other.service.start()
    await pass_together(world, other, seconds=(LEASE - HEARTBEAT).total_seconds())
    assert world.now(delegation).owner == "4194304:1"
    await taken_over(world, other, delegation)
    await other.service.close()


async def test_a_stepped_wall_clock_takes_no_claim_away(world: World, frozen_host: None) -> None:
    """Claims are measured by a clock that nobody steps."""
    one, other, delegation = await two(world)
    other.clock.step_wall(LEASE * 100)
    await pass_together(world, one, other, seconds=12)
    assert world.now(delegation).owner == ONE
    await one.service.close()
    await other.service.close()


def test_a_name_with_a_number_is_the_same_process() -> None:
    assert is_alive(ONE)
    assert is_running(ONE)
    assert not is_running("0:0")


async def test_without_a_boot_id_a_claim_of_the_future_is_of_another_boot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock began anew with the machine, and the pids of the claim are others' by now."""
    monkeypatch.setattr(processes, "boot_id", lambda: "")
    one, other = Process(world, ONE), Process(world, OTHER)
    one.clock.advance(LEASE)
    await one.service.start()
    await other.service.start()
    await pass_together(world, other, seconds=LEASE.total_seconds() + 10)
    assert [lease.owner for lease in await world.store.leases()] == [OTHER]


@pytest.mark.parametrize("boot", ["this boot", "another boot"])
async def test_what_is_not_ours_to_judge_is_taken_over_only_when_its_claim_stands_still(
    world: World, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    """In a container or on another machine a pid that does not exist here may live."""
    elsewhere = "4194304:1@1" if boot == "this boot" else "4194304:1"
    monkeypatch.setattr(processes, "boot_id", lambda: boot)
    one = Process(world, elsewhere)
    one.clock.advance(LEASE * 1000)  # no clock of ours
    await one.service.start()
    monkeypatch.setattr(processes, "boot_id", lambda: "this boot")
    other = Process(world, OTHER)
    await other.service.start()
    delegation = await world.delegate(one.service, HANG)
    await world.working(delegation)
    await pass_together(world, one, other, seconds=120)
    assert world.now(delegation).owner == elsewhere
    await one.service.close()
    await pass_together(world, other, seconds=(LEASE - HEARTBEAT * 2).total_seconds())
    assert world.now(delegation).owner == elsewhere
    await taken_over(world, other, delegation)
    assert [lease.owner for lease in await world.store.leases()] == [OTHER]
    await other.service.close()


async def test_with_a_boot_id_the_boot_decides_not_the_clock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks of time namespaces differ within one boot."""
    monkeypatch.setattr(processes, "boot_id", lambda: "this boot")
    one, other = Process(world, ONE), Process(world, OTHER)
    one.clock.advance(LEASE)
    await one.service.start()
    await other.service.start()
    assert {lease.owner for lease in await world.store.leases()} == {ONE, OTHER}
