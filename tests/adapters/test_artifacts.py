"""Artifacts are whole or absent, private, and can be taken apart again exactly."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from blockbuster import BlockingError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.adapters.files.artifacts import (
    PROMPT_CHARS,
    MarkdownArtifacts,
    parse,
    render,
)
from background_agents.adapters.files.private import private_folder, sync_folder
from background_agents.domain.errors import StoreUnavailable
from background_agents.ports.storage import ArtifactStore
from background_agents.testing.contracts import ArtifactStoreContract
from background_agents.testing.contracts.samples import ROOT, finished

# Fences, quotes and line ends of every kind, more often than chance would bring them.
HOSTILE = st.lists(
    st.one_of(st.text(), st.sampled_from(["---", "\n---\n", "\n", "\r\n", '"', "\\", ": ", "\x85"]))
).map("".join)


class TestMarkdownArtifacts(ArtifactStoreContract):
    def opened(self, folder: Path) -> ArtifactStore:
        return MarkdownArtifacts(folder / "project")


@pytest.fixture
def artifacts(tmp_path: Path) -> MarkdownArtifacts:
    return MarkdownArtifacts(tmp_path / "project")


@given(title=HOSTILE, summary=HOSTILE, prompt=HOSTILE, error=st.none() | HOSTILE, result=HOSTILE)
def test_whatever_an_agent_wrote_comes_back_exactly(
    title: str, summary: str, prompt: str, error: str | None, result: str
) -> None:
    delegation = replace(finished(), title=title, summary=summary, prompt=prompt, error=error)
    front, body = parse(render(delegation, result))
    assert body == result
    assert (front["title"], front["summary"], front["error"]) == (title, summary, error)
    assert front["prompt"] == prompt[:PROMPT_CHARS]
    assert front["state"] == "completed"


@given(title=HOSTILE)
def test_a_value_of_the_front_matter_never_leaves_its_line(title: str) -> None:
    plain = render(finished(), "").splitlines()
    assert len(render(replace(finished(), title=title), "").splitlines()) == len(plain)


def test_the_front_matter_tells_the_whole_story() -> None:
    front, _ = parse(render(finished(), "x"))
    assert front == {
        "id": "brave-amber-otter",
        "title": "How PKCE works",
        "summary": "PKCE binds the code to its client.",
        "agent": "researcher",
        "model": "acme/large",
        "ran_on": None,
        "state": "completed",
        "error": None,
        "cut": None,
        "session": "ses_child",
        "parent_session": ROOT,
        "root_session": ROOT,
        "started": "2030-01-01T12:00:01+00:00",
        "ended": "2030-01-01T12:02:14+00:00",
        "elapsed_s": 133.0,
        "tokens": 1540,
        "cost_usd": 0.0125,
        "tool_calls": 7,
        "changed_files": 0,
        "lines_added": 0,
        "lines_removed": 0,
        "changed_uncertain": 0,
        "changed": None,
        "still_writing": None,
        "steers": 0,
        "resumed": 0,
        "continued_from": None,
        "prompt": "Find out how PKCE works.",
    }


@pytest.mark.parametrize(
    "text",
    ["", "# A heading", "---\nid: 1\n", "---\nid: plain words\n---\n", "---\nid: [1]\n---\n"],
)
def test_what_is_no_front_matter_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="Front matter"):
        parse(text)


async def test_half_a_surrogate_pair_does_not_lose_the_result(
    artifacts: MarkdownArtifacts,
) -> None:
    path = await artifacts.write(replace(finished(), title="\ud83e"), "cut \ud83e off")
    assert path.read_text(encoding="utf-8").endswith("\n\ncut ? off")


async def test_a_failed_write_leaves_the_earlier_artifact_and_nothing_else(
    artifacts: MarkdownArtifacts, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = await artifacts.write(finished(), "first")
    sentence = r"brave-amber-otter\.md cannot be written"
    with full_disk(100_000), pytest.raises(StoreUnavailable, match=sentence):
        await artifacts.write(finished(), "x" * 1_000_000)
    assert (await artifacts.read(finished())).endswith("first")
    assert list(path.parent.iterdir()) == [path]


async def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(
    artifacts: MarkdownArtifacts,
) -> None:
    artifacts.folder(ROOT).parent.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=r"cannot be written .*\.$"):
        await artifacts.write(finished(), "x")


async def test_a_file_that_is_no_utf_8_is_still_readable(artifacts: MarkdownArtifacts) -> None:
    path = await artifacts.write(finished(), "x")
    path.write_bytes(b"caf\xe9")
    assert await artifacts.read(finished()) == "caf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("umask", [0o000, 0o777])
async def test_only_the_owner_may_look_whatever_the_umask(
    artifacts: MarkdownArtifacts, umask: int
) -> None:
    before = os.umask(umask)
    try:
        path = await artifacts.write(finished(), "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, path.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_the_guard_against_blocking_the_loop_is_awake(tmp_path: Path) -> None:
    with pytest.raises(BlockingError):
        private_folder(tmp_path)


async def test_many_at_once_are_all_there_and_share_the_fsync_of_their_folder(
    artifacts: MarkdownArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def noted(folder: Path) -> None:
        synced.append(folder)
        sync_folder(folder)

    monkeypatch.setattr("background_agents.adapters.files.artifacts.sync_folder", noted)
    many = [replace(finished(), id=f"brave-amber-otter-{number}") for number in range(40)]
    paths = await asyncio.gather(*(artifacts.write(one, one.id) for one in many))
    assert [path.read_text("utf-8").endswith(path.stem) for path in paths] == [True] * 40
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    assert 1 <= len(synced) <= 4


async def test_of_many_at_once_one_that_fails_takes_none_with_it(
    artifacts: MarkdownArtifacts, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    many = [replace(finished(), id=f"brave-amber-otter-{number}") for number in range(10)]
    texts = ["x" * (1_000_000 if number == 6 else 10) for number in range(10)]
    with full_disk(100_000):
        found = await asyncio.gather(
            *(artifacts.write(one, text) for one, text in zip(many, texts, strict=True)),
            return_exceptions=True,
        )
    assert [type(one) for one in found if isinstance(one, Exception)] == [StoreUnavailable]
    assert isinstance(found[6], StoreUnavailable)
    assert len(list(artifacts.folder(ROOT).iterdir())) == 9
