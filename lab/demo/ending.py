"""The first and the last words on the screen: what is shown, what was seen, what is next."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from lab.demo import proof
from lab.demo.proof import Check
from lab.demo.screen import Screen
from lab.demo.timeline import Timeline
from lab.harness.home import CHECKOUT, Binary


def introduce(screen: Screen, binary: Binary, model: str | None) -> None:
    """Say what is real and what is not."""
    screen.heading("background-agents: delegate, keep working, get the result back")
    screen.print(f"OpenCode {binary.version}, the plugin and all files are real.")
    if model is None:
        screen.print("The model is scripted, so no key is needed (--model takes a real one).")
    else:
        screen.print(Text(f"The model is {model}, with your own configuration and keys."))
    screen.print("Sessions and data are in a temporary folder, which is gone at the end.", "")
    legend = " ● supervisor  • tool call  ✓ ✗ end of an agent  ◀ notice, hidden in the chat"
    screen.print(Text(legend, "dim"), "")


def conclude(
    screen: Screen, timeline: Timeline, checks: Sequence[Check], artifacts: dict[str, Path]
) -> None:
    """Say what was seen, and where it can be looked at."""
    screen.heading("the artifacts")
    for id_, path in artifacts.items():
        name = (f"{_short(path.parent)}{os.sep}", "dim"), (path.name, screen.lanes.colour(id_))
        screen.print(Text.assemble(*name))
    completed = [a for a in timeline.agents.values() if a.notice and not a.error]
    if shown := [artifacts[agent.id] for agent in completed if agent.id in artifacts]:
        _show_artifact(screen, shown[0])
    screen.heading("what was seen")
    for check in checks:
        mark = (" ✓ ", "bold green") if check.holds else (" ✗ ", "bold red")
        screen.print(Text.assemble(mark, check.text[:1].upper() + check.text[1:]))
    screen.heading("next")
    steps = {"Use it in your own OpenCode": f"{_command()} install"}
    steps["See this with a real model"] = _again()
    for why, step in steps.items():
        screen.print(f"   {why}:", Text(f"      {step}", "bold"))
    screen.print("")


def _show_artifact(screen: Screen, path: Path) -> None:
    screen.print("", Text(f"The first lines of {path.name}:", "dim"))
    for line in proof.excerpt(path):
        text = Text(f"   {line}")
        text.truncate(screen.console.width - 1, overflow="ellipsis")
        screen.print(text)


def _short(path: Path) -> str:
    """Return a path as one types it from the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _command() -> str:
    """Return how the command line is called from here."""
    beside = Path(sys.executable).with_name("background-agents")
    return _short(beside) if beside.exists() else "background-agents"


def _again() -> str:
    """Return how the demo is shown with a real model."""
    if (CHECKOUT / "Makefile").exists() and Path.cwd() == CHECKOUT:
        return "make demo MODEL=provider/model-id"
    return "python -m lab.demo --model provider/model-id"
