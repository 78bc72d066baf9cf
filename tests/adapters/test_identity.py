"""A project keeps its identity: real repositories, and what becomes of their history."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.projects import identity, scattered
from background_agents.adapters.projects.git import all_beginnings
from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.records import Records
from background_agents.adapters.sqlite.schema import connect
from background_agents.adapters.system.processes import boot_id, process_name
from background_agents.config import DATABASE
from background_agents.domain.query import Query
from background_agents.ports.storage import Lease
from lab.harness.archive import Plan, fill


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return made(tmp_path / "app")


def git(folder: Path, *args: str) -> str:
    who = (
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.invalid",
        "-c",
        "protocol.file.allow=always",
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *who, *args], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def made(folder: Path, *, commits: int = 2) -> Path:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in range(commits):
        commit(folder, f"{folder.name} {number}")
    return folder


def commit(folder: Path, text: str) -> None:
    (folder / "file").write_text(text)
    git(folder, "add", "file")
    git(folder, "commit", "-q", "-m", text)


def by_old_rule(folder: Path) -> str:
    """Return the name that earlier versions gave a project at this moment."""
    return next(iter(all_beginnings(folder)), "") or scattered.name_of(folder)


def delegated(data: Path, project: str, where: Path, count: int = 2) -> list[str]:
    """Store delegations as a service in ``where`` did, with their artifacts."""
    stored = sum(1 for _ in data.glob("*/ses_*/*"))
    names = fill(data / project, Plan(count, start=stored, newest=datetime.now(UTC), active=0))
    with closing(connect(data / project / DATABASE)) as connection:
        for table, column in (("delegations", "record"), ("events", "body")):
            connection.execute(
                f"UPDATE {table} SET {column} = CAST(json_replace(CAST({column} AS TEXT), "
                "'$.directory', ?, '$.project', ?) AS BLOB)",
                (str(where), project),
            )
    return names


def listed(data: Path, project: str) -> set[str]:
    """Return what is found in a project, each with its artifact, and as the project's own."""
    records = Records.open(data / project / DATABASE)
    if records is None:
        return set()
    with records:
        found = list(records.delegations(records.find(Query(), 1000).numbers))
    files = MarkdownArtifacts(data / project)
    assert {one.project for one in found} <= {project}
    assert all(files.content(one) for one in found if one.is_terminal)
    return {one.id for one in found}


def stash(folder: Path) -> None:
    (folder / "untracked").write_text("work")
    git(folder, "stash", "-u", "-q")


def note(folder: Path) -> None:
    git(folder, "notes", "add", "-m", "seen", "HEAD")


def orphan(folder: Path) -> None:
    git(folder, "checkout", "-q", "--orphan", "pages")
    commit(folder, "A page")


def anew(folder: Path) -> None:
    shutil.rmtree(folder / ".git")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "A fresh start")


def gone(folder: Path) -> None:
    shutil.rmtree(folder / ".git")


def subtree(folder: Path) -> None:
    other = made(folder.parent / "lib")
    git(folder, "fetch", "-q", str(other), "main:lib")
    git(folder, "merge", "-q", "--allow-unrelated-histories", "-X", "ours", "lib")


CHANGES = (stash, note, orphan, subtree, anew, gone)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("time", range(2))
def test_whatever_git_does_a_project_stays_what_it_was(
    data: Path, repository: Path, change: Callable[[Path], None], time: int
) -> None:
    """Stashes, notes, other branches, and a repository made anew in the same folder."""
    commit(repository, f"The hashes differ: {time}, {data}")
    before = project_id(repository, data)
    change(repository)
    assert project_id(repository, data) == before


def test_the_first_commit_changes_nothing(tmp_path: Path, data: Path) -> None:
    """Neither in a repository that is new, nor in a folder that becomes one."""
    folder = tmp_path / "new"
    (folder / "src").mkdir(parents=True)
    was = delegated(data, project_id(folder, data), folder)
    git(folder, "init", "-q")
    assert listed(data, project_id(folder, data)) == set(was)
    before = project_id(folder, data)
    commit(folder, "First")
    assert project_id(folder / "src", data) == before
    assert project_id(shutil.move(folder, tmp_path / "moved"), data) == before


def test_a_shallow_clone_stays_what_it_was(tmp_path: Path, data: Path, repository: Path) -> None:
    """When it gets the rest of its history; and then it is known by its true root as well."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", str(clone))
    before = project_id(clone, data)
    git(clone, "fetch", "-q", "--unshallow")
    assert project_id(clone, data) == before
    assert project_id(repository, data) == before


def test_worktrees_clones_copies_and_moves_are_one_project(
    tmp_path: Path, data: Path, repository: Path
) -> None:
    """Two clones share what is stored: the first commit of both is the same."""
    project = project_id(repository, data)
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    git(tmp_path, "clone", "-q", str(repository), str(tmp_path / "clone"))
    shutil.copytree(repository, tmp_path / "copy", symlinks=True)
    (tmp_path / "link").symlink_to(repository)
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"))
    for name in ("tree", "clone", "copy", "link", "bare.git"):
        assert project_id(tmp_path / name, data) == project, name
    git(repository, "worktree", "move", str(tmp_path / "tree"), str(tmp_path / "tree2"))
    assert project_id(tmp_path / "tree2", data) == project
    orphan(repository)
    shutil.move(repository, tmp_path / "elsewhere")
    assert project_id(tmp_path / "elsewhere", data) == project


def test_repositories_inside_of_others_are_their_own(
    tmp_path: Path, data: Path, repository: Path
) -> None:
    """A submodule, and one that happens to lie there, with a commit or without."""
    library = made(tmp_path / "library")
    git(repository, "submodule", "--quiet", "add", str(library), "lib")
    inner, empty = made(repository / "inner"), made(repository / "empty", commits=0)
    named = {project_id(one, data) for one in (repository, inner, empty)}
    assert len(named) == 3
    assert project_id(repository / "lib", data) == project_id(library, data)


def test_another_repository_in_its_place_is_another_project(tmp_path: Path, data: Path) -> None:
    """And the one that made room for it is found where it went."""
    folder = made(tmp_path / "app")
    before = project_id(folder, data)
    folder.rename(tmp_path / "aside")
    other = made(tmp_path / "other")
    other.rename(folder)
    assert project_id(folder, data) != before
    assert project_id(tmp_path / "aside", data) == before


def test_the_environment_of_a_hook_leads_nowhere(
    tmp_path: Path, data: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``GIT_DIR`` is another repository's while a hook of that one runs."""
    other = made(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    here = project_id(repository, data)
    monkeypatch.undo()
    assert here == by_old_rule(repository) != by_old_rule(other)


def test_replaced_and_grafted_commits_do_not_count(data: Path, repository: Path) -> None:
    """History is what it was made as."""
    first, head = by_old_rule(repository), git(repository, "rev-parse", "HEAD")
    git(repository, "replace", "--graft", head)
    (repository / ".git" / "info" / "grafts").write_text(f"{head}\n")
    assert project_id(repository, data) == first


@pytest.mark.parametrize("change", [stash, note, orphan, subtree])
def test_what_the_old_rule_scattered_is_gathered(
    data: Path, repository: Path, change: Callable[[Path], None]
) -> None:
    """Delegations, events, notices and artifacts, whichever folder they were put into."""
    stored = delegated(data, by_old_rule(repository), repository)
    for number in range(6):
        change(repository) if number == 0 or change is stash else commit(repository, f"{number}")
        name = by_old_rule(repository)
        if not (data / name).exists():
            stored += delegated(data, name, repository)
    git(repository, "stash", "clear")
    project = project_id(repository, data)
    assert listed(data, project) == set(stored)
    assert scattered.folders(data) == [data / project]
    assert project_id(repository, data) == project


def test_what_somebody_elses_project_stored_stays_there(
    tmp_path: Path, data: Path, repository: Path
) -> None:
    other = made(tmp_path / "other")
    delegated(data, by_old_rule(other), other)
    assert project_id(repository, data) == by_old_rule(repository)
    assert len(listed(data, project_id(other, data))) == 2


def test_a_folder_whose_service_lives_is_merged_later(data: Path, repository: Path) -> None:
    """What runs there is reached meanwhile: the project has its name, and others wait."""
    old = delegated(data, by_old_rule(repository), repository)
    scattered_name = "0" * 40
    more = delegated(data, scattered_name, repository)
    lease = Lease(owner=process_name(), host=process_name(), boot=boot_id(), renewed_s=0.0)
    for name in (scattered_name, by_old_rule(repository)):
        with closing(connect(data / name / DATABASE)) as connection:
            rows.claim(connection, lease)
    project = project_id(repository, data)
    assert listed(data, project) in ({*old}, {*more})
    for name in (scattered_name, by_old_rule(repository)):
        with closing(connect(data / name / DATABASE)) as connection:
            rows.revoke(connection, lease)
    assert project_id(repository, data) == project
    assert listed(data, project) == {*old, *more}


@pytest.mark.parametrize("crash", ["json", "replace", "link", "unlink", "rmdir"])
def test_a_merge_that_was_cut_off_is_made_up_for(
    data: Path, repository: Path, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was cut off, the next look finds everything, once."""
    stored = delegated(data, by_old_rule(repository), repository)
    stored += delegated(data, "0" * 40, repository)

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if crash == "json":
            patched.setattr("background_agents.adapters.sqlite.merging.renumber", kill)
        else:
            patched.setattr(os, crash, kill)
        with pytest.raises(Killed):
            project_id(repository, data)
    assert listed(data, project_id(repository, data)) == set(stored)
    assert project_id(repository, data) == by_old_rule(repository)


def test_many_processes_at_once_agree(tmp_path: Path, data: Path, repository: Path) -> None:
    """The first look of each at the same moment; nothing that one remembers is lost."""
    others = [made(tmp_path / f"r{number}") for number in range(4)]
    delegated(data, by_old_rule(repository), repository)
    delegated(data, "0" * 40, repository)
    say = (
        "import sys; from pathlib import Path;"
        "from background_agents.adapters.projects.identity import project_id;"
        "print(project_id(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", say, str(one), str(data)], stdout=subprocess.PIPE)
        for one in (*others, repository) * 2
    ]
    said = [one.communicate(timeout=60)[0] for one in running]
    assert said[:5] == said[5:]
    assert all(one.returncode == 0 for one in running)
    known = msgspec.json.decode((data / identity.NAME).read_bytes(), type=identity.Entries)
    assert len(known) == 5
    assert len(listed(data, project_id(repository, data))) == 4


def test_a_known_project_needs_no_git(
    data: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_id(repository, data)
    monkeypatch.setenv("PATH", "/nowhere")
    assert project_id(repository, data) == project


def test_a_lost_or_damaged_memory_is_made_anew(data: Path, repository: Path) -> None:
    stored = delegated(data, project_id(repository, data), repository)
    stash(repository)
    for content in (b"{", b"\xff", b"[]"):
        (data / identity.NAME).write_bytes(content)
        assert listed(data, project_id(repository, data)) == set(stored)


def test_looking_changes_nothing(tmp_path: Path, data: Path, repository: Path) -> None:
    """Neither for ``doctor``, nor where nothing was ever stored."""
    project_id(repository, data, keep=False)
    assert list(data.iterdir()) == []
    project_id(repository, tmp_path / "none")
    assert not (tmp_path / "none").exists()


PROGRAMS = """
[core]
    fsmonitor = {marker}
    sshCommand = {marker}
    hooksPath = {hooks}
    pager = {marker}
    editor = {marker}
    gitProxy = {marker}
    alternateRefsCommand = {marker}
[remote "origin"]
    url = {url}
    promisor = true
    partialclonefilter = blob:none
    uploadpack = {marker}
    receivepack = {marker}
[extensions]
    partialClone = origin
[filter "x"]
    clean = {marker}
    smudge = {marker}
    process = {marker}
[credential]
    helper = {marker}
[alias]
    rev-list = !{marker}
[diff]
    external = {marker}
"""


@pytest.mark.parametrize(
    "url", ["{there}", "ssh://example.invalid/x", "ext::{marker}", "git://127.0.0.1:9/x"]
)
def test_a_foreign_repository_runs_nothing(tmp_path: Path, data: Path, url: str) -> None:
    """A partial clone whose history is incomplete, and everything that its configuration names."""
    folder, there = made(tmp_path / "app", commits=3), made(tmp_path / "there")
    marker, ran = tmp_path / "marker", tmp_path / "ran"
    marker.write_text(f'#!/bin/sh\necho "$@" >> {ran}\n')
    marker.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change", "post-checkout"):
        (hooks / name).symlink_to(marker)
    names = {"there": there, "marker": marker}
    text = PROGRAMS.format(url=url.format(**names), marker=marker, hooks=hooks)
    with (folder / ".git" / "config").open("a") as config:
        config.write(text)
    missing = git(folder, "rev-parse", "HEAD~1")
    (folder / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    project_id(folder, data)
    assert not ran.exists(), ran.read_text()


def test_the_first_ten_thousand_names(data: Path, repository: Path) -> None:
    """A memory of very many repositories is read in milliseconds."""
    project = project_id(repository, data)
    entries = msgspec.json.decode((data / identity.NAME).read_bytes(), type=identity.Entries)
    (one,) = entries.values()
    entries |= {f"/home/me/{number}/.git": one for number in range(2_000)}
    (data / identity.NAME).write_bytes(msgspec.json.encode(entries))
    began_s = time.process_time()  # whatever else the machine does
    assert project_id(repository, data) == project
    assert time.process_time() - began_s < 0.5
