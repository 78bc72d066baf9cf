"""Delegations in trees of their own, on a real OpenCode: tried apart, applied or discarded."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from plays import REQUEST, Notice, Stage, Step, Supervisor, call, delegate, say, staged, together
from tui_user import CAREFUL

from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="the main path is taken on both; trees are our service's"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with an agent that asks."""
    async with staged(tmp_path_factory.mktemp("isolated"), line, config=CAREFUL) as ready:
        yield ready


def run(command: str) -> Step:
    """Let a model run a command."""
    return call("bash", command=command, description="Work")


def apart(task: str, *steps: Step, agent: str = "general", **args: object) -> Step:
    """Let the supervisor delegate a task that is tried apart."""
    return delegate(task, *steps, agent=agent, isolation="worktree", **args)


def git(project: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", *command], cwd=project, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(project: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file of a project's ``.git``, with its mode."""
    found = (path for path in (project / ".git").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in found}


def tree(stage: Stage, name: str) -> Path:
    (found,) = (stage.opencode.home.data / "delegations").glob(f"*/isolated/{name}/tree")
    return found


async def tried(stage: Stage, *tasks: Step) -> tuple[Supervisor, list[Notice]]:
    """Delegate tasks, and return once all have ended and were told."""
    supervisor = await stage.supervisor()
    await supervisor.turn(together(*tasks), say("Off."), on_notice=[say("Noted.")])
    return supervisor, await supervisor.settled(len(tasks), timeout_s=60)


@pytest.mark.main_path
async def test_a_try_apart_reaches_the_project_when_it_is_applied(stage: Stage) -> None:
    """It begins from what is not committed, works elsewhere, and is merged into what is now."""
    project = stage.opencode.home.project
    (project / "draft.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    before = repository(project)

    supervisor, (notice,) = await tried(
        stage,
        apart(
            "Number it.",
            run("pwd; sed -i s/five/5/ draft.txt; echo new > new.txt; git stash list"),
            say("Numbered."),
        ),
    )

    name = notice.id
    assert notice.fields["status"] == "completed"
    assert notice.fields["changes"] == "draft.txt, new.txt"
    assert notice.fields["isolated"].startswith(f'not applied: delegation_apply("{name}")')
    assert "left-its-tree" not in notice.fields
    assert (project / "draft.txt").read_text() == "one\ntwo\nthree\nfour\nfive\n"
    assert not (project / "new.txt").exists()
    (prompt, *_) = stage.asked("Number it.")
    assert f"Your folder is {tree(stage, name)}, a copy of {project}" in prompt.text
    assert str(tree(stage, name)) in stage.asked("Number it.")[-1].text

    (project / "draft.txt").write_text("1\ntwo\nthree\nfour\nfive\n")
    await supervisor.turn(call("delegation_apply", id=name), say("Applied."))
    (answer,) = await supervisor.outputs("delegation_apply")

    assert answer == f"Applied {name}: 2 files written: draft.txt, new.txt."
    assert (project / "draft.txt").read_text() == "1\ntwo\nthree\nfour\n5\n"
    assert (project / "new.txt").read_text() == "new\n"
    assert repository(project) == before


@pytest.fixture
def project(stage: Stage) -> Path:
    return stage.opencode.home.project


async def test_five_tries_one_applied_one_discarded_and_conflicts_refused(
    stage: Stage, project: Path
) -> None:
    """What agents do with git stays in their clones: commits, branches, stashes, settings."""
    (project / "plan.txt").write_text("1\n2\n3\n4\n5\n6\n7\n")
    before = repository(project)
    steps = "; ".join(
        [
            "git checkout -q -b mine-{n}",
            "git config user.email agent@example.org",
            "git config user.name Agent",
            "sed -i s/4/four-{n}/ plan.txt",
            "echo {n} > try-{n}.txt",
            "git add -A",
            "git commit -q -m Try-{n}",
            "echo stashed > s.txt",
            "git add s.txt",
            "git stash -q",
        ]
    )
    supervisor, told = await tried(
        stage, *(apart(f"Try {n}.", run(steps.format(n=n)), say(f"{n}.")) for n in range(5))
    )
    assert {one.fields["status"] for one in told} == {"completed"}
    assert repository(project) == before
    first, second, third, *_ = (one.id for one in told)
    names = {one.id: one.fields["changes"].split(", ")[-1] for one in told}

    await supervisor.turn(call("delegation_apply", id=first), say("One is in."))
    (written,) = await supervisor.outputs("delegation_apply")
    await supervisor.turn(call("delegation_apply", id=second), say("Refused."))
    refused = (await supervisor.outputs("delegation_apply", 2))[-1]
    await supervisor.turn(
        call("delegation_apply", id=second, paths=[names[second]]), say("A part of it.")
    )
    partly = (await supervisor.outputs("delegation_apply", 3))[-1]
    discarded = await asyncio.to_thread(bga, stage, "discard", third, "--yes")

    assert written == f"Applied {first}: 2 files written: plan.txt, {names[first]}."
    assert refused == (
        f"{second} was not applied, and nothing was changed: plan.txt cannot be put in place."
    )
    assert partly == (
        f"Applied {second}: 1 file written: {names[second]}. The rest of it is not applied."
    )
    assert discarded == f"Discarded {third}.\n"
    assert f"four-{names[first][4]}" in (project / "plan.txt").read_text()
    there = {path.name for path in project.glob("try-*.txt")}
    assert there == {names[first], names[second]}
    assert repository(project) == before
    listed = await asyncio.to_thread(bga, stage, "list", "--json")
    apart_now = {one["id"]: one["changes"]["apart"] for one in json.loads(listed)["delegations"]}
    assert [apart_now[one.id] for one in told] == [
        "applied", "not applied", "discarded", "not applied", "not applied",
    ]  # fmt: skip


def bga(stage: Stage, *words: str) -> str:
    """Run a command as its user does in a terminal of the project."""
    home = stage.opencode.home
    done = subprocess.run(
        [sys.executable, "-m", "background_agents", *words], cwd=home.project,
        env=home.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_try_that_cannot_be_made_fails_and_works_nowhere_else(
    stage: Stage, project: Path
) -> None:
    """Here a file that git cannot read keeps the project from being copied as it is."""
    index = project / ".git" / "index"
    whole = index.read_bytes()
    index.write_bytes(b"no index at all")
    try:
        _, (notice,) = await tried(stage, apart("Never begun.", run("touch reached.txt"), say("?")))
    finally:
        index.write_bytes(whole)

    assert notice.fields["status"] == "failed"
    assert notice.fields["error"].startswith("There is no working tree of its own for it: git ")
    assert not (project / "reached.txt").exists()
    assert stage.asked("Never begun.") == []


async def test_what_leaves_its_tree_is_told(stage: Stage, project: Path) -> None:
    """No sandbox keeps an agent from the project; that its branch was switched is said."""
    was = git(project, "symbolic-ref", "--short", "HEAD")
    hop = f"git --git-dir={project}/.git --work-tree={project} checkout -q -b hop"

    _, (notice,) = await tried(stage, apart("Hop.", run(hop), say("Hopped.")))
    git(project, "checkout", "-q", was)

    assert notice.fields["left-its-tree"] == (f"The main folder was on {was}, and is on hop now.")


async def test_it_goes_on_in_its_tree_and_not_in_one_that_was_discarded(
    stage: Stage, project: Path
) -> None:
    supervisor, (notice,) = await tried(
        stage, apart("Begin.", run("echo 1 > step.txt"), say("Begun."))
    )
    again = delegate("Go on.", run("echo 2 >> step.txt"), say("Done."), continue_id=notice.id)
    await supervisor.turn(again, say("Off."), on_notice=[say("Noted.")])
    told = await supervisor.settled(2)

    assert told[-1].fields["changes"] == "step.txt"
    assert (tree(stage, notice.id) / "step.txt").read_text() == "1\n2\n"
    assert not (project / "step.txt").exists()

    await asyncio.to_thread(bga, stage, "discard", notice.id, "--yes")
    await supervisor.turn(again, say("Refused."))
    assert "its tree is discarded; delegate anew" in (await supervisor.outputs("delegate", 3))[-1]


async def test_whoever_may_not_edit_applies_nothing(stage: Stage, project: Path) -> None:
    """Plan mode and agents whose rules deny edits: the same as for their own tools."""
    supervisor, (notice,) = await tried(
        stage, apart("Draft.", run("echo 1 > drafted.txt"), say("Drafted."))
    )

    await supervisor.turn(call("delegation_apply", id=notice.id), say("No."), agent="plan")

    (answer,) = await supervisor.outputs("delegation_apply")
    assert answer == (
        "'plan' may not edit files, and so not apply any either; ask your human, who can with "
        "`bga apply`."
    )
    assert not (project / "drafted.txt").exists()


@pytest.mark.only("2", why="there each tree is a location of its own, which is asked for itself")
async def test_what_it_asks_reaches_people_and_their_answer_reaches_it(stage: Stage) -> None:
    """What is asked in another directory is answered there."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        apart("Ask first.", run("echo asked > asked.txt"), say("Asked."), agent="careful"),
        say("Off."),
        on_notice=[say("Noted.")],
    )
    (name,) = await supervisor.delegated()
    await supervisor.notices(tag=REQUEST)

    answered = await asyncio.to_thread(bga, stage, "answer", name, "once")
    (notice,) = await supervisor.settled()

    assert answered.endswith(f"{name} goes on.\n")
    assert notice.fields["status"] == "completed"
    assert (tree(stage, name) / "asked.txt").read_text() == "asked\n"
