"""What the user sees and does in the real TUI, which has no port and runs under tmux."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from plays import Step, call, delegate, say
from terminal_user import TerminalUser
from tui_user import CAREFUL, User

from background_agents.testing.scripts import NOTICE
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.tmux import TmuxMissing, terminal
from lab.harness.tui import LEADER, START_TIMEOUT_S, NotShown, Tui, running_tui
from lab.model_server import ModelServer, script

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="the TUI of OpenCode 2 is another one, see test_tui_two"),
]

SCREENS = Path(__file__).parents[2] / "build" / "screens"
"""Where the screens of a test that failed stay, each test in a folder of its name."""


def look_and(answer: Step) -> Step:
    """Let the model call a tool after an answer, so that the run goes on."""
    return {**call("bash", command="echo looked", description="Look"), **answer}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(line: Line) -> AsyncIterator[ModelServer]:
    """A scripted model, shared by the tests of this module."""
    async with ModelServer(dialect=dialect(line)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tui(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> AsyncIterator[Tui]:
    """The TUI with our plugin, shared by the tests of this module."""
    root = tmp_path_factory.mktemp("tui")
    evidence = SCREENS / "start"
    async with running_tui(root, model.base_url, evidence=evidence, config=CAREFUL) as running:
        async with running.chat(SCREENS / "first-message"):
            # The first message loads the plugins, and much else: no test should pay for it.
            await running.send(f"Hello. {script(say('hello ', repeat=3))}")
            await running.shows("hello hello hello", timeout_s=START_TIMEOUT_S)
        yield running


async def test_a_screen_that_never_came_leaves_evidence(tui: Tui, tmp_path: Path) -> None:
    """Who reads the failure sees the last screen, and finds all of them in a folder."""
    kept = tmp_path / "screens"

    async def fail() -> None:
        async with tui.chat(kept):
            await tui.press("h", "u", "h", "u")
            await tui.shows("huhu")
            await tui.press("BSpace", "BSpace")
            await tui.shows("What nobody wrote", timeout_s=0.5)

    with pytest.raises(
        NotShown, match=r"^The screen did not show 'What nobody wrote' in"
    ) as failed:
        await fail()

    (note,) = failed.value.__notes__
    assert note.startswith(f"The screens are in {kept}; the last one:\n")
    texts = [file.read_text() for file in sorted(kept.iterdir())]
    assert any("huhu" in text for text in texts)
    assert "huhu" not in texts[-1]
    assert "huhu" not in note


async def test_a_delegation_from_the_call_to_the_notice(tui: Tui, model: ModelServer) -> None:
    """To the model: a hidden notice; to the human: a toast. The chat stays clean."""
    user = User("The whole way", tui, model)
    async with tui.chat(SCREENS / "whole-way"):
        await user.says(
            delegate("Find it out.", say("It is 42.", gate="found out")),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await tui.shows("⚙ delegate [prompt=Find it out.", f"Off as {name}.")
        model.open("found out")
        toast = await tui.toast(name)
        await tui.shows(f"I know of {name}.")

        assert toast.startswith(f"Delegation completed general · {name} (")
        assert toast.endswith("Find it out.")
        notice = user.requests[-1].messages[-1].text
        assert notice.startswith(NOTICE)
        assert f"<task-id>{name}</task-id>" in notice
        hidden = {*re.findall(r"</?[a-z-]+>", notice), "delegation_read("}
        assert len(hidden) > 10
        for screen in tui.screens:
            assert [text for text in hidden if text in screen.text] == []


async def test_the_user_walks_into_the_children_and_back(tui: Tui, model: ModelServer) -> None:
    """A child's work is a session below the supervisor's, and can be read like any other."""
    user = User("A walk", tui, model)
    # Repeated, so that they do not stand in the script too, which is a part of the chat.
    here, there = "left left left", "right right right"
    async with tui.chat(SCREENS / "walk"):
        await user.says(
            # What is still being written may not be on a screen that opens meanwhile.
            delegate("Look here.", look_and(say("left ", repeat=3)), say("Wait.", gate="walk")),
            delegate("Look there.", look_and(say("right ", repeat=3)), say("Wait.", gate="walk")),
            # The gate stays closed: their toasts would keep the next test waiting.
            say("off ", repeat=2),
        )
        await model.wait_held("walk", 2)
        await tui.shows("⚙ delegate", "off off")
        await tui.press(LEADER, "Down")
        # OpenCode counts the children from the newest one.
        first = await tui.until(lambda screen: here in screen or there in screen, "a child")
        assert ("Look here." in first) == (here in first)
        await tui.press("Right")
        second = await tui.shows(there if here in first else here)
        assert ("Look here." in second) == (here in second)
        await tui.press("Up")
        back = await tui.shows("⚙ delegate", "off off")
        assert here not in back
        assert there not in back


async def test_a_steer_reaches_a_running_child(tui: Tui, model: ModelServer) -> None:
    """The instruction that the user passes on is in the child's next request."""
    user = User("A steer", tui, model)
    async with tui.chat(SCREENS / "steer"):
        # It never ends: its toast would keep the next test waiting.
        rest = say("Whole.", gate="never")
        await user.says(
            delegate("Take your time.", look_and(say("Half.", gate="half")), rest),
            say("Off as {id}."),
        )
        name = await user.delegated()
        await model.wait_held("half")
        await tui.shows(f"Off as {name}.")
        steer = call("delegation_steer", id=name, message="Mind the gap.")
        await user.says(steer, say("{id} knows."))
        await tui.shows("⚙ delegation_steer", f"{name} knows.")
        model.open("half")
        await model.wait_for(lambda one: one in user.asked("Take your time.")[1:])

        first, second = user.asked("Take your time.")
        assert "Mind the gap." not in first.text
        assert "Mind the gap." in second.messages[-1].text


async def test_the_human_answers_what_a_child_asks(tui: Tui, model: ModelServer) -> None:
    """Model and human are both told; one key in OpenCode's dialogue, and the run goes on."""
    user = User("An answer", tui, model)
    async with tui.chat(SCREENS / "answer"):
        ask = call("bash", command="printf granted", description="Print it")
        await user.says(
            delegate("Ask me.", ask, say("Printed.", gate="printed"), agent="careful"),
            say("Off as {id}."),
            on_notice=(say("I know of {id}."),),
        )
        name = await user.delegated()
        await tui.shows(f"I know of {name}.", "Permission required", "$ printf granted")
        assert "<delegation-request>" in user.requests[-1].messages[-1].text
        await tui.press("Enter")
        await model.wait_held("printed")
        model.open("printed")
        toast = await tui.toast("Delegation completed", name)

        assert toast.startswith(f"Delegation completed careful · {name} (")
        assert "\nPrinted." in user.artifact(name)
        assert all("delegation-request" not in screen.text for screen in tui.screens)


async def test_outside_of_the_chat_enter_grants_nothing(tmp_path: Path, model: ModelServer) -> None:
    """What the user is writing stays before them, and is sent; `bga answer` alone answers."""
    settings = tmp_path / "config" / "background-agents" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[background-agents]\nask_in_chat = false\n")
    evidence = SCREENS / "outside"
    async with running_tui(tmp_path, model.base_url, evidence=evidence, config=CAREFUL) as tui:
        user = User("Outside", tui, model)
        async with tui.chat(evidence):
            first = {**call("bash", command="printf outside", description="x"), "say": "Soon."}
            first |= {"gate": "typed"}
            task = delegate("Ask me outside.", first, say("Printed."), agent="careful")
            await user.says(task, say("off ", repeat=3), on_notice=(say("told ", repeat=3),))
            name = await user.delegated()
            await tui.shows("off off off", timeout_s=START_TIMEOUT_S)
            await model.wait_held("typed")
            await tui.press(*"half")
            await tui.shows("┃  half")
            model.open("typed")
            toast = await tui.toast("Delegation asks for a permission", name)
            assert f"(bga answer {name})" in toast
            await tui.shows("told told told", "┃  half")
            await tui.press(*"way", "Enter")
            await model.wait_for(
                lambda one: one in user.requests and one.messages[-1].text == "halfway"
            )
            terminal_user = TerminalUser(tui.home)
            assert f"{name}  waiting" in (await terminal_user.run("status")).out
            assert (await terminal_user.run("answer", name, "once")).code == 0
            await tui.toast("Delegation completed", name)
            assert "\nPrinted." in user.artifact(name)
            assert all("Permission required" not in screen.text for screen in tui.screens)


async def test_a_stop_lets_go_of_the_model(tui: Tui, model: ModelServer) -> None:
    """A stopped child asks nothing any more; what it has written is kept and marked."""
    user = User("A stop", tui, model)
    async with tui.chat(SCREENS / "stop"):
        slow = say("tick ", repeat=10_000, every_ms=20)
        await user.says(
            delegate("Count on.", slow), say("Off as {id}."), on_notice=(say("It ended."),)
        )
        name = await user.delegated()
        await tui.shows(f"Off as {name}.")
        counting = await model.wait_for(lambda one: one in user.asked("Count on."))
        assert counting.ended_s is None
        await user.says(call("delegation_stop", id=name), say("Enough of {id}."))
        toast = await tui.toast(name)
        await tui.shows("⚙ delegation_stop", f"Enough of {name}.")
        await model.wait_for(lambda one: one is counting and one.ended_s is not None)

        assert toast.startswith(f"Delegation stopped general · {name} (")
        assert counting.cut_off
        assert "[STOPPED BY SUPERVISOR]" in user.artifact(name)
        assert "tick tick" in user.artifact(name)
        assert user.asked("Count on.") == [counting]


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
        await tui.shows("esc again to interrupt")
        await tui.press("Escape")
        await tui.shows("· interrupted")
        before = len(user.requests)
        model.open("go on")
        await tui.toast("Delegation completed", name)
        assert user.artifact(name).endswith("\n\nI went on.")
        await user.says(say("ready ", repeat=3))
        await tui.shows("ready ready ready")

        assert user.requests[before - 1].cut_off
        (next_turn,) = user.requests[before:]
        *_, notice, message = next_turn.messages
        assert f"<task-id>{name}</task-id>" in notice.text
        assert message.text.startswith("An escape")


async def test_without_tmux_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests of the TUI fail without tmux; they are never skipped."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TmuxMissing, match=r"^tmux was not found, .*: install tmux .*\.$"):
        async with terminal(["true"], tmp_path, {}):
            pass


async def test_nothing_is_left_of_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program and what it has started end with the terminal, even against their will."""
    monkeypatch.setattr("lab.harness.tmux.END_TIMEOUT_S", 0.2)
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    stubborn = f"exec 3>'{alive}'; trap '' TERM; echo here >&3; sleep 1000 & wait"
    # It reaches the end when the last process is gone that can write there.
    reader = await asyncio.create_subprocess_exec("cat", alive, stdout=asyncio.subprocess.PIPE)
    assert reader.stdout is not None
    try:
        async with (
            asyncio.timeout(20),
            terminal(["sh", "-c", stubborn], tmp_path, os.environ),
        ):
            assert await reader.stdout.readline() == b"here\n"
        async with asyncio.timeout(5):
            assert await reader.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            reader.kill()
        await reader.wait()
