"""Delegations in trees of their own: begun there or not at all, summed up, applied when asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from world import DIRECTORY, HANG, World

from background_agents.config import Settings
from background_agents.domain.changes import ABSENT, Image, Kind, Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    InvalidRequest,
    LeaveToEdit,
    MayNotEdit,
    NotApplied,
    NotContinuable,
    NotIsolated,
    StillActive,
)
from background_agents.domain.isolation import State
from background_agents.domain.order import Order
from background_agents.domain.status import Status
from background_agents.hosts.opencode.writes import ToolCall as Call
from background_agents.ports.runtime import Leave
from background_agents.testing.scripts import script
from lab.harness.service import Service

APART = Settings(isolation={"build": "worktree"})


async def apart(
    world: World, service: Service, *steps: dict[str, object], continue_id: str | None = None
) -> Delegation:
    """Delegate something that is tried apart, and let it change a file."""
    prompt = f"Try it.\n{script(*(steps or ({'say': 'Tried.'},)))}"
    order = Order(prompt, "build", continue_id=continue_id, isolation="worktree")
    delegation = await service.delegate(world.supervisor, order)
    digest = world.tries.kept(delegation.tree).keep(b"one\ntwo\n")
    written = Image(Kind.FILE, digest, 0o644, 8)
    world.tries.changed[delegation.tree] = [
        Segment(at=datetime(2030, 1, 1, tzinfo=UTC), path="new.txt", before=ABSENT, after=written)
    ]
    return delegation


async def tried(world: World, service: Service) -> Delegation:
    """Return one that has ended, and whose supervisor knows that."""
    ended = await world.ended(await apart(world, service))
    await world.settle()
    return world.now(ended)


async def test_it_works_in_its_tree_and_is_told_of_it(world: World, service: Service) -> None:
    delegation = await tried(world, service)

    session = delegation.session or ""
    place = f"/isolated/{delegation.id}/tree"
    assert (delegation.tree, delegation.isolation) == (delegation.id, "worktree")
    assert world.runtime.places == {session: place}
    first = next(iter(world.runtime.sessions[session].entries.values()))
    text = "".join(first.parts.values())
    assert text.startswith("Try it.\n")
    assert f"Your folder is {place}, a copy of {DIRECTORY}" in text
    await world.runtime.moves.until(lambda: world.runtime.closed == [place])


async def test_its_end_tells_what_it_changed_and_that_it_is_not_applied(
    world: World, service: Service
) -> None:
    delegation = await apart(world, service)
    world.tries.moves[delegation.tree] = "The main folder was on a, and is on b now."
    ended = await world.ended(delegation)

    (notice,) = await world.told("task-notification")

    assert (ended.changes.files, ended.changes.added, ended.changes.names) == (1, 2, ("new.txt",))
    assert '<changes files="1" added="2" removed="0">new.txt</changes>' in notice
    assert "<isolated>not applied: delegation_apply(" in notice
    assert "<left-its-tree>The main folder was on a, and is on b now.</left-its-tree>" in notice


async def test_without_a_tree_it_fails_and_works_nowhere_else(
    world: World, service: Service
) -> None:
    world.tries.failure = NotIsolated("/src is in no working tree of Git")

    ended = await world.ended(await apart(world, service))

    assert ended.status is Status.FAILED
    assert ended.error == (
        "There is no working tree of its own for it: /src is in no working tree of Git."
    )
    assert ended.session is None
    assert len(world.runtime.sessions) == 1


async def test_a_setting_isolates_an_agent_and_no_model_loosens_it(world: World) -> None:
    service = await world.service(APART)
    usual = await world.delegate(service, HANG)
    other = await world.delegate(service, HANG, agent="explore")

    with pytest.raises(InvalidRequest, match="the user has set worktree for 'build'"):
        await service.delegate(world.supervisor, Order("x", "build", isolation="none"), by="build")
    with pytest.raises(InvalidRequest, match="isolation is 'vm'; give worktree or none"):
        await service.delegate(world.supervisor, Order("x", "build", isolation="vm"))
    own = await service.delegate(world.supervisor, Order("x", "build", isolation=" None "))

    assert [one.isolation for one in (usual, other, own)] == ["worktree", "", ""]


async def test_what_its_tools_write_is_no_change_of_the_project(
    world: World, service: Service
) -> None:
    delegation = await apart(world, service, HANG)
    session = await world.working(delegation)

    await service.may_write(Call(session=session.name, id="c1", tool="bash"))

    assert world.changes.windows(delegation.id) == []


async def test_applied_once_it_has_ended(world: World, service: Service) -> None:
    delegation = await apart(world, service, HANG)
    session = await world.working(delegation)
    with pytest.raises(StillActive):
        await service.apply(world.supervisor, delegation.id)
    session.abort()
    ended = await world.ended(delegation)
    await world.settle()

    done = await service.apply(world.supervisor, ended.id)

    assert [one.path for one in done.segments] == ["new.txt"]
    assert done.state is State.APPLIED
    assert world.now(ended).changes.apart == "applied"


async def test_what_does_not_fit_is_refused_with_its_paths(world: World, service: Service) -> None:
    delegation = await tried(world, service)
    world.tries.conflicts[delegation.tree] = ["a.txt", "b/c.txt"]

    with pytest.raises(NotApplied, match=re.escape("a.txt, b/c.txt")):
        await service.apply(world.supervisor, delegation.id)
    assert world.now(delegation).changes.apart == "not applied"


async def test_a_shared_one_has_nothing_to_apply(world: World, service: Service) -> None:
    shared = await world.ended(await world.delegate(service, {"say": "Done."}))

    with pytest.raises(NotIsolated, match="in the project itself"):
        await service.apply(world.supervisor, shared.id)


async def test_who_may_not_edit_applies_nothing(world: World, service: Service) -> None:
    """The rules of the host, for the agent whose model asks; people are bound by none."""
    delegation = await tried(world, service)
    world.runtime.leaves["build"] = Leave(may_edit=False)
    with pytest.raises(MayNotEdit):
        await service.apply(world.supervisor, delegation.id, by="plan")

    world.runtime.leaves["build"] = Leave(ask_to_edit=True)
    with pytest.raises(LeaveToEdit):
        await service.apply(world.supervisor, delegation.id, by="build")
    assert world.tries.state(delegation.tree) is State.OPEN
    await service.apply(world.supervisor, delegation.id, by="build", granted="edit")

    assert world.tries.state(delegation.tree) is State.APPLIED


async def test_another_goes_on_in_its_tree(world: World, service: Service) -> None:
    before = await tried(world, service)

    after = await world.ended(await apart(world, service, continue_id=before.id))

    assert (after.tree, after.session) == (before.id, before.session)
    assert after.changes.apart == "not applied"


async def test_what_becomes_of_a_tree_is_told_of_all_who_worked_there(
    world: World, service: Service
) -> None:
    before = await tried(world, service)
    after = await world.ended(await apart(world, service, continue_id=before.id))
    await world.settle()

    await service.apply(world.supervisor, after.id)

    assert [world.now(one).changes.apart for one in (before, after)] == ["applied", "applied"]


async def test_none_goes_on_where_files_are_not_what_they_were(
    world: World, service: Service
) -> None:
    before = await tried(world, service)
    order = Order("x", "build", continue_id=before.id, isolation="none")
    with pytest.raises(NotContinuable, match="worked in a tree of its own; leave isolation out"):
        await service.delegate(world.supervisor, order)
    shared = await world.ended(await world.delegate(service, {"say": "Done."}))
    await world.settle()
    with pytest.raises(NotContinuable, match="worked in the project itself; leave isolation out"):
        await apart(world, service, continue_id=shared.id)

    world.tries.discard(before.tree)

    with pytest.raises(NotContinuable, match="its tree is discarded"):
        await apart(world, service, continue_id=before.id)


async def test_the_next_process_knows_where_it_works(world: World, service: Service) -> None:
    delegation = await apart(world, service, HANG)
    session = await world.working(delegation)
    await service.close()
    world.runtime.places.clear()

    await world.service()

    there = {session.name: f"/isolated/{delegation.id}/tree"}
    await world.runtime.moves.until(lambda: world.runtime.places == there)


async def test_a_fault_of_the_tree_keeps_no_ending_back(world: World, service: Service) -> None:
    delegation = await apart(world, service, HANG)
    session = await world.working(delegation)
    world.tries.made[delegation.tree] = replace(world.tries.made[delegation.tree], name="x")
    world.tries.discard(delegation.tree)

    session.abort()
    ended = await world.ended(delegation)

    assert ended.is_terminal
    assert ended.changes.strayed.startswith("What it has changed is not known: ")
