"""Only their owner may look at what we keep: folders 0700, files 0600, whatever the umask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from bridged import data_root, service_in

from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.config import DATABASE
from background_agents.log import FORMAT, LOG_FILES, PrivateFile
from background_agents.testing.contracts.samples import finished, registered

Umask = Callable[[int], AbstractContextManager[None]]

MASKS = [0o000, 0o022, 0o777]


def modes(root: Path) -> dict[str, str]:
    """Return the permissions of ``root`` and of everything below it, by name."""
    found = [root, *root.rglob("*")]
    return {str(one.relative_to(root)): f"{one.stat().st_mode & 0o777:o}" for one in found}


def private(root: Path) -> dict[str, str]:
    """Return what ``modes`` should."""
    found = [root, *root.rglob("*")]
    return {str(one.relative_to(root)): "700" if one.is_dir() else "600" for one in found}


@pytest.mark.parametrize("mask", MASKS, ids=oct)
async def test_artifacts_and_database_are_private(tmp_path: Path, umask: Umask, mask: int) -> None:
    """Also the files that SQLite makes beside its own, and every folder on the way."""
    root = tmp_path / "delegations"
    project = root / "project"
    with umask(mask):
        store = await SqliteStore.open(project / DATABASE)
        await store.register(registered())
        await MarkdownArtifacts(project).write(finished(), "x")
    found = modes(root)
    await store.close()
    assert {f"project/{DATABASE}{suffix}" for suffix in ("", "-wal", "-shm")} <= set(found)
    assert {"700", "600"} == set(found.values())
    assert modes(root) == private(root)


@pytest.mark.parametrize("mask", MASKS, ids=oct)
def test_the_service_leaves_nothing_that_others_may_read(tmp_path: Path, mask: int) -> None:
    """Log, database and folders of the real process, which inherits OpenCode's umask."""
    with service_in(tmp_path, umask=mask, BACKGROUND_AGENTS_LOG="debug") as service:
        service.attach()
        assert service.tool("delegation_list").startswith("Nothing has been delegated")
        found = modes(data_root(tmp_path))
        assert found == private(data_root(tmp_path))
    assert {".", "service.log"} < set(found)
    assert any(name.endswith(DATABASE) for name in found)


async def test_what_was_open_to_others_is_closed(tmp_path: Path) -> None:
    """Folders and files that are there already, from a careless copy, become private."""
    project = tmp_path / "delegations" / "project"
    artifacts = MarkdownArtifacts(project)
    artifacts.path(finished()).parent.mkdir(parents=True)
    (project / DATABASE).touch()
    for one in (project, project / DATABASE, artifacts.path(finished()).parent):
        one.chmod(0o777)
    store = await SqliteStore.open(project / DATABASE)
    await store.close()
    await artifacts.write(finished(), "x")
    assert modes(project) == private(project)


@pytest.fixture
def log_file(
    tmp_path: Path, umask: Umask, request: pytest.FixtureRequest
) -> Iterator[logging.Handler]:
    path = tmp_path / "service.log"
    handler = PrivateFile(path, maxBytes=500, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    yield handler
    handler.close()


@pytest.mark.parametrize("mask", MASKS, ids=oct)
def test_a_rotated_log_is_as_private_as_the_first(
    tmp_path: Path, umask: Umask, log_file: logging.Handler, mask: int
) -> None:
    """Each file that rotation makes, not only the one that was there at the start."""
    record = logging.makeLogRecord({"msg": "x" * 100, "levelname": "ERROR"})
    with umask(mask):
        for _ in range(20):
            log_file.emit(record)
    logs = sorted(tmp_path.glob("service.log*"))
    assert len(logs) == 1 + LOG_FILES
    assert {one.stat().st_mode & 0o777 for one in logs} == {0o600}
    assert os.stat(logs[0]).st_size <= 500
