"""The panel of OpenCode 2: by its public contract, drawn by OpenCode 1; and what the preview does.

The preview loads panels, by what its ``cli.json`` names, and gives them nothing to draw with:
neither ``solid-js`` nor ``@opentui/solid`` can be imported there (0.0.0-next-16350).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plays import call, delegate, say
from tui_user import CAREFUL, User

from background_agents.hosts.cli.installing import panel
from background_agents.hosts.cli.installing.panel import SCRIPT, SECOND, Config
from background_agents.hosts.cli.installing.plugin_files import Places, Scope
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.shared import ending_shared
from lab.harness.tmux import terminal
from lab.harness.tui import LEADER, START_TIMEOUT_S, Tui, running_tui
from lab.model_server import ModelServer

pytestmark = [pytest.mark.opencode, pytest.mark.timeout(180)]

HOST = Path(__file__).with_name("second_screen.js")

SCREENS = Path(__file__).parents[2] / "build" / "screens" / "panel-two"

SIZE = (160, 45)


async def chosen(tui: Tui, *words: str) -> None:
    """Choose in one list after the other by typing."""
    for word in words:
        await tui.press(*("Space" if letter == " " else letter for letter in word))
        await tui.shows(word)
        await tui.press("Enter")


@pytest.mark.only("1", why="it draws what OpenCode 2's preview cannot")
async def test_what_a_person_does_by_the_contract_of_opencode_2(tmp_path: Path) -> None:
    screen = {"plugin": [[str(HOST), {"panel": str(SECOND)}]]}
    where = {"evidence": SCREENS / "contract", "config": CAREFUL, "screen": screen, "size": SIZE}
    async with (
        ModelServer(dialect=dialect(Line.ONE)) as model,
        running_tui(tmp_path, model.base_url, **where) as tui,
        tui.kept(SCREENS / "contract"),
    ):
        user = User("The second", tui, model)
        looks = call("bash", command="echo brick", description="Look")
        works = (looks, say("# Bricks", gate="wall"), say("Built."))
        noted = (say("noted ", repeat=2),)
        await user.says(delegate("Build a wall.", *works), say("off ", repeat=3), on_notice=noted)
        await tui.shows("● Build a wall.", "1 running", timeout_s=START_TIMEOUT_S)
        name = await user.delegated()
        await model.wait_held("wall")

        await tui.press(LEADER, "d")
        await tui.shows("Type to filter", "Build a wall.")
        await tui.press("Enter")
        await tui.shows("Watch it work", name)
        await chosen(tui, "Watch")
        await tui.shows("esc back", "live", "echo brick", name)
        await tui.press("Enter")
        await tui.shows("Give it an instruction")
        await chosen(tui, "instruction")
        await tui.shows("enter submit")
        await chosen(tui, "Mind the gap")
        await tui.shows(f"Sent to {name}", "esc back")
        model.open("wall")
        await model.wait_for(lambda one: one.messages[-1].text.endswith("Mind the gap"))
        await tui.press("Escape")
        await tui.shows("✓ Build a wall.", "Context")


@pytest.mark.only("2", why="it is about the preview")
async def test_the_preview_takes_the_entry_over_and_goes_on_without_a_panel(
    tmp_path: Path,
) -> None:
    """What `install` writes on either line disturbs nothing, and the plugin beside it works."""
    binary = find_binary(Line.TWO)
    home = Home(tmp_path, binary.version)
    places = Places.of(home.project, home.environment())
    async with ModelServer(dialect=dialect(Line.TWO)) as model:
        home.create(model.base_url)
        home.install_plugin()
        panel.install(Config(home.config / "tui.json"))
        panel.install_package(places, Scope.GLOBAL)
        async with (
            ending_shared(home),
            terminal([str(binary.path)], home.project, home.environment(), SIZE) as window,
        ):
            tui = Tui(home, window)
            async with tui.kept(SCREENS / "preview"):
                await tui.started()
                user = User("The preview", tui, model)
                await user.says(delegate("Ring.", say("Rang.")), say("Off as {id}."))
                name = await user.delegated()
                shown = await tui.shows(f"Off as {name}.", "Context")
                assert "fail" not in shown.lower()
    taken = json.loads((home.config / "cli.json").read_text())
    assert taken["plugins"] == [str(SCRIPT)]
    left = panel.uninstall(places, Scope.GLOBAL)
    assert f"the panel's entry in {home.config / 'cli.json'}" in left
    assert not (home.config / "cli.json").exists()
