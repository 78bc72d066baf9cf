"""The panel in OpenCode's own screen: what it shows, and what a person does by it."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from plays import Step, call, delegate, say
from tui_user import CAREFUL, User

from background_agents.hosts.cli.installing.panel import SCRIPT
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.panel import EMPTY, ScriptedService, Shown, scripted_service
from lab.harness.tui import LEADER, START_TIMEOUT_S, Tui, running_tui
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only("1", why="the panel of OpenCode 2 is another file"),
    pytest.mark.timeout(300),
]

PANEL = SCRIPT
"""What an installed entry names."""

SCREENS = Path(__file__).parents[2] / "build" / "screens" / "panel"
"""Where what the screens looked like stays, to be looked at."""

SIZES = ((200, 50), (120, 40), (80, 24))

WIDE = 121
"""Columns from which OpenCode shows its sidebar."""

CRASHED = "opencode crashed"

RECOVERS_S = 3.0


@asynccontextmanager
async def screen(
    root: Path,
    *,
    panel: Path = PANEL,
    serves: bool = True,
    options: Mapping[str, object] | None = None,
) -> AsyncIterator[tuple[Tui, ModelServer]]:
    """OpenCode's screen with our panel, and the model that it talks to."""
    async with (
        ModelServer(dialect=dialect(Line.ONE)) as model,
        running_tui(
            *(root, model.base_url),
            evidence=SCREENS / "start",
            config=CAREFUL,
            screen={"plugin": [[str(panel), options or {}]]},
            size=(160, 45),
            serves=serves,
        ) as tui,
    ):
        yield tui, model


@dataclass
class Person:
    """Who sits before the panel."""

    tui: Tui

    async def finds(self, delegation: str) -> None:
        """Open the list by its key, and choose a delegation by words of its row."""
        await self.tui.press(LEADER, "d")
        await self.tui.shows("Type to filter")
        await self.types(delegation)
        await self.tui.press("Enter")
        await self.tui.shows("Copy its id")

    async def does(self, delegation: str, action: str, *words: str) -> None:
        """Choose what to do to a delegation, and say what is asked for."""
        await self.finds(delegation)
        await self.types(action)
        other = "Open its session" if action == "copy" else "Copy its id"
        await self.tui.until(lambda one: other not in one, f"{action!r} alone")
        await self.tui.press("Enter")
        for text in words:
            await self.tui.shows("enter submit")
            await self.types(text)
            await self.tui.press("Enter")

    async def confirms(self) -> None:
        await self.tui.shows("Cancel  Confirm")
        await self.tui.press("Enter")

    async def leaves(self, shown: str) -> None:
        """Press Esc, and wait: with what is pressed behind it at once it is another key."""
        await self.tui.press("Escape")
        await self.tui.until(lambda one: shown not in one, f"no {shown!r} any more")

    async def types(self, text: str) -> None:
        await self.tui.press(*("Space" if letter == " " else letter for letter in text))
        await self.tui.shows(text)


def kept(name: str, text: str) -> str:
    SCREENS.mkdir(parents=True, exist_ok=True)
    (SCREENS / f"{name}.txt").write_text(text, encoding="utf-8")
    return text


def works(text: str, **more: object) -> Sequence[Step]:
    """Let an agent do something, and then say something."""
    return call("bash", command="echo looked", description="Look"), say(text, **more)


@pytest.mark.main_path
async def test_a_person_supervises_without_leaving_the_chat(tmp_path: Path) -> None:
    """Each act by the panel alone, seen where it takes effect."""
    async with screen(tmp_path) as (tui, model):
        user, person = User("Panel", tui, model), Person(tui)
        async with tui.kept(SCREENS / "supervise"):
            asks = call("bash", command="printf granted", description="Print it")
            await user.says(
                delegate("Build a wall.", *works("# Bricks", gate="wall"), say("Built.")),
                delegate("Sleep long.", say("Good night.", gate="never")),
                delegate("Ring a bell.", say("It **rang**.")),
                delegate("Ask me.", asks, say("Printed."), agent="careful"),
                say("off ", repeat=3),
                on_notice=(say("noted ", repeat=2),) * 8,
            )
            await tui.shows("? Ask me.", "✓ Ring a bell.", timeout_s=START_TIMEOUT_S)
            side = kept("side", await tui.shows("● Build a wall.", "● Sleep long."))
            assert side.index("? Ask me.") < side.index("● Build a") < side.index("✓ Ring a")

            await person.does("ask me", "answer")
            await tui.shows("bash: printf granted", "Allow it once")
            await tui.press("Enter")
            await tui.toast("Answered")
            await model.wait_for(lambda one: "granted" in one.messages[-1].text)

            await model.wait_held("wall")
            await person.does("wall", "peek")
            await tui.shows("esc back", "Bricks", "bash completed")
            # As markdown, which the host renders a moment later.
            kept("peek", await tui.until(lambda one: "# Bricks" not in one, "a heading"))
            await person.leaves("esc back")
            await person.does("wall", "steer", "Mind the gap")
            await tui.toast("Sent to")
            await person.finds("wall")
            await tui.shows("Stop it")
            model.open("wall")
            await tui.until(lambda one: "Stop it" not in one, "what can be done after the end")
            await tui.shows("Read the result")
            await person.leaves("Copy its id")
            (*_, last) = user.asked("Build a wall.")
            assert "Mind the gap" in last.messages[-1].text

            await person.does("bell", "read")
            kept("read", await tui.shows("esc back", "It rang."))
            await person.leaves("esc back")
            await person.does("bell", "continue", "Ring it again.")
            await tui.toast("Delegated as")
            await model.wait_for(lambda one: one.messages[-1].text.endswith("Ring it again."))
            await person.does("bell", "retry")
            await person.confirms()
            await model.wait_for(lambda one: one in user.asked("Ring a bell.")[2:])

            await person.does("sleep", "extend", "30")
            await tui.toast("45 minutes in all")
            await person.does("sleep", "copy")
            await tui.shows("Copied")
            await person.does("sleep", "open")
            await tui.shows("Parent", "Good night.")
            await tui.press("Up")
            await tui.until(
                lambda one: re.search(r"● Sleep long\. +4\dm left", one) is not None, "more time"
            )
            (sleeping,) = user.asked("Sleep long.")
            await person.does("sleep", "stop")
            await person.confirms()
            await tui.toast("is stopped")
            await model.wait_for(lambda one: one is sleeping and one.cut_off)
            assert CRASHED not in await tui.shows("Context")


def many(count: int) -> Shown:
    """Return what a service shows of so many delegations, in the form that ours has."""
    states = (("?", "asks", "urgent"), ("●", "14m left", "plain"), ("✗", "failed", "bad"))
    lines: list[object] = []
    for number in range(min(count, 8)):
        sign, state, tone = states[number % 3]
        first = [{"text": f"{sign} ", "tone": tone}, {"text": f"Task {number:02}", "tone": "plain"}]
        lines.append([*first, {"text": f"{state:>27}", "tone": tone}])
        lines.append([{"text": "  general · reads src/app.py", "tone": "faint"}])
    counter = f"{count} running" if count else ""
    more = f"+{count - 8} more" if count > 8 else ""
    head = "Delegations" if count else ""
    return {**EMPTY, "counter": counter, "head": head, "lines": lines, "more": more}


async def test_it_fits_every_screen_and_never_disturbs_it(tmp_path: Path) -> None:
    """None to thirty, on three sizes; then whatever a service may say, and none at all."""
    panel, options = broken(tmp_path), {"key": "<leader>k"}
    async with screen(tmp_path, panel=panel, serves=False, options=options) as (tui, model):
        data = tui.home.data / "delegations"
        user = User("Sizes", tui, model)
        async with tui.kept(SCREENS / "sizes"), scripted_service(data, shown=many(0)) as service:
            await user.says(say("hello ", repeat=3))
            await tui.shows("hello hello hello", timeout_s=START_TIMEOUT_S)
            await service.heard("watch", 2)
            for count in (0, 1, 3, 30):
                service.show(many(count))
                for columns, rows in SIZES:
                    await tui.resize(columns, rows)
                    await _looks_right(tui, count, columns, rows)
            await tui.resize(160, 45)
            await tui.shows("+22 more")
            await _goes_on_under_nonsense(tui, service)
        async with tui.kept(SCREENS / "gone"):
            await tui.shows("not answer; it is looked for")
            async with scripted_service(data, "2-2", shown=many(3)) as service:
                await tui.shows("3 running", "Task 02", timeout_s=RECOVERS_S)
                # One part fails, in a later update; the others go on.
                service.show({**EMPTY, "head": BREAKS, "counter": "4 running"})
                await tui.shows("background-agents: failed", "4 running", "Context")
                service.show(many(5))
                assert CRASHED not in kept("broken", await tui.shows("5 running", "Context"))
                await tui.press(LEADER, "k")
                await tui.toast("Nothing has been delegated in this project yet.")


async def _looks_right(tui: Tui, count: int, columns: int, rows: int) -> None:
    counter, sides = f"{count} running", columns >= WIDE
    shown = await tui.until(
        lambda one: (
            (counter in one) is (count > 0)
            and ("Task 00" in one) is (sides and count > 0)
            and max(map(len, one.splitlines())) <= columns
            and ("Context" in one) is sides
        ),
        f"{count} on {columns} columns",
    )
    kept(f"{columns}x{rows}-{count}", shown)
    assert shown.count("Task ") == (min(count, 8) if sides else 0)
    assert ("+22 more" in shown) is (sides and count == 30)


NONSENSE: Sequence[Mapping[str, object]] = (
    {"counter": {"a": 1}, "head": ["x"], "lines": "words", "news": 7},
    {**EMPTY, "head": "On", "lines": [[{"text": {"deep": []}, "tone": 7}, None], None, "words"]},
    {},
)


async def _goes_on_under_nonsense(tui: Tui, service: ScriptedService) -> None:
    for number, shown in enumerate(NONSENSE):
        service.show(shown)
        await tui.until(lambda one: "+22 more" not in one, "nothing of what was there")
        await tui.press(*f"still{number}")
        await tui.shows(f"still{number}")


BREAKS = "break on purpose"


def broken(root: Path) -> Path:
    """Return a panel whose sidebar throws, when it is told to, in a later update."""
    copy = root / "opencode"
    shutil.copytree(PANEL.parent, copy)
    drawn = copy / "panel" / "elements.js"
    whole = drawn.read_text()
    throws = whole.replace(
        "tone(() => shown()[name])",
        f"tone(() => {{ if (shown()[name] === '{BREAKS}') throw new Error('x'); "
        "return shown()[name] })",
    )
    assert throws != whole
    drawn.write_text(throws)
    return copy / PANEL.name
