"""What the npm plugin has left in a project's folder is adopted, and never written to.

``tests/data/npm-plugin`` is such a folder, written by hand in the plugin's format.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.adapters.files import npm_plugin
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.files.npm_plugin import finish_what_it_left
from background_agents.adapters.files.sessions import SessionFiles
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.domain.delegation import Delegation
from background_agents.domain.status import Status
from background_agents.ports.storage import Line
from background_agents.testing.contracts.samples import at, registered

DATA = Path(__file__).parents[1] / "data" / "npm-plugin"
A = "ses_5c1f0a2b9ffePluginRootAAAAAA"
B = "ses_5c1f0a2b9ffePluginRootBBBBBB"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the plugin's folder."""
    return Path(shutil.copytree(DATA, tmp_path / "0123456789abcdef"))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteStore]:
    """Open a project as ``app`` does."""
    artifacts = MarkdownArtifacts(folder)
    await finish_what_it_left(folder, artifacts, folder.name, "/src/project")
    store = await SqliteStore.open(folder / "delegations.db", SessionFiles(folder, "/src/project"))
    try:
        yield store
    finally:
        await store.close()


async def get(store: SqliteStore, name: str, root: str = A) -> Delegation:
    found = await store.find(name, root)
    assert found is not None
    return found


async def listed(store: SqliteStore, root: str) -> list[Line]:
    return (await store.page(root, 99))[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*.*")}


async def test_what_has_ended_is_listed_in_its_session_newest_first(folder: Path) -> None:
    """With id, title, state and summary, and as read: it is no news."""
    async with opened(folder) as store:
        found = await listed(store, A)
        assert [(one.id, one.status.value) for one in found] == [
            ("hasty-violet-newt", "interrupted"),
            ("gentle-amber-crow", "stopped"),
            ("brisk-olive-heron", "failed"),
            ("ashamed-coral-mole", "timed_out"),
            ("elegant-blue-tiger", "completed"),
        ]
        assert all(one.read_at for one in found)
        assert (found[-1].title, found[-1].agent) == ("OAuth2 PKCE best practices", "researcher")
        assert found[-1].summary.endswith("Use S256, never plain.")
        assert {one.id for one in await listed(store, B)} == {"plain-white-swan", "timid-jade-lynx"}
        assert await store.unfinished() == []


async def test_a_record_holds_what_the_file_tells(folder: Path) -> None:
    """Times, session and error; a description of several lines becomes one."""
    async with opened(folder) as store:
        done = await get(store, "elegant-blue-tiger")
        assert done.session == "ses_5c1f0a2b8ffeChildOneAAAAAA"
        assert done.launched_at == datetime(2026, 3, 2, 9, 15, 4, 120_000, UTC)
        assert done.ended_at == datetime(2026, 3, 2, 9, 17, 18, 530_000, UTC)
        assert done.project == folder.name
        late = await get(store, "ashamed-coral-mole")
        assert late.summary.startswith("I looked through the repository. 1. `src/auth.ts`")
        failed = await get(store, "brisk-olive-heron")
        assert failed.error == "ProviderModelNotFoundError: Model not found: acme/none."
        cut = await get(store, "gentle-amber-crow")
        assert (cut.summary, cut.ended_at) == ("", cut.launched_at)


async def test_the_file_is_what_is_read(folder: Path) -> None:
    """As the plugin wrote it, to the last character, even where it looks like its own head."""
    async with opened(folder) as store:
        text = await MarkdownArtifacts(folder).read(await get(store, "elegant-blue-tiger"))
    assert text == (DATA / A / "elegant-blue-tiger.md").read_text()


async def test_what_it_had_not_finished_is_interrupted_and_can_be_read(folder: Path) -> None:
    """With what its agent had said last, its model and its session, to go on in."""
    async with opened(folder) as store:
        begun = await get(store, "hasty-violet-newt")
        text = await MarkdownArtifacts(folder).read(begun)
        never = await get(store, "timid-jade-lynx", B)
    assert text.endswith("\n\nSeven callers so far.")
    assert (begun.title, begun.model) == ("Task", "acme/large")
    assert (begun.session, begun.parent_session) == ("ses_5c1f0a2b8ffeChildFiveAAAAA", A)
    assert begun.ended_at == datetime(2026, 3, 2, 13, 2, 30, tzinfo=UTC)
    assert begun.error == "The npm plugin that ran it ended before it did."
    assert never.status is Status.INTERRUPTED


async def test_none_of_its_files_is_touched(folder: Path) -> None:
    """Neither content nor time of change; what we add are files of our own."""
    before, times = contents(folder), {one: one.stat().st_mtime_ns for one in folder.rglob("*.*")}
    async with opened(folder) as store:
        await get(store, "elegant-blue-tiger")
    after = contents(folder)
    assert before.items() <= after.items()
    assert {one: one.stat().st_mtime_ns for one in times} == times
    added = {name for name in after.keys() - before.keys() if "delegations.db" not in name}
    assert added == {f"{A}/hasty-violet-newt.md", f"{B}/timid-jade-lynx.md"}


async def test_adopting_is_no_loss(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A first opening beside the plugin's files warns of nothing."""
    async with opened(folder) as store:
        assert len(await listed(store, A)) == 5
    assert caplog.messages == []


async def test_adopting_again_changes_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each opening finds all of it known."""
    async with opened(folder) as store:
        before = [*await listed(store, A), *await listed(store, B)]
    caplog.clear()
    async with opened(folder) as store:
        assert [*await listed(store, A), *await listed(store, B)] == before
    assert caplog.messages == []


async def test_what_is_older_than_ours_comes_after_it(folder: Path) -> None:
    """The plugin's files may be found when the database has lived for a while."""
    (folder / A).rename(folder.parent / A)
    async with opened(folder) as store:
        first = registered("our-own-heron", root=A)
        await store.register(replace(first, at=at(0)))
    (folder.parent / A).rename(folder / A)
    async with opened(folder) as store:
        assert [one.id for one in await listed(store, A)][:2] == [
            "our-own-heron",
            "hasty-violet-newt",
        ]


async def test_a_name_that_another_session_has_is_left_out_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The plugin's names are unique in a session alone, ours in a project: ours stays."""
    (folder / A).rename(folder.parent / A)
    async with opened(folder) as store:
        ours = await store.register(registered("elegant-blue-tiger"))
        (folder.parent / A).rename(folder / A)
    async with opened(folder) as store:
        assert await store.get("elegant-blue-tiger") == ours
        assert len(await listed(store, A)) == 4
    assert f"{A}/elegant-blue-tiger.md is not listed" in caplog.text
    assert (folder / A / "elegant-blue-tiger.md").read_bytes() == (
        DATA / A / "elegant-blue-tiger.md"
    ).read_bytes()


async def test_what_may_still_run_elsewhere_is_left_for_the_next_time(folder: Path) -> None:
    """A plugin of another process removes the file itself; until its time is up, it may."""
    path = folder / A / "hasty-violet-newt.state.json"
    state = json.loads(path.read_text())
    state["record"]["timeoutAt"] = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    path.write_text(json.dumps(state))
    async with opened(folder) as store:
        assert await store.get("hasty-violet-newt") is None
    assert not path.with_name("hasty-violet-newt.md").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '{"version": 2, "record": {}}',
        '{"version": 1, "record": {"id": "hasty-violet-newt"}}',
        '{"version": 1, "record": null}',
        "\xff",
    ],
)
async def test_a_state_that_makes_no_sense_is_named_and_left_alone(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """Torn, of another version, or of another program."""
    path = folder / A / "hasty-violet-newt.state.json"
    path.write_bytes(text.encode("latin-1"))
    async with opened(folder) as store:
        assert await store.get("hasty-violet-newt") is None
        assert len(await listed(store, A)) == 4
    assert str(path) in caplog.text
    assert path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("name", ["../../escaped", "hasty-violet-newt", "/etc/passwd"])
async def test_a_state_that_tells_of_another_file_writes_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """What a file says never becomes a path."""
    path = folder / A / "other-name-here.state.json"
    state = json.loads((folder / A / "hasty-violet-newt.state.json").read_text())
    state["record"]["id"] = name
    path.write_text(json.dumps(state))
    async with opened(folder):
        assert f"{path} is not taken over" in caplog.text
    assert not path.with_name("other-name-here.md").exists()
    assert list(folder.parent.iterdir()) == [folder]


async def test_an_artifact_that_is_torn_is_named_and_left_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut off within its head; its state file, if there is one, waits for a person."""
    path = folder / A / "elegant-blue-tiger.md"
    whole = path.read_bytes()
    for size in range(3, whole.index(b"\n---\n"), 25):
        (folder / "delegations.db").unlink(missing_ok=True)
        caplog.clear()
        path.write_bytes(whole[:size])
        async with opened(folder) as store:
            assert await store.get("elegant-blue-tiger") is None
            assert len(await listed(store, A)) == 4
        assert str(path) in caplog.text
        assert path.read_bytes() == whole[:size]


async def test_nothing_to_adopt_is_no_trouble(tmp_path: Path) -> None:
    """A project that is new, or whose folder is not there yet."""
    async with opened(tmp_path / "new") as store:
        assert await listed(store, A) == []


@given(text=st.text() | st.text().map("# x\n\n".__add__))
def test_no_text_is_more_than_no_artifact(text: str) -> None:
    """Whatever stands in a file: it is understood, or refused with a ValueError."""
    try:
        front, _ = npm_plugin.parse(text)
    except ValueError:
        return
    assert front["id"]


def test_a_text_that_never_ends_its_head_is_refused_at_once() -> None:
    """Megabytes that only look like a beginning take no time."""
    with pytest.raises(ValueError, match="plugin's lines"):
        npm_plugin.parse("# x\n\n" + "\n\n**ID:** a\n" * 1_000_000)
