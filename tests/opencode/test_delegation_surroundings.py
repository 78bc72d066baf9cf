"""What surrounds a real OpenCode: the shell's settings for Python, and git in the project."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from plays import call, delegate, say, staged
from terminal_user import TerminalUser

from background_agents.adapters.projects.git import all_beginnings
from lab.harness.line import Line

pytestmark = pytest.mark.opencode

SHELL = {
    "PYTHONPATH": ".",
    "PYTHONHOME": "/nowhere",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "startup.py",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONMALLOC": "malloc",
    "PYTHONUSERBASE": "/nowhere",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONVERBOSE": "1",
    "__PYVENV_LAUNCHER__": "/nowhere",
    "PYTHONEXECUTABLE": "/nowhere",
}


@pytest.mark.only("2", why="both start our service in the same way")
async def test_the_shells_python_settings_are_none_of_the_services(
    tmp_path: Path, line: Line
) -> None:
    """The service starts with all of them set, and takes no module of the project's."""
    async with staged(tmp_path, line, env=SHELL) as stage:
        for name in ("random", "asyncio", "msgspec", "background_agents", "startup"):
            (stage.opencode.home.project / f"{name}.py").write_text("raise SystemExit('yours')")
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Look.", say("Seen.")), say("Off."))
        (ended,) = await supervisor.settled()
        assert stage.result(ended.id)[1] == "Seen."


def _stash(project: Path) -> None:
    """Stash until the project would have another name by its first commit of all."""
    was, number = all_beginnings(project)[0], 0
    while all_beginnings(project)[0] == was:
        number += 1
        (project / "untracked").write_text(str(number))
        who = ("-c", "user.name=T", "-c", "user.email=t@example.invalid")
        subprocess.run(["git", *who, "stash", "-u", "-q"], cwd=project, check=True)


@pytest.mark.only("1", why="which project it is, our service says by itself")
async def test_a_stash_hides_nothing(tmp_path: Path, line: Line) -> None:
    """What ended is listed and read; what runs is stopped; the next OpenCode goes on with both."""
    async with staged(tmp_path, line) as stage:
        user, supervisor = TerminalUser(stage.opencode.home), await stage.supervisor()
        await supervisor.turn(delegate("One.", say("Done.")), say("Off."))
        (one,) = await supervisor.settled()
        await supervisor.turn(
            delegate("Two.", call("bash", command="sleep 600", description="x")), say("Off.")
        )
        two = (await supervisor.delegated())[-1]
        await asyncio.to_thread(_stash, stage.opencode.home.project)
        assert one.id in (await user.run("list")).out
        assert "Done." in (await user.run("read", one.id)).out
        await stage.opencode.kill()
        await stage.opencode.start()
        assert one.id in (await user.run("list")).out
        assert (await user.run("stop", two)).code == 0
