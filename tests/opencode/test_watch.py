"""``watch`` beside a real OpenCode, in a real terminal, with its keys pressed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from boards import WATCH, watching
from plays import Stage, call, delegate, say, staged
from terminal_user import TerminalUser

from background_agents.views.json import HookSheet
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="the board shows what our service says, of whichever line"),
]

SIZES = [(200, 50), (120, 40), (80, 24)]

SCREENS = Path(__file__).parents[2] / "build" / "screens" / "watch"
"""Where what the board looked like stays, to be looked at."""

TOLD = "told"

WHO = "from background_agents.control.shells import starter_of; print(starter_of().name)"

NOTIFIES = {
    "BACKGROUND_AGENTS_NOTIFY_COMMAND": f"test -p {TOLD} && {{ cat; {sys.executable} -c '{WHO}'; }}"
    f" > {TOLD}"
}
"""What runs at an end and at a request: writes it into a pipe, where a test has made one."""

ASKING = {"permission": {"bash": "ask"}}

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")

BASH = call("bash", command="printf granted", description="Print it")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode that asks before it runs a command."""
    root = tmp_path_factory.mktemp("watch")
    async with staged(root, line, config=ASKING, env=NOTIFIES) as ready:
        yield ready


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def quiet(stage: Stage) -> AsyncIterator[None]:
    """Leave nothing active to the next test, whose board would show it."""
    yield
    await TerminalUser(stage.opencode.home).run("stop", "--all")


async def running(stage: Stage, *tasks: tuple[str, dict[str, object]]) -> list[str]:
    """Let a supervisor delegate tasks of one step, and end its turn; return the ids."""
    supervisor = await stage.supervisor()
    steps = [delegate(task, step, say("Done.")) for task, step in tasks]
    await supervisor.turn(*steps, say("Off."), on_notice=[say("Noted.")] * 8)
    return await supervisor.delegated(len(tasks))


def row(name: str) -> str:
    """Return as much of an id as stands in its row on a board of any width."""
    return name[:19]


def kept(name: str, screen: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    (SCREENS / f"{name}.txt").write_text(screen, encoding="utf-8")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_board_shows_what_runs_and_what_has_ended(
    stage: Stage, size: tuple[int, int]
) -> None:
    """What waits comes first, with what it asks; the ended below; keys in the footer."""
    gate = f"look {size}"
    over, runs, asks = await running(
        stage,
        ("Be quick.", say("Quickly done.")),
        ("Look around.", say("So far so good. ", gate=gate)),
        ("Ask me.", BASH),
    )
    user = TerminalUser(stage.opencode.home)
    assert (await user.run("wait", over)).code == 0
    await stage.model.wait_held(gate)
    async with watching(stage.opencode.home, size) as board:
        screen = await board.shows(
            row(runs), row(asks), row(over), "printf granted", "So far so good.", "q quit"
        )
        kept(f"board-{size[0]}x{size[1]}", screen)
        rows = screen.splitlines()
        assert len(rows) <= size[1]
        where = [
            next(i for i, line in enumerate(rows) if row(name) in line)
            for name in (asks, runs, over)
        ]
        assert where == sorted(where)
        assert rows[where[0]].startswith("▸ waiting")
        assert "1 waiting, 1 running" in rows[0]
        assert rows[where[2]].split(" ago  ")[1].startswith("Be quick.")  # its title
        await board.press("?")
        kept(f"help-{size[0]}x{size[1]}", await board.shows("any key goes back", "answer what it"))
        await board.press("Escape")
        await board.shows(row(runs), "q quit")
        await board.press("y")
        await board.shows(f"Copied {asks}")
        await board.press("Down", "Down", "Enter")
        kept(f"result-{size[0]}x{size[1]}", await board.shows("Quickly done.", "its beginning"))
        await board.press("i")
        kept(f"facts-{size[0]}x{size[1]}", await board.shows(f"{over}: completed", "agent"))
        await board.press("Escape")
        await board.shows("q quit")
        await board.press("/")
        await board.shows("Filter:")
        await board.press("-l", "look around")
        await board.shows("Filter: look around", row(runs), without=(row(asks),))
        await board.press("Enter", "o")
        kept(f"filtered-{size[0]}x{size[1]}", await board.shows("sorted by cost", row(runs)))
        await board.quit()
    stage.model.open(gate)
    await user.run("answer", asks, "once")
    assert (await user.run("wait", runs, asks)).code == 0


@pytest.mark.only("1", "2", why="what it does, and not only shows, is another thing on each line")
async def test_a_run_is_peeked_steered_and_stopped_by_keys(stage: Stage) -> None:
    """The pane follows what it writes, and shows the receipt; a stop is asked for first."""
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate(
            "Go north.",
            call("glob", pattern="*.md") | say("First. ", gate="first"),
            call("glob", pattern="*.md") | say("I turn. ", gate="turn"),
            say("tick ", repeat=10_000, every_ms=20),
        ),
        say("Off."),
        on_notice=[say("Noted.")],
    )
    (name,) = await supervisor.delegated()
    await stage.model.wait_held("first")
    async with watching(stage.opencode.home, (100, 30)) as board:
        await board.shows(row(name), "…First.")
        await board.press("Enter")
        await board.shows("First.", "follows", "Esc back")
        await board.press("s")
        await board.shows(f"Steer {name}:")
        # Typed, corrected, in letters of more than one byte, and pasted in two lines.
        await board.press("-l", "Turn sütx")
        await board.press("BSpace", "BSpace")
        await board.press("-l", "dwärts.")
        await board.window.paste("\nAt once.")
        kept("steer", await board.shows(f"Steer {name}: Turn südwärts.⏎At once."))
        await board.press("Enter")
        await board.shows(f"Sent to {name}")
        await board.shows("[instruction of the user, pending: Turn südwärts. At once.]")
        stage.model.open("first")
        await stage.model.wait_held("turn")
        kept("peek", await board.shows("I turn.", "taken up: Turn südwärts. At once.]"))
        asked = stage.asked("Go north.")[-1]
        assert asked.messages[-1].text == "Turn südwärts.\nAt once."
        stage.model.open("turn")
        await board.press("x")
        kept("stop", await board.shows(f"Stop {name}?"))
        await board.press("n")
        await board.shows("Esc back", without=(f"Stop {name}?",))
        await board.press("Escape")
        await board.shows("q quit")
        await board.press("x")
        await board.shows(f"Stop {name}?")
        await board.press("y")
        await board.shows(f"{name} is stopped.", "Nothing is active.")
        await board.quit()
    _, body = stage.result(name)
    assert body.startswith("[STOPPED BY USER] ")


@pytest.mark.only("1", "2", why="what it does, and not only shows, is another thing on each line")
async def test_a_permission_is_answered_by_keys(stage: Stage) -> None:
    """What is asked stands above the input; a reply that is none is refused in the footer."""
    told = stage.opencode.home.root / "home" / TOLD
    os.mkfifo(told)
    (name,) = await running(stage, ("Ask for it.", BASH))
    assert await hook(told) == ("request", name, "PERSON")
    over = asyncio.create_task(hook(told))
    every = f"{WATCH} --all-projects"
    async with watching(stage.opencode.home, (100, 30), command=every) as board:
        await board.shows("all projects", "▸ waiting", row(name), "printf granted")
        await board.press("a")
        kept("answer", await board.shows(f"{name} asks: ", "Answer (once, always or reject: why):"))
        await board.press("-l", "maybe")
        await board.press("Enter")
        await board.shows("'maybe' does not answer a permission")
        await board.press("a")
        await board.shows("Answer (once, always or reject: why):")
        await board.press("-l", "once")
        await board.press("Enter")
        await board.shows(f"Answered; {name} goes on.")
        await board.shows("Nothing is active.", "completed", row(name))
        await board.quit()
    assert (await TerminalUser(stage.opencode.home).run("wait", name)).code == 0
    assert await over == ("ended", name, "PERSON")
    told.unlink()


async def hook(told: Path) -> tuple[str, str, str]:
    """Return what ``notify_command`` is told next: what, of whom, and who acts in its name."""
    sheet, starter = (await asyncio.to_thread(told.read_text)).splitlines()
    found = msgspec.json.decode(sheet, type=HookSheet)
    return found.what, found.delegation.id, starter


async def test_keys_reach_only_what_was_selected_when_they_were_pressed(stage: Stage) -> None:
    """The selected one ends while its stop is confirmed: no other is stopped instead."""
    supervisor = await stage.supervisor()
    gates = {"First of two.": "one", "Second of two.": "two"}
    tasks = [delegate(task, say("So far. ", gate=gate)) for task, gate in gates.items()]
    await supervisor.turn(*tasks, say("Off."), on_notice=[say("Noted.")] * 4)
    first, second = await supervisor.delegated(2)
    for gate in gates.values():
        await stage.model.wait_held(gate)
    async with watching(stage.opencode.home, (100, 30)) as board:
        screen = await board.shows(row(first), row(second), "▸ ")
        chosen = next(line for line in screen.splitlines() if line.startswith("▸ "))
        over, stays = (first, second) if row(first) in chosen else (second, first)
        await board.press("x")
        await board.shows(f"Stop {over}?")
        stage.model.open("one" if over == first else "two")
        await board.shows(f"{over} has ended.", without=(f"Stop {over}?",))
        await board.press("y")
        await board.press("x")
        kept("ended", await board.shows(f"{over} has ended."))
        await board.press("-l", "y x y q")
        await board.until(
            lambda screen: "Keys do nothing" in screen or "Pasted text is no" in screen,
            "that nothing is done, whether it came key by key or at once",
        )
        await board.press("Escape", "Up")
        await board.shows("▸ running", "q quit")
        await board.press("x")
        await board.shows(f"Stop {stays}?")  # it runs still
        await board.press("n")
        await board.quit()
    stage.model.open("two" if over == first else "one")
    user = TerminalUser(stage.opencode.home)
    assert (await user.run("wait", first, second)).code == 0


async def test_it_follows_a_resize_and_gives_the_terminal_back(stage: Stage) -> None:
    """Narrow and short at once; after q the shell's screen and settings are as they were."""
    (name,) = await running(stage, ("Stay here.", say("Here. ", gate="resize")))
    await stage.model.wait_held("resize")
    async with watching(stage.opencode.home) as board:
        await board.shows(row(name), "does", "q quit")
        await board.window.resize(60, 8)
        narrow = await board.until(
            lambda screen: row(name) in screen and "q quit" in screen.splitlines()[-1],
            "a short board",
        )
        assert len(narrow.splitlines()) <= 8
        assert "does" not in narrow
        await board.window.resize(160, 40)
        await board.until(lambda screen: "does" in screen and len(screen.splitlines()) > 30, "wide")
        shell = await board.quit()
        assert name not in shell
        before, after = board.settings()
        assert before.splitlines()[1:] == after.splitlines()[1:]  # the first line has the size
    stage.model.open("resize")
    await TerminalUser(stage.opencode.home).run("wait", name)


async def test_ctrl_z_and_fg(stage: Stage) -> None:
    """The shell gets its screen back, and `fg` brings the board again."""
    then = "echo stopped it; read -r _; fg > /dev/null"
    shell = f"bash --norc --noprofile -c 'set -m; {WATCH}; {then}'"
    (name,) = await running(stage, ("Stay in the back.", say("Here. ", gate="fg")))
    await stage.model.wait_held("fg")
    async with watching(stage.opencode.home, command=shell) as board:
        await board.shows(row(name), "q quit")
        await board.press("C-z")
        await board.shows("stopped it", without=("q quit",))
        await board.press("Enter")
        await board.shows(row(name), "q quit")
        await board.quit()
    stage.model.open("fg")
    await TerminalUser(stage.opencode.home).run("wait", name)


async def test_a_signal_gives_the_terminal_back(stage: Stage) -> None:
    """Whoever ends it with SIGTERM leaves a usable shell."""
    command = f"sh -c 'echo $$ > ../pid; exec {WATCH}'"
    async with watching(stage.opencode.home, command=command) as board:
        await board.shows("q quit")
        pid = int((stage.opencode.home.root / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        await board.shows("ended with 143", without=("q quit",))
        before, after = board.settings()
        assert before == after


BROKEN = """
from background_agents.hosts.cli.watching.terminal import Terminal
with Terminal(colourful=True) as terminal:
    terminal.show([])
    raise RuntimeError("boom")
"""


async def test_a_bug_gives_the_terminal_back(stage: Stage) -> None:
    """And its traceback can be read."""
    (stage.opencode.home.root / "broken.py").write_text(BROKEN)
    async with watching(
        stage.opencode.home, (100, 30), command=f"{sys.executable} ../broken.py"
    ) as board:
        await board.shows("RuntimeError: boom", "ended with 1")
        before, after = board.settings()
        assert before == after


async def test_without_a_terminal_it_says_so(stage: Stage) -> None:
    ran = await TerminalUser(stage.opencode.home).run("watch")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("`watch` needs a terminal ")


async def test_it_lives_through_the_end_of_opencode(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, line: Line
) -> None:
    """Empty, open, killed and open again: it shows what there is, and what helps."""
    async with (
        staged(tmp_path_factory.mktemp("closed"), line, config=ASKING) as stage,
        watching(stage.opencode.home, (100, 30)) as board,
    ):
        await board.shows("Nothing is active.")
        (name,) = await running(stage, ("Stay long.", say("Half. ", gate="closed")))
        await stage.model.wait_held("closed")
        await board.shows(row(name), "…Half.")
        await stage.opencode.kill()
        kept("gone", await board.shows(row(name), "1 delegation is left behind", "recover"))
        await board.press("s")
        await board.shows(f"Steer {name}:")
        await board.press("x", "Enter")
        await board.shows(f"{name} was run by a process that has ended; it goes on when")
        stage.model.open("closed")
        await stage.opencode.start()
        async with stage.opencode.client() as client:
            await client.create_session()  # opens the project
        await board.shows("completed", row(name), "Nothing is active.")
        await board.quit()


async def test_no_colour_where_none_is_wanted(stage: Stage) -> None:
    """NO_COLOR: no sequence sets a colour; what matters is told by words and marks."""
    (name,) = await running(stage, ("Ask colourless.", BASH))
    for env, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
        async with watching(stage.opencode.home, (100, 30), env=env) as board:
            await board.shows("▸ waiting", row(name))
            drawn = (await board.window.look(styled=True)).text
            assert bool(COLOUR.search(drawn)) == coloured
            await board.quit()
    await TerminalUser(stage.opencode.home).run("stop", name)
