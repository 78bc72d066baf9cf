"""The panel at work: OpenCode's screen with its sidebar, and with the list over it.

A supervisor delegates to agents that follow a script; the pictures are taken once all of them
have come to where they are to be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from background_agents.hosts.cli.installing import panel as installed
from background_agents.testing.scripts import script
from lab.harness.home import CHECKOUT, Home, find_binary
from lab.harness.line import Line
from lab.harness.tmux import terminal
from lab.harness.tui import LEADER, START_TIMEOUT_S, Tui, toast_on
from lab.model_server import ToldModel
from lab.screens.board import CONFIG

SIZE = (124, 34)
"""Columns and rows: just wide enough for the sidebar."""

ASKED = "Look into rate limits, move the date helpers, and release 2.0; then tell me about 429."

THINKING = "thinking"
"""The gate at which agents stay that are at work in the picture."""

TAGGED = "tagged"
"""The gate of the one that asks, so that one thing is told after the other."""

PUSH = {"command": "git push origin v2.0", "description": "Push"}

LOOK = {"command": "git log --oneline", "description": "Look"}

TASKS: Mapping[str, tuple[str, str]] = {
    "Which rate-limiting algorithm fits our public API?": (
        "general",
        script(
            {"call": "bash", "args": LOOK, "say": "The handlers first."},
            {"say": "A token bucket lets partners burst.", "gate": THINKING},
        ),
    ),
    "Move the date helpers to the standard library.": (
        "general",
        script(
            {"call": "bash", "args": LOOK, "say": "Six helpers."},
            {"say": "Now format_span.", "gate": THINKING},
        ),
    ),
    "Tag and push release 2.0.": (
        "careful",
        script({"call": "bash", "args": PUSH, "say": "Tagged.", "gate": TAGGED}),
    ),
    "What should a 429 answer carry?": ("general", script({"say": "A Retry-After header."})),
}
"""What is delegated: the agent, and what happens."""

SIDE = ("1 asks", "2 running", "1 unread", "…A token", "…Now format")
"""What the sidebar and the line of the prompt show when everything has come so far."""


class Desk(Home):
    """A home whose project is where people have theirs, so that no path of a machine is shown."""

    @property
    def project(self) -> Path:
        return self.root / "home" / "api"


async def screens(root: Path) -> Mapping[str, str]:
    """Return the pictures by name, with the sequences that colour them."""
    calls = [
        {"call": "delegate", "args": {"prompt": task, "agent": agent}}
        for task, (agent, _) in TASKS.items()
    ]
    said = "Four agents are at work; what do you want to look at meanwhile?"
    told = ("There is the first answer.", "One asks for a permission: press ctrl+x d.")
    answers = {task: does for task, (_, does) in TASKS.items()}
    answers[ASKED] = script(*calls, {"say": said}, on_notice=[{"say": one} for one in told])
    binary = find_binary(Line.ONE)
    home = Desk(root, binary.version)
    async with ToldModel(title="Release 2.0", answers=answers) as model:
        await asyncio.to_thread(_settle, home, model.base_url)
        around = home.environment({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        around.pop("NO_COLOR", None)
        async with terminal([str(binary.path)], home.project, around, SIZE) as window:
            tui = Tui(home, window)
            async with tui.kept(CHECKOUT / "build" / "screens" / "pictures"):
                await tui.started()
                await tui.send(ASKED)
                # The first message loads the plugins, and much else.
                await tui.shows("1 unread", timeout_s=START_TIMEOUT_S)
                await tui.toast("Delegation completed")
                await tui.until(_rests, "rest")
                model.open(TAGGED)
                await tui.toast("Delegation asks")
                await tui.shows(*SIDE)
                await tui.until(_rests, "rest")
                side = await window.look(styled=True)
                await tui.press(LEADER, "d")
                await tui.shows("Type to filter", "completed, unread")
                listed = await window.look(styled=True)
    # At one place OpenCode writes the whole path; a picture has those that a reader has.
    path, short = str(home.project), "~/api"
    return {
        name: screen.text.replace(path, short.ljust(len(path)))
        for name, screen in (("panel-sidebar", side), ("panel-list", listed))
    }


def _rests(screen: str) -> bool:
    return not toast_on(screen) and "interrupt" not in screen


def _settle(home: Home, base_url: str) -> None:
    home.create(base_url, CONFIG)
    home.install_plugin()
    screen = {"plugin": [str(installed.SCRIPT)]}
    (home.config / "tui.json").write_bytes(msgspec.json.encode(screen))
    # A permission of an agent takes the place of the prompt in the chat.
    settings = home.config.parent / "background-agents" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[background-agents]\nask_in_chat = false\n")
