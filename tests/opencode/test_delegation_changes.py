"""What delegations change, as their journals have it, on a real OpenCode of either line."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from plays import Stage, Step, call, delegate, say, staged

from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.domain.changes import Image, Kind, Segment
from lab.harness.client.base import LOOK_AGAIN_S
from lab.harness.line import Line
from lab.model_server import script

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

FILES = {
    "plain.txt": b"a\nb\nc\nb\n",
    "crlf.txt": b"one\r\ntwo\r\nthree",
    "bom.txt": "\ufeffone\ntwo\n".encode(),
    "deep.py": b"def f():\n    if x:\n\n        return 1\n    return 2\n",
    "gone.txt": b"go\n",
    "old.txt": b"move\nme\n",
}

PATCH = """*** Begin Patch
*** Add File: added.txt
+hello
*** Update File: deep.py
@@
-        return 1
+        return 3
     return 2
*** Update File: old.txt
*** Move to: moved/new.txt
@@
 move
-me
+ME
*** Delete File: gone.txt
*** End Patch"""

GPT = "scripted/gpt-5.1"

CONFIG: dict[str, object] = {
    "provider": {
        "scripted": {
            "models": {
                "gpt-5.1": {"name": "gpt-5.1", "limit": {"context": 200_000, "output": 32_000}}
            }
        }
    }
}
"""A model by whose name OpenCode offers its tool for patches."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode whose models patch, or edit."""
    async with staged(tmp_path_factory.mktemp("changes"), line, config=CONFIG) as ready:
        yield ready


def journal_of(stage: Stage) -> FileJournal:
    """Return the journals of the stage's only project."""
    (found,) = (stage.opencode.home.data / "delegations").glob(f"*/{FOLDER}")
    return FileJournal(found)


def prepare(stage: Stage) -> Path:
    """Put the files into the project, and nothing else."""
    for one in stage.opencode.home.project.iterdir():
        if one.is_dir() and one.name != ".git":
            shutil.rmtree(one)
        elif one.is_file() and one.name != "README.md":
            one.unlink()
    for name, content in FILES.items():
        (stage.opencode.home.project / name).write_bytes(content)
    return stage.opencode.home.project


def told(stage: Stage, delegation: str) -> dict[str, tuple[str, object, object]]:
    """Return what a journal says of each path: how sure, and what was there before and after."""
    journal = journal_of(stage)

    def shown(image: Image) -> object:
        if image.kind is Kind.ABSENT:
            return None
        return image.why or journal.content(image.digest)

    def line(one: Segment) -> tuple[str, object, object]:
        return str(one.certainty), shown(one.before), shown(one.after)

    segments = journal.segments(delegation)
    found = {one.path: line(one) for one in segments}
    assert len(found) == len(segments), segments
    return found


def write(path: Path, content: str) -> Step:
    return call("write", filePath=str(path), content=content)


def edit(path: Path, old: str, new: str, **more: object) -> Step:
    return call("edit", filePath=str(path), oldString=old, newString=new, **more)


def bash(command: str) -> Step:
    return call("bash", command=command, description="Do it.")


async def ended(stage: Stage, *steps: Step, model: str | None = None) -> str:
    """Delegate, wait for the end, and return the delegation's id."""
    supervisor = await stage.supervisor()
    more = {"model": model} if model else {}
    await supervisor.turn(delegate("Change it.", *steps, **more), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    return name


@pytest.mark.main_path
async def test_what_its_tools_write_is_sure(stage: Stage) -> None:
    project = prepare(stage)
    reads = [call("read", filePath=str(project / name)) for name in FILES]
    name = await ended(
        stage,
        *reads,
        write(project / "sub" / "new ä.txt", "hello\nworld"),
        write(project / "bom.txt", "over\n"),
        edit(project / "plain.txt", "b\n", "B\n", replaceAll=True),
        edit(project / "crlf.txt", "two\nthree", "TWO\nthree"),
        edit(project / "deep.py", "        return 1", "        return 3"),
        edit(project / "plain.txt", "not there", "x"),
        say("Done."),
    )
    assert told(stage, name) == {
        "sub/new ä.txt": ("sure", None, b"hello\nworld"),
        "bom.txt": ("sure", FILES["bom.txt"], "\ufeffover\n".encode()),
        "plain.txt": ("sure", FILES["plain.txt"], b"a\nB\nc\nB\n"),
        "crlf.txt": ("sure", FILES["crlf.txt"], (project / "crlf.txt").read_bytes()),
        "deep.py": ("sure", FILES["deep.py"], FILES["deep.py"].replace(b"1", b"3")),
    }
    assert journal_of(stage).windows(name) == []


async def test_a_patch_is_sure(stage: Stage) -> None:
    prepare(stage)
    tool = "apply_patch" if stage.line is Line.ONE else "patch"
    name = await ended(stage, call(tool, patchText=PATCH), say("Done."), model=GPT)
    assert told(stage, name) == {
        "added.txt": ("sure", None, b"hello\n"),
        "deep.py": ("sure", FILES["deep.py"], FILES["deep.py"].replace(b"1", b"3")),
        "gone.txt": ("sure", FILES["gone.txt"], None),
        "old.txt": ("sure", FILES["old.txt"], None),
        "moved/new.txt": ("sure", None, b"move\nME\n"),
    }


@pytest.mark.main_path
async def test_what_its_commands_change_is_likely(stage: Stage) -> None:
    project = prepare(stage)
    name = await ended(
        stage,
        bash("echo new > shell.txt; rm gone.txt; mv old.txt older.txt; exit 3"),
        edit(project / "plain.txt", "c", "C"),
        bash("sed -i s/a/A/ plain.txt"),
        say("Done."),
    )
    segments = [(one.path, str(one.certainty), one.by) for one in journal_of(stage).segments(name)]
    assert sorted(segments) == [
        ("gone.txt", "likely", stage.shell),
        ("old.txt", "likely", stage.shell),
        ("older.txt", "likely", stage.shell),
        ("plain.txt", "likely", stage.shell),
        ("plain.txt", "sure", "edit"),
        ("shell.txt", "likely", stage.shell),
    ]


async def test_a_command_that_is_aborted_is_accounted_for(stage: Stage) -> None:
    project = prepare(stage)
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Hang.", bash("echo x > hung.txt; sleep 60")), say("Off."))
    (name,) = await supervisor.delegated()
    await appears(project / "hung.txt")
    await supervisor.turn(call("delegation_stop", id=name), say("Stopped."))
    await stage.ended(name)
    assert told(stage, name) == {"hung.txt": ("likely", None, b"x\n")}
    assert journal_of(stage).windows(name) == []


@pytest.mark.only("1", why="on OpenCode 2 only a tool that agents lack makes children")
async def test_an_agent_below_counts_to_the_delegation(stage: Stage) -> None:
    project = prepare(stage)
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Have one below.", say("Held.", gate="below")), say("Off."))
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("below")
    below = await stage.client.create_session("Below", parent=await stage.child(name))
    steps = script(write(project / "below.txt", "deep"), bash("echo x > shell.txt"), say("."))
    await stage.client.prompt(below, f"Below it.\n{steps}")
    await stage.events.wait_idle(below)
    stage.model.open("below")
    await supervisor.settled()
    found = {path: sure for path, (sure, *_) in told(stage, name).items()}
    assert found == {"below.txt": "sure", "shell.txt": "likely"}


@pytest.mark.only("2", why="our journal shares out what events of either line tell")
async def test_of_two_at_once_each_has_its_own(stage: Stage) -> None:
    """Their commands share what both may have written; what tools tell of is nobody else's."""
    project = prepare(stage)
    waits = "while [ ! -e both ]; do sleep 0.02; done"
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("One.", bash(f"touch one; {waits}"), say(".")),
        delegate("Two.", bash(f"touch two; {waits}"), say(".")),
        delegate("Three.", write(project / "three", "3"), say(".", gate="three")),
        say("Off."),
    )
    one, two, three = await supervisor.delegated(3)
    await appears(project / "one")
    await appears(project / "two")
    await stage.model.wait_held("three")
    (project / "both").touch()
    stage.model.open("three")
    await supervisor.settled(3)
    assert told(stage, three) == {"three": ("sure", None, b"3")}
    for name in (one, two):
        found = {path: sure for path, (sure, *_) in told(stage, name).items()}
        assert found.pop("both") == "shared"
        assert "three" not in found
        assert set(found) <= {"one", "two"}
        assert all(sure == "likely" for path, sure in found.items() if path == "other")


@pytest.mark.only("2", why="our journal shares out what events of either line tell")
async def test_what_the_humans_own_chat_writes_is_nobodys(stage: Stage) -> None:
    project = prepare(stage)
    waits = "while [ ! -e go ]; do sleep 0.02; done"
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Wait.", bash(f"touch up; {waits}"), say(".")), say("Off."))
    (name,) = await supervisor.delegated()
    await appears(project / "up")
    await supervisor.turn(write(project / "mine.txt", "mine"), say("Written."))
    (project / "go").touch()
    await supervisor.settled()
    assert set(told(stage, name)) == {"up", "go"}


@pytest.mark.only("1", why="our journal keeps outside of the project on both")
async def test_the_human_s_repository_is_as_before(stage: Stage) -> None:
    project = prepare(stage)
    before = prints(project / ".git")
    await ended(stage, bash("echo x > x.txt"), write(project / "y.txt", "y"), say("."))
    assert prints(project / ".git") == before


@pytest.mark.only("1", why="a service is killed alike on both; OpenCode's own death is below")
async def test_after_the_death_of_the_service_what_was_open_is_shared(stage: Stage) -> None:
    project = prepare(stage)
    waits = "while [ ! -e go ]; do sleep 0.02; done"
    supervisor = await stage.supervisor()
    steps = (bash(f"echo 1 > during; {waits}; echo 2 > after"), write(project / "w", "w"), say("."))
    await supervisor.turn(delegate("Go on.", *steps), say("Off."))
    (name,) = await supervisor.delegated()
    await appears(project / "during")
    os.kill(service_of(stage), signal.SIGKILL)
    await until(lambda: not journal_of(stage).windows(name))
    (project / "go").touch()
    await supervisor.settled()
    assert told(stage, name) == {
        "during": ("shared", None, b"1\n"),
        "w": ("sure", None, b"w"),
    }


@pytest.mark.only("2", why="a shell that writes on is found by our own journal")
async def test_after_the_death_of_opencode_a_shell_that_writes_on_is_named(
    tmp_path: Path, line: Line
) -> None:
    async with staged(tmp_path, line, env={"BACKGROUND_AGENTS_RESUME": "0"}) as stage:
        project = prepare(stage)
        supervisor = await stage.supervisor()
        hangs = bash("echo 1 > during; exec sleep 61")
        await supervisor.turn(delegate("Hang.", hangs), say("Off."))
        (name,) = await supervisor.delegated()
        await appears(project / "during")
        await stage.opencode.kill()
        await stage.opencode.start()
        async with stage.opencode.client() as client:
            await client.load()
            await stage.ended(name)
        # The service has seen the death, and has closed what was open if there was time.
        ((path, (sure, before, after)),) = told(stage, name).items()
        assert (path, before, after) == ("during", None, b"1\n")
        assert sure in ("likely", "shared")
        left = re.search(r"Process (\d+) of it still runs: sleep 61", stage.text(name))
        assert left is not None, stage.text(name)
        os.kill(int(left[1]), signal.SIGKILL)


def service_of(stage: Stage) -> int:
    """Return the process of the service that an OpenCode has started."""
    children = Path(f"/proc/{stage.opencode.pid}/task").glob("*/children")
    for pid in [pid for one in children for pid in one.read_text().split()]:
        if b"bridge" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise AssertionError("it has no service")


async def appears(path: Path) -> None:
    await until(path.exists)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(LOOK_AGAIN_S)


def prints(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(one.relative_to(folder)): (
            one.stat().st_mtime_ns,
            hashlib.sha256(one.read_bytes()).hexdigest(),
        )
        for one in folder.rglob("*")
        if one.is_file()
    }
