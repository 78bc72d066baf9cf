"""What delegations change is written into their journals, in a real repository."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from offices import HERON, OTTER, Office

from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.tree import FileTrees
from background_agents.adapters.system.clock import SystemClock
from background_agents.domain.changes import ABSENT, Changes, Delta, Segment
from background_agents.domain.delegation import register
from background_agents.domain.errors import NotSeen, StoreUnavailable
from background_agents.hosts.opencode.writes import ToolCall as Call
from background_agents.service.changes import recorder as module
from background_agents.service.changes.attribution import NOBODY
from background_agents.testing.contracts.samples import registered


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(module, "LOOK_LIMIT_S", 30.0)  # a machine may be busy
    made = Office(tmp_path)
    yield made
    await made.tasks.close()


async def test_a_write_is_sure_if_what_is_there_is_what_was_written(office: Office) -> None:
    await office.write(OTTER, "a", "1")
    await office.write(OTTER, "a", "2")
    call = await office.start(OTTER, "write", filePath="b", content="plain")
    (office.top / "b").write_text("formatted")
    await office.end(call)
    assert await office.told(OTTER) == [
        ("a", None, "1", "sure"),
        ("a", "1", "2", "sure"),
        ("b", None, "formatted", "likely"),
    ]
    changes = await office.finish(OTTER)
    assert (changes.files, changes.uncertain, changes.names) == (2, 1, ("a", "b"))


async def test_a_content_too_long_to_be_handed_over_is_proved_by_its_digest(
    office: Office,
) -> None:
    text = "x" * 1000
    given = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    for name, content in (("a", text), ("b", text + "y")):
        call = await office.start(OTTER, "write", filePath=name, content=given)
        (office.top / name).write_text(content)
        await office.end(call)
    assert [line[3] for line in await office.told(OTTER)] == ["sure", "likely"]


async def test_a_call_that_changes_nothing_leaves_nothing(office: Office) -> None:
    (office.top / "a").write_text("1")
    call = await office.start(OTTER, "edit", filePath="a", oldString="2", newString="3")
    await office.end(call, failed=True)
    shell = await office.start(OTTER, "bash", command="true")
    await office.end(shell)
    assert await office.finish(OTTER) == Changes()
    assert await office.open(OTTER) == []


async def test_a_write_that_waited_for_its_user_is_not_sure(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile somebody may have changed what the agent then wrote over."""
    monkeypatch.setattr(module, "MOMENT_S", 0.0)
    await office.write(OTTER, "a", "1")
    assert await office.told(OTTER) == [("a", None, "1", "likely")]


async def test_what_a_human_changed_within_an_edit_is_not_sure(office: Office) -> None:
    (office.top / "a").write_text("one\ntwo\n")
    call = await office.start(OTTER, "edit", filePath="a", oldString="one", newString="1")
    (office.top / "a").write_text("1\nhuman's\n")
    await office.end(call)
    assert await office.told(OTTER) == [("a", "one\ntwo\n", "1\nhuman's\n", "likely")]


async def test_a_command_alone_is_likely(office: Office) -> None:
    (office.top / "a").write_text("before")
    call = await office.start(OTTER, "bash")
    (office.top / "a").write_text("after")
    (office.top / "b").write_text("new")
    await office.end(call)
    await office.finish(OTTER)
    assert await office.told(OTTER) == [
        ("a", "before", "after", "likely"),
        ("b", None, "new", "likely"),
    ]


async def test_of_two_commands_only_the_time_together_is_shared(office: Office) -> None:
    first = await office.start(OTTER, "bash")
    (office.top / "alone").write_text("1")
    second = await office.start(HERON, "bash")
    (office.top / "both").write_text("2")
    await office.end(first)
    await office.finish(OTTER)
    (office.top / "later").write_text("3")
    await office.end(second)
    await office.finish(HERON)
    assert await office.told(OTTER) == [
        ("alone", None, "1", "likely"),
        ("both", None, "2", "shared"),
    ]
    assert await office.told(HERON) == [
        ("both", None, "2", "shared"),
        ("later", None, "3", "likely"),
    ]


@pytest.mark.parametrize("owner", [HERON, NOBODY])
async def test_what_anothers_tool_wrote_is_not_the_commands(office: Office, owner: str) -> None:
    shell = await office.start(OTTER, "bash")
    await office.write(owner, "theirs", "1")
    (office.top / "mine").write_text("2")
    await office.end(shell)
    await office.finish(OTTER)
    assert await office.told(OTTER) == [("mine", None, "2", "likely")]


async def test_a_file_that_both_wrote_is_shared(office: Office) -> None:
    shell = await office.start(OTTER, "bash")
    await office.write(HERON, "x", "theirs")
    (office.top / "x").write_text("mine")
    await office.end(shell)
    await office.finish(OTTER)
    assert await office.told(OTTER) == [("x", "theirs", "mine", "shared")]


async def test_what_a_tool_is_writing_just_now_is_waited_for(office: Office) -> None:
    """A look in the midst of it sees the file, and nobody has told of it yet."""
    shell = await office.start(OTTER, "bash")
    writing = await office.start(HERON, "write", filePath="x", content="theirs")
    (office.top / "x").write_text("theirs")
    await office.end(shell)
    await office.finish(OTTER)
    await office.end(writing)
    assert await office.told(OTTER) == []
    assert await office.told(HERON) == [("x", None, "theirs", "sure")]


async def test_what_a_tool_did_not_write_is_the_commands_after_all(office: Office) -> None:
    shell = await office.start(OTTER, "bash")
    writing = await office.start(HERON, "write", filePath="x", content="theirs")
    (office.top / "x").write_text("mine")
    await office.end(shell)
    await office.finish(OTTER)
    (office.top / "x").write_text("theirs")
    await office.end(writing)
    assert ("x", None, "theirs", "sure") in await office.told(HERON)
    assert all(line[3] == "shared" for line in await office.told(OTTER))


async def test_the_supervisors_own_command_makes_it_shared(office: Office) -> None:
    shell = await office.start(OTTER, "bash")
    mine = await office.start(NOBODY, "bash")
    (office.top / "x").write_text("?")
    await office.end(mine)
    await office.end(shell)
    await office.finish(OTTER)
    assert await office.told(OTTER) == [("x", None, "?", "shared")]


async def test_an_undo_within_a_command_is_its_users(office: Office) -> None:
    await office.write(HERON, "x", "theirs")
    await office.quiet()
    (theirs,) = await asyncio.to_thread(office.journal.segments, HERON)
    shell = await office.start(OTTER, "bash")
    (office.top / "x").unlink()
    undone = Segment(at=SystemClock().now(), path="x", before=theirs.after, after=ABSENT, by="undo")
    await asyncio.to_thread(office.journal.add, HERON, [undone])
    await office.end(shell)
    await office.finish(OTTER)
    assert await office.told(OTTER) == []


async def test_a_look_that_takes_long_is_not_waited_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_LIMIT_S", 0.0)
    call = await office.start(OTTER, "bash")
    (office.top / "a").write_text("1")
    await office.end(call)
    await office.finish(OTTER)
    assert {line[3] for line in await office.told(OTTER)} <= {"shared", "likely"}
    assert await office.open(OTTER) == []


async def test_an_end_that_is_told_before_its_beginning_was_noted(office: Office) -> None:
    """The host gives up a hook after 0.3 s; what it told of is closed all the same."""
    call = Call(session="ses", id="c", tool="bash")
    beginning = asyncio.create_task(office.recorder.before(call, str(office.top), OTTER))
    await asyncio.sleep(0)
    await office.recorder.after("ses", "c")
    await beginning
    await office.finish(OTTER)
    assert await office.open(OTTER) == []


async def test_what_is_open_at_the_end_is_closed(office: Office) -> None:
    await office.start(OTTER, "bash")
    (office.top / "a").write_text("1")
    await office.start(OTTER, "write", filePath="b", content="2")
    (office.top / "b").write_text("2")
    changes = await office.finish(OTTER)
    assert changes.files == 2
    assert await office.told(OTTER) == [("a", None, "1", "likely"), ("b", None, "2", "likely")]


async def test_a_process_that_ends_in_order_leaves_nothing_open(office: Office) -> None:
    await office.start(OTTER, "bash")
    (office.top / "a").write_text("1")
    await office.recorder.close()
    (office.top / "b").write_text("human's")
    assert await office.told(OTTER) == [("a", None, "1", "likely")]
    assert await office.open(OTTER) == []


async def test_what_a_dead_process_left_open_is_shared(office: Office) -> None:
    (office.top / "b").write_text("old")
    await office.start(OTTER, "bash")
    await office.start(OTTER, "edit", filePath="b", oldString="old", newString="new")
    (office.top / "a").write_text("1")
    (office.top / "b").write_text("new")
    tree = await asyncio.to_thread(office.trees.of, str(office.top))
    os.close(tree._lock)
    office.trees = FileTrees(office.journal.folder, office.journal.keep, 100_000)
    office.recorder = office.begin()
    office.recorder.adopt(
        [msgspec.structs.replace(register(registered(OTTER)), session="ses_child")]
    )
    changes = await office.finish(OTTER)
    assert (changes.files, changes.uncertain) == (2, 2)
    assert await office.told(OTTER) == [
        ("a", None, "1", "shared"),
        ("b", "old", "new", "shared"),
    ]
    assert await office.open(OTTER) == []


async def test_a_disk_that_fails_keeps_no_tool_from_running(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise StoreUnavailable("The disk is full.")

    monkeypatch.setattr(FileJournal, "_append", full)
    await office.write(OTTER, "a", "1")
    shell = await office.start(OTTER, "bash")
    (office.top / "b").write_text("2")
    await office.end(shell)
    await office.finish(OTTER)
    assert "a change is not in its journal: The disk is full." in caplog.text


async def test_a_tree_that_cannot_be_seen_leaves_what_tools_tell(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tree = await asyncio.to_thread(office.trees.of, str(office.top))

    def look(*, keep: bool) -> list[Delta]:
        raise NotSeen(tree.top, "git is not installed")

    monkeypatch.setattr(tree, "look", look)
    for content in ("1", "2"):
        shell = await office.start(OTTER, "bash")
        (office.top / "b").write_text(content)
        await office.write(OTTER, "a", content)
        await office.end(shell)
    await office.finish(OTTER)
    assert [line[3] for line in await office.told(OTTER)] == ["sure", "sure"]
    assert caplog.text.count("git is not installed") == 1


async def test_nothing_is_asked_of_a_journal_that_has_nothing(office: Office) -> None:
    assert await office.finish(OTTER) == Changes()
    assert not office.journal.folder.exists()


async def test_while_it_runs_the_sum_grows_with_what_is_in_its_journal(office: Office) -> None:
    assert (await office.so_far(OTTER)).files == 0
    await office.write(OTTER, "a", "1\n")
    await office.quiet()
    first = await office.so_far(OTTER)
    assert (first.files, first.added) == (1, 1)
    assert await office.so_far(OTTER) is first  # what has not changed is not summed anew
    await office.write(OTTER, "b", "1\n2\n")
    await office.quiet()
    assert (await office.so_far(OTTER)).added == 3
    assert (await office.finish(OTTER)).files == 2
    assert (await office.so_far(OTTER)).files == 0
