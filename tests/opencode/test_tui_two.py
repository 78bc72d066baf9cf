"""What the user sees and does in the TUI of OpenCode 2, on the server that terminals share."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from plays import call, delegate, say
from tui_user import CAREFUL, User

from background_agents.testing.scripts import NOTICE
from lab.harness.dialect import dialect
from lab.harness.home import find_binary
from lab.harness.line import Line
from lab.harness.shared import SharedServer
from lab.harness.tmux import terminal
from lab.harness.tui import LEADER, START_TIMEOUT_S, Tui, running_tui
from lab.model_server import ModelServer, script

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="the TUI of OpenCode 1 is another one, see test_tui"),
]

SCREENS = Path(__file__).parents[2] / "build" / "screens" / "two"
"""Where the screens of a test that failed stay, each test in a folder of its name."""

TOLD = "◈ Delegation"
"""How the line begins that a human is shown of a notice."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(line: Line) -> AsyncIterator[ModelServer]:
    """A scripted model, shared by the tests of this module."""
    async with ModelServer(dialect=dialect(line)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tui(
    tmp_path_factory: pytest.TempPathFactory, model: ModelServer, line: Line
) -> AsyncIterator[Tui]:
    """The TUI with our plugin, shared by the tests of this module."""
    root = tmp_path_factory.mktemp("tui")
    evidence = SCREENS / "start"
    async with running_tui(
        root, model.base_url, line, evidence=evidence, config=CAREFUL
    ) as running:
        async with running.chat(SCREENS / "first-message"):
            await running.send(f"Hello. {script(say('hello ', repeat=3))}")
            await running.shows("hello hello hello", timeout_s=START_TIMEOUT_S)
        yield running


async def test_a_delegation_from_the_call_to_the_notice(tui: Tui, model: ModelServer) -> None:
    """To the model: a hidden notice; to the human: one line. The chat stays clean."""
    user = User("The whole way", tui, model)
    async with tui.chat(SCREENS / "whole-way"):
        await user.says(
            delegate("Find it out.", say("It is 42.", gate="found out")),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await tui.shows(f"Off as {name}.")
        model.open("found out")
        screen = await tui.shows(f"I know of {name}.")

        (told,) = [line.strip() for line in screen.splitlines() if TOLD in line]
        assert told.startswith(f"{TOLD} completed: general · {name} (")
        notice = user.requests[-1].messages[-1].text
        assert notice.startswith(NOTICE)
        for shown in tui.screens:
            assert "task-notification" not in shown.text
            assert "<task-id>" not in shown.text


async def test_the_human_answers_in_the_childs_session(tui: Tui, model: ModelServer) -> None:
    """The line says who asks; in the list of sessions it is found by name, and answered there."""
    user = User("An answer", tui, model)
    async with tui.chat(SCREENS / "answer"):
        ask = call("bash", command="printf granted", description="Print it")
        await user.says(
            delegate("Ask me.", ask, say("Printed.", gate="printed"), agent="careful"),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await tui.shows(f"{TOLD} asks for a permission: careful · {name} (", f"I know of {name}.")
        await tui.press(LEADER, "l")
        await tui.shows("Sessions", f"careful · {name}")
        await tui.press(*name)
        await tui.press("Enter")
        await tui.shows("Permission required", "$ printf granted", "Allow once")
        await tui.press("Enter")
        await model.wait_held("printed")
        model.open("printed")
        await user.ended(name)
        assert "\nPrinted." in user.artifact(name)


async def test_escape_leaves_the_children_alone(tui: Tui, model: ModelServer) -> None:
    """After ESC the delegations go on, and their notices wait for the user's next message."""
    user = User("An escape", tui, model)
    async with tui.chat(SCREENS / "escape"):
        await user.says(
            delegate("Go on.", say("I went on.", gate="go on")),
            say("I think about {id}.", gate="never"),
            on_notice=(say("I was woken."),),
        )
        name = await user.delegated()
        await model.wait_held("go on")
        await tui.shows(f"I think about {name}.")
        await tui.press("Escape")
        await tui.until(lambda screen: "esc interrupt" not in screen, "the first ESC")
        await tui.press("Escape")
        await tui.shows("· interrupted")
        before = len(user.requests)
        model.open("go on")
        await tui.shows(f"{TOLD} completed: general · {name} (")
        assert user.artifact(name).endswith("\n\nI went on.")
        await user.says(say("ready ", repeat=3))
        await tui.shows("ready ready ready")

        assert user.requests[before - 1].cut_off
        (next_turn,) = user.requests[before:]
        assert f"<task-id>{name}</task-id>" in next_turn.text


async def test_what_is_undone_is_the_users_to_redo(tui: Tui, model: ModelServer) -> None:
    """A notice that comes meanwhile destroys nothing, and is told afterwards."""
    user = User("An undoing", tui, model)
    async with tui.chat(SCREENS / "undo"):
        await user.says(
            delegate("Be late.", say("Late.", gate="late")),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await tui.shows(f"Off as {name}.")
        await tui.type("/undo")
        await tui.shows("reverted", "to restore")
        model.open("late")
        await tui.press("C-c")
        await user.ended(name)
        await tui.type("/redo")
        await tui.shows(f"Off as {name}.")
        await tui.shows(f"I know of {name}.")


async def test_who_quits_and_comes_back_is_told(tui: Tui, model: ModelServer, line: Line) -> None:
    """The shared server goes on, and with it what was delegated; so does another terminal."""
    home = tui.home
    served = SharedServer(home).pid
    command = [str(find_binary(line).path)]
    async with terminal(command, home.project, home.environment()) as window:
        second = Tui(home, window)
        await second.started()
        user = User("A leaver", second, model)
        await user.says(
            delegate("Outlive me.", say("Whole.", gate="outlive")),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await second.shows(f"Off as {name}.")
        await second.press(LEADER, "q")
        session = re.search(r"-s (ses_\w+)", await second.gone())
        assert session is not None
    model.open("outlive")
    await model.wait_for(lambda one: one in user.requests and f">{name}<" in one.text)
    assert SharedServer(home).pid == served
    # The newest session, which `-c` would open, is the child's.
    back = [*command, "-s", session.group(1)]
    async with terminal(back, home.project, home.environment()) as window:
        again = Tui(home, window)
        await again.shows(f"{TOLD} completed: general · {name} (", f"I know of {name}.")


async def test_two_terminals_in_two_projects_are_told_of_their_own(
    tui: Tui, model: ModelServer, line: Line
) -> None:
    """One server and one service have both; what ends at one moment is told each where it began."""
    home = tui.home
    served, other = SharedServer(home).pid, home.root / "other"
    other.mkdir()
    command = [str(find_binary(line).path)]
    play = (delegate("Be one of two.", say("Mine.", gate="both")), say("Off as {id}."))
    async with (
        terminal(command, other, home.environment()) as window,
        tui.chat(SCREENS / "two"),
    ):
        second = Tui(home, window)
        await second.started()
        here, there = User("The one here", tui, model), User("The one there", second, model)
        for user in (here, there):
            await user.says(*play, on_notice=(say("I know of {id}."),))
        names = {user: await user.delegated() for user in (here, there)}
        await model.wait_held("both", 2)
        model.open("both")
        for user in (here, there):
            await user.tui.shows(f"{TOLD} completed: general · {names[user]} (")
            await user.tui.shows(f"I know of {names[user]}.")
    assert SharedServer(home).pid == served
    for user, stranger in ((here, names[there]), (there, names[here])):
        told = [one for one in user.requests if one.messages[-1].text.startswith(NOTICE)]
        assert len(told) == 1
        assert all(stranger not in one.text for one in user.requests)
