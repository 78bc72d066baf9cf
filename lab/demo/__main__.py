"""``python -m lab.demo``: show a delegation from start to end.

Exit code 0 when everything was seen, 1 when something was not, 2 when the demo could not
begin, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from background_agents.domain.errors import DelegationError
from lab.demo import homes, run, story
from lab.demo.screen import Screen
from lab.harness.line import Line

LIMIT_S = 60.0
"""The scripted story takes a third of it on two cores."""

REAL_LIMIT_S = 600.0
"""A real model may think for minutes."""

KEPT = Path("build/demo")
"""Where the artifacts stay, seen from the current folder."""

INTERRUPTED = 130
"""What shells report for a program that Ctrl-C has ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the demo and return the exit code."""
    order = _order(arguments)
    console = Console(highlight=False, soft_wrap=False)
    try:
        return asyncio.run(_run(order, Screen(console, len(story.TASKS))))
    except asyncio.CancelledError:
        print("Stopped; nothing is left running.", file=sys.stderr)
        return INTERRUPTED
    except run.NotShown as error:
        print(error, file=sys.stderr)
        return 1
    except (DelegationError, OSError, subprocess.SubprocessError) as error:
        print(f"The demo cannot begin: {error}", file=sys.stderr)
        return 2


async def _run(order: run.Order, screen: Screen) -> int:
    running = asyncio.create_task(run.show(order, screen))
    loop = asyncio.get_running_loop()
    asked = False

    def stop() -> None:
        # Once: a second Ctrl-C would cut the clearing up short and leave processes behind.
        nonlocal asked
        if not asked:
            asked = True
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    return 0 if await running else 1


def _order(arguments: Sequence[str] | None) -> run.Order:
    parser = argparse.ArgumentParser(
        prog="python -m lab.demo",
        description="Show a supervisor and three background agents at work on a real OpenCode.",
    )
    add = parser.add_argument
    add("--line", choices=list(Line), help="of OpenCode: yours if you have one, else 1")
    add("--model", type=_model, metavar="PROVIDER/MODEL", help="a model of your own OpenCode")
    add("--limit", type=float, metavar="SECONDS", help="give up after so many seconds")
    add("--keep", type=Path, metavar="FOLDER", default=KEPT, help=f"for the artifacts ({KEPT})")
    given = parser.parse_args(arguments)
    limit = given.limit or (LIMIT_S if given.model is None else REAL_LIMIT_S)
    line = Line(given.line) if given.line else homes.line_of_user()
    return run.Order(line, given.model, limit, given.keep.absolute())


def _model(value: str) -> str:
    provider, slash, model = value.partition("/")
    if not (provider and slash and model):
        raise argparse.ArgumentTypeError(
            f"{value!r} is no model; write it as provider/model-id (`opencode models` lists yours)"
        )
    return value


if __name__ == "__main__":
    sys.exit(main())
