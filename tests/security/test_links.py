"""A symbolic link in the data folder is not followed out of it, whatever stands behind it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridged import data_root, service_in

from background_agents.adapters.files.artifacts import MAX_BYTES, MarkdownArtifacts
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.config import DATABASE
from background_agents.domain.errors import StoreUnavailable
from background_agents.log import open_log
from background_agents.testing.contracts.samples import ROOT, finished, registered

SECRET = "the content of somebody else's file"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is none of our business; it is as it was in the end."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text(SECRET)
    before = folder.stat()
    yield folder
    assert [one.name for one in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == SECRET
    after = folder.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "delegations" / "project"


def link(path: Path, target: Path) -> Path:
    """Put a link in the place of ``path``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def sentence(path: Path) -> str:
    return f"{path} is a symbolic link, which is not followed; put what it leads to in its place."


FOLDERS = ["", "project", f"project/{ROOT}"]
"""Of an artifact, below the data root."""


@pytest.mark.parametrize("name", FOLDERS)
async def test_no_artifact_goes_through_a_linked_folder(
    tmp_path: Path, project: Path, elsewhere: Path, name: str
) -> None:
    """Data root, project and session folder: reading and writing are refused, naming the link."""
    path = link(tmp_path / "delegations" / name, elsewhere)
    artifacts = MarkdownArtifacts(project)
    for using in (artifacts.write(finished(), "x"), artifacts.read(finished())):
        with pytest.raises(StoreUnavailable) as refused:
            await using
        assert str(refused.value) == sentence(path)


async def test_a_folder_that_links_to_nowhere_is_not_made_there(
    project: Path, tmp_path: Path
) -> None:
    """A dangling link creates nothing at its target."""
    link(project, tmp_path / "nowhere")
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        await MarkdownArtifacts(project).write(finished(), "x")
    assert not (tmp_path / "nowhere").exists()


async def test_a_linked_artifact_is_not_read_and_is_replaced_when_written(
    project: Path, elsewhere: Path
) -> None:
    """Its target stays as it is; a result is never given up for a link in its place."""
    artifacts = MarkdownArtifacts(project)
    path = link(artifacts.path(finished()), elsewhere / "file")
    with pytest.raises(StoreUnavailable) as refused:
        await artifacts.read(finished())
    assert str(refused.value) == sentence(path)
    await artifacts.write(finished(), "The result.")
    assert not path.is_symlink()
    assert (await artifacts.read(finished())).endswith("The result.")


async def test_a_pipe_in_the_place_of_an_artifact_does_not_block(project: Path) -> None:
    """What is no file is said to be none, at once."""
    artifacts = MarkdownArtifacts(project)
    path = artifacts.path(finished())
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(StoreUnavailable, match=r"otter\.md is not a file"):
        await artifacts.read(finished())


async def test_a_huge_file_in_the_place_of_an_artifact_is_not_read_whole(project: Path) -> None:
    """A file that somebody else put there cannot fill our memory."""
    artifacts = MarkdownArtifacts(project)
    path = await artifacts.write(finished(), "x")
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(StoreUnavailable, match=r"otter\.md has more than 67,108,864 bytes"):
        await artifacts.read(finished())


@pytest.mark.parametrize("name", ["", "project", f"project/{DATABASE}"])
async def test_no_database_is_opened_through_a_link(
    tmp_path: Path, project: Path, elsewhere: Path, name: str
) -> None:
    """Data root, project folder and the file itself: refused, naming the link."""
    target = elsewhere / "file" if name.endswith(DATABASE) else elsewhere
    path = link(tmp_path / "delegations" / name, target)
    with pytest.raises(StoreUnavailable) as refused:
        await SqliteStore.open(project / DATABASE)
    assert str(refused.value) == sentence(path)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_no_file_beside_the_database_is_written_through_a_link(
    project: Path, elsewhere: Path, suffix: str
) -> None:
    """SQLite does not follow the links of its own files either."""
    store = await SqliteStore.open(project / DATABASE)
    await store.close()
    link(project / f"{DATABASE}{suffix}", elsewhere / "file")
    with pytest.raises(StoreUnavailable, match=DATABASE):
        await (await SqliteStore.open(project / DATABASE)).register(registered())


@pytest.fixture
def our_logger() -> Iterator[logging.Logger]:
    """Return the logger that ``open_log`` gives its handler, and take that off again."""
    logger = logging.getLogger("background_agents")
    handlers, level = list(logger.handlers), logger.level
    yield logger
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


@pytest.mark.parametrize("name", ["", "service.log"])
def test_no_log_is_written_through_a_link(
    tmp_path: Path,
    elsewhere: Path,
    our_logger: logging.Logger,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """Data root and log file: the log stays on stderr, and says why."""
    target = elsewhere / "file" if name else elsewhere
    path = link(tmp_path / "delegations" / name, target)
    open_log(tmp_path / "delegations", "debug")
    our_logger.warning("Something happened.")
    assert sentence(path) in caplog.text


def test_a_log_that_becomes_a_link_is_not_written_when_it_is_rotated(
    tmp_path: Path, elsewhere: Path, our_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotation replaces links in the places of older logs, and follows none."""
    monkeypatch.setattr("background_agents.log.LOG_BYTES", 500)
    root = tmp_path / "delegations"
    open_log(root, "debug")
    for number in (1, 2):
        link(root / f"service.log.{number}", elsewhere / "file")
    for _ in range(20):
        our_logger.warning("Something happened, and so that it fills the log: %s", "x" * 100)
    assert not any(one.is_symlink() for one in root.iterdir())


@pytest.mark.parametrize("name", ["", "service.log"])
def test_the_service_says_so_to_the_model(tmp_path: Path, elsewhere: Path, name: str) -> None:
    """A linked data root is what each tool answers; a linked log keeps nobody from working."""
    target = elsewhere / "file" if name else elsewhere
    path = link(data_root(tmp_path) / name, target)
    with service_in(tmp_path) as service:
        service.attach()
        told = service.tool("delegation_list")
    nothing_yet = "Nothing has been delegated in this session yet."
    assert told == (nothing_yet if name else sentence(path))
    assert sentence(path) in (tmp_path / "stderr").read_text()


def test_the_data_home_itself_may_be_a_link(tmp_path: Path) -> None:
    """People keep ``~/.local/share`` on other disks; what is above our folder is theirs."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "opencode").symlink_to(tmp_path / "disk")
    with service_in(tmp_path) as service:
        service.attach()
        assert service.tool("delegation_list").startswith("Nothing has been delegated")
    assert (tmp_path / "disk" / "delegations").stat().st_mode & 0o777 == 0o700
