"""What a dead process has left half written is cleared away, and nothing else is touched."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from background_agents.adapters.files import artifacts as module
from background_agents.adapters.files.artifacts import TEMPORARY, MarkdownArtifacts
from background_agents.adapters.files.leftovers import AGE, clear_leftovers
from background_agents.domain.errors import StoreUnavailable
from background_agents.testing.contracts.samples import ROOT, finished

OLD_S = AGE.total_seconds() + 60

LEFT = ".brave-amber-otter.k3j_x9aq.tmp"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def leave(path: Path, age_s: float = OLD_S) -> Path:
    """Put a file there that is as old as that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\nid: ")
    _date(path, age_s)
    return path


def _date(path: Path, age_s: float) -> None:
    then = time.time() - age_s
    os.utime(path, (then, then), follow_symlinks=False)


async def test_what_a_killed_write_leaves_is_cleared_once_it_is_old(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very file that ``write`` makes; a young one may be of a process that writes now."""
    stop = PermissionError("stopped here")

    def die(*_: object) -> None:
        raise stop

    monkeypatch.setattr(module.os, "replace", die)
    # A killed process does not tidy up behind itself.
    monkeypatch.setattr(module.Path, "unlink", lambda *_, **__: None)
    with pytest.raises(StoreUnavailable):
        await MarkdownArtifacts(project).write(finished(), "Half of it.")
    monkeypatch.undo()
    (left,) = (project / ROOT).iterdir()
    assert TEMPORARY.fullmatch(left.name)
    assert await clear_leftovers(project) == 0
    assert left.exists()
    _date(left, OLD_S)
    assert await clear_leftovers(project) == 1
    assert list((project / ROOT).iterdir()) == []


async def test_a_numbered_id_is_known_too(project: Path) -> None:
    """Ids of large projects end in a number."""
    artifacts = MarkdownArtifacts(project)
    numbered = replace(finished(), id="brave-amber-otter-21")
    await artifacts.write(numbered, "Whole.")
    leave(project / ROOT / ".brave-amber-otter-21.abcdefgh.tmp")
    assert await clear_leftovers(project) == 1
    assert await artifacts.read(numbered)


@pytest.mark.parametrize(
    "name",
    [
        "brave-amber-otter.md",
        ".notes.tmp",
        ".brave-amber-otter.md.swp",
        ".brave-amber-otter.K3J_X9AQ.tmp",
        ".brave-amber-otter.k3j_x9aq.tmp.bak",
        ".brave-amber-otter.tmp",
        "brave-amber-otter.k3j_x9aq.tmp",
        ".Brave-amber-otter.k3j_x9aq.tmp",
    ],
)
async def test_files_with_other_names_are_left_alone(project: Path, name: str) -> None:
    """People and editors keep files there as well."""
    kept = leave(project / ROOT / name)
    assert await clear_leftovers(project) == 0
    assert kept.exists()


async def test_a_file_from_the_future_is_left_alone(project: Path) -> None:
    """A clock that was stepped back proves nothing of its age."""
    kept = leave(project / ROOT / LEFT, age_s=-OLD_S)
    assert await clear_leftovers(project) == 0
    assert kept.exists()


async def test_only_session_folders_are_looked_into(project: Path) -> None:
    """Not the project's own folder, nor what is not named as a session, nor deeper ones."""
    kept = [
        leave(project / LEFT),
        leave(project / "of mine" / LEFT),
        leave(project / ROOT / "deeper" / LEFT),
    ]
    assert await clear_leftovers(project) == 0
    assert all(one.exists() for one in kept)


async def test_no_link_is_followed(project: Path, tmp_path: Path) -> None:
    """Neither to a folder, nor to a file, nor from the project's own name."""
    target = leave(tmp_path / "elsewhere" / "ses_1" / LEFT)
    leave(project / ROOT / "brave-amber-otter.md")
    (project / "ses_linked").symlink_to(target.parent)
    link = project / ROOT / LEFT
    link.symlink_to(target)
    _date(link, OLD_S)
    assert await clear_leftovers(project) == 0
    linked = tmp_path / "linked"
    linked.symlink_to(target.parent.parent)
    assert await clear_leftovers(linked) == 0
    assert target.exists()
    assert link.is_symlink()


async def test_what_is_no_file_stays(project: Path) -> None:
    """A folder or a pipe of that name is not of our making."""
    (project / ROOT / LEFT).mkdir(parents=True)
    _date(project / ROOT / LEFT, OLD_S)
    pipe = project / ROOT / ".brave-amber-otter.abcdefgh.tmp"
    os.mkfifo(pipe)
    _date(pipe, OLD_S)
    assert await clear_leftovers(project) == 0
    assert (project / ROOT / LEFT).is_dir()
    assert pipe.exists()


@pytest.mark.parametrize("make", [Path.touch, lambda path: None])
async def test_a_project_without_folders_has_none(
    project: Path, make: Callable[[Path], None]
) -> None:
    """A folder that is not there, or a file in its place, is no reason to fail."""
    make(project)
    assert await clear_leftovers(project) == 0


async def test_a_writer_whose_file_was_cleared_away_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept through that hour does not lose its result: it is told to try again."""
    replace_file = os.replace

    def sleep_through_it(temporary: str, path: Path) -> None:
        _date(Path(temporary), OLD_S)
        assert module.TEMPORARY.fullmatch(Path(temporary).name)
        Path(temporary).unlink()
        replace_file(temporary, path)

    artifacts = MarkdownArtifacts(project)
    monkeypatch.setattr(module.os, "replace", sleep_through_it)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await artifacts.write(finished(), "Whole.")
    monkeypatch.undo()
    await artifacts.write(finished(), "Whole.")
    assert (await artifacts.read(finished())).endswith("Whole.")
