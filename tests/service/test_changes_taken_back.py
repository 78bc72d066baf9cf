"""What people take back or apply while a command runs is theirs, at whatever moment it is seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from offices import HERON, OTTER, Office

from background_agents.adapters.changes.images import image_of
from background_agents.adapters.changes.writer import Tree as Writer
from background_agents.adapters.system.clock import SystemClock
from background_agents.client.place import Place
from background_agents.client.undoing import Undoing
from background_agents.domain.change_sums import UNDO
from background_agents.domain.changes import ABSENT, Segment
from background_agents.domain.undoing import Asked, Left, Step
from background_agents.testing.contracts.samples import finished

LIMIT_S = 30.0


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    it = Office(tmp_path)
    yield it
    await it.tasks.close()


class Slow:
    """An undo that halts before it puts its file in place, and again before that is noted."""

    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
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
        place = Place(office.top, office.journal.folder.parent.parent, "project")
        self._it = Undoing(place, replace(finished(), id=HERON, directory=str(office.top)))

    def do(self) -> None:
        self._it.do(UNDO, self._it.plan(UNDO, Asked()))


@pytest.mark.parametrize("is_noted", [True, False])
async def test_an_undo_that_was_begun_before_a_command_and_done_within_it_is_its_users(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, is_noted: bool
) -> None:
    await office.write(HERON, "x", "theirs")
    await office.quiet()
    slow = await asyncio.to_thread(Slow, office, monkeypatch)
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


async def test_an_apply_that_noted_all_of_it_before_a_command_began_is_its_users(
    office: Office,
) -> None:
    """It writes many files, and the last of them some seconds later."""
    digest = await asyncio.to_thread(office.journal.keep, b"applied")
    (office.top / "x").write_bytes(b"applied")
    after = await asyncio.to_thread(image_of, office.top / "x", office.journal.keep, 100)
    assert after.digest == digest
    (office.top / "x").unlink()
    at = SystemClock().now() - timedelta(seconds=3)
    applied = Segment(at=at, path="x", before=ABSENT, after=after, by="apply")
    await asyncio.to_thread(office.journal.add, HERON, [applied])
    shell = await office.start(OTTER, "bash")
    (office.top / "x").write_bytes(b"applied")
    await office.end(shell)
    await office.finish(OTTER)
    assert await office.told(OTTER) == []
