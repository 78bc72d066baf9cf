"""What people take back or apply while a command runs is theirs, at whatever moment it is seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from offices import HERON, OTTER, Office

from background_agents.adapters.changes.images import image_of
from background_agents.adapters.changes.writer import Tree as Writer
from background_agents.adapters.changes.writing import Writing
from background_agents.client.place import Place
from background_agents.client.undoing import Undoing
from background_agents.domain.changes import ABSENT, APPLY, UNDO, Certainty
from background_agents.domain.undoing import Asked, Left, Step
from background_agents.testing.contracts.samples import finished

LIMIT_S = 30.0


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    it = Office(tmp_path)
    yield it
    await it.tasks.close()


class Slow:
    """What halts before it puts a file in place, and again before that is noted."""

    def __init__(self, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
        self.do = do
        self.begun, self.put = threading.Event(), threading.Event()
        self.may_put, self.may_note = threading.Event(), threading.Event()
        real = Writer.put

        def slow(tree: Writer, step: Step, temporary: str) -> Left | None:
            self.begun.set()
            assert self.may_put.wait(LIMIT_S)
            left = real(tree, step, temporary)
            self.put.set()
            assert self.may_note.wait(LIMIT_S)
            return left

        monkeypatch.setattr(Writer, "put", slow)


def undo_of(office: Office) -> Callable[[], object]:
    """Return what takes back that HERON wrote x."""
    place = Place(office.top, office.journal.folder.parent.parent, "project")
    it = Undoing(place, replace(finished(), id=HERON, directory=str(office.top)))
    return lambda: it.do(UNDO, it.plan(UNDO, Asked()))


def apply_of(office: Office) -> Callable[[], object]:
    """Return what applies that HERON, in a tree of its own, has deleted x."""
    it = Writing(office.journal, HERON, office.top)
    now = image_of(office.top / "x", office.journal.keep, 100)
    step = Step(path="x", now=now, then=ABSENT, certainty=Certainty.SURE)
    return lambda: it.do(APPLY, [step], whole=True)


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("what", [undo_of, apply_of])
async def test_what_was_begun_before_a_command_and_done_within_it_is_its_users(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    what: Callable[[Office], Callable[[], object]],
    *,
    is_noted: bool,
) -> None:
    await office.write(HERON, "x", "theirs")
    await office.quiet()
    slow = Slow(await asyncio.to_thread(what, office), monkeypatch)
    undoing = asyncio.create_task(asyncio.to_thread(slow.do))
    assert await asyncio.to_thread(slow.begun.wait, LIMIT_S)
    shell = await office.start(OTTER, "bash")
    await office.quiet()
    slow.may_put.set()
    assert await asyncio.to_thread(slow.put.wait, LIMIT_S)
    if is_noted:
        slow.may_note.set()
        await undoing
    await office.end(shell)
    await office.finish(OTTER)
    slow.may_note.set()
    await undoing
    assert not await asyncio.to_thread((office.top / "x").exists)
    assert await office.told(OTTER) == []
