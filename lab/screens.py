"""``make screens``: a picture of the live board, taken of the real program at work.

Runs ``watch`` in a terminal beside a real OpenCode whose background agents follow a script, waits
until the board shows them all, and draws what the terminal shows, colours included, as an SVG
that needs no font and nothing else from anywhere.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from background_agents.domain.errors import DelegationError
from lab.harness.home import CHECKOUT
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.tmux import LOOK_AGAIN_S, terminal
from lab.model_server import ModelServer, script

PICTURE = CHECKOUT / "docs" / "images" / "watch.svg"

SIZE = (118, 20)
"""Columns and rows: as wide as a page shows without making the letters too small to read."""

LIMIT_S = 60.0
"""From the last delegation to a board that shows them all: some seconds."""

COMMAND = (sys.executable, "-m", "background_agents")

Step = Mapping[str, object]


THINKING = "thinking"
"""The gate at which agents stay that are at work in the picture."""

AT_WORK = 2
"""How many there are: the third slot is taken by one that waits for an answer."""


def _thinks(*sentences: str) -> list[Step]:
    """Let an agent do a few things, and then think for as long as the picture takes."""
    look = {"call": "bash", "args": {"command": "git log --oneline", "description": "Look"}}
    *first, last = sentences
    return [*({"say": f"{one} ", **look} for one in first), {"say": last, "gate": THINKING}]


AGENTS: Sequence[tuple[str, str, Sequence[Step]]] = (
    (
        "explore",
        "What should a 429 answer carry?",
        [{"say": "A Retry-After header, and a body that names the limit."}],
    ),
    (
        "general",
        "Upgrade the HTTP client to its next major version.",
        [{"fail": 400, "message": "Insufficient credits: this key cannot run model two."}],
    ),
    (
        "explore",
        "Which rate-limiting algorithm fits our public API?",
        _thinks(
            "The handlers first.",
            "Three of them are called by machines.",
            "Now the bursts in the access log.",
            "A token bucket lets partners burst; a sliding window would not.",
        ),
    ),
    (
        "general",
        "Move the date helpers to the standard library.",
        _thinks("Six helpers.", "parse_day is moved.", "Now format_span, which rounds down."),
    ),
    (
        "careful",
        "Tag and push release 2.0.",
        [
            {"call": "bash", "args": {"command": "git push origin v2.0", "description": "Push"}},
            {"say": "Pushed."},
        ],
    ),
    ("general", "Write the release notes.", _thinks("The notes.")),
)
"""Agent, task and what happens, in the order in which they are delegated."""

SHOWN = (
    *("waiting", "running", "registered", "completed", "failed"),
    *("git push origin", "A token bucket", "Now format_span"),
)
"""What the board shows when everything has come to where the picture is to be taken; long ids leave
less room for words."""

CONFIG: Mapping[str, object] = {
    "agent": {
        "careful": {
            "description": "Asks before it runs anything.",
            "mode": "subagent",
            "permission": {"bash": "ask"},
        }
    },
    # A price, so that there are costs to be seen.
    "provider": {"scripted": {"models": {"one": {"cost": {"input": 3, "output": 15}}}}},
}

ACTIVE = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "3"}
"""So that one has to wait for its turn."""


class NotShown(DelegationError):
    """The board never showed what the picture is of."""


async def watch(root: Path) -> str:
    """Return what ``watch`` shows of a busy project, with the sequences that colour it."""
    async with (
        ModelServer() as model,
        running_opencode(root, model.base_url, config=CONFIG, env=ACTIVE) as opencode,
    ):
        for agent, task, steps in AGENTS:
            await _delegate(opencode, agent, f"{task}\n{script(*steps)}")
        # At home where the project is, so that the picture says `~/project` and no path of here.
        home = str(opencode.home.project.parent)
        around = opencode.home.environment({"TERM": "xterm-256color", "HOME": home})
        around.pop("NO_COLOR", None)
        board = (*COMMAND, "watch")
        async with terminal(board, opencode.home.project, around, SIZE) as window:
            await model.wait_held(THINKING, AT_WORK, timeout_s=LIMIT_S)
            deadline = time.monotonic() + LIMIT_S
            while True:
                screen = await window.look()
                if all(text in screen.text for text in SHOWN):
                    return (await window.look(styled=True)).text
                if screen.ended or time.monotonic() >= deadline:
                    raise NotShown(f"The board did not show {SHOWN}, but:\n{screen.text}")
                await asyncio.sleep(LOOK_AGAIN_S)  # no program is told when another draws


async def _delegate(opencode: OpenCode, agent: str, prompt: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "delegate", agent, "-", "--url", opencode.base_url),
        cwd=opencode.home.project,
        env=opencode.home.environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    await process.communicate(prompt.encode())
    if process.returncode != 0:
        raise NotShown(f"`delegate {agent}` ended with {process.returncode}.")


def svg(screen: str, title: str) -> str:
    """Draw a screen that was captured with its colours."""
    columns, _ = SIZE
    console = Console(record=True, width=columns, file=io.StringIO(), legacy_windows=False)
    console.print(Text.from_ansi(screen.rstrip("\n")), no_wrap=True, crop=True)
    return console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id="watch")


THEME = TerminalTheme(
    (24, 27, 34),
    (214, 219, 229),
    [
        (48, 53, 66),
        (232, 113, 117),
        (140, 194, 101),
        (224, 176, 92),
        (97, 160, 232),
        (198, 134, 222),
        (86, 182, 194),
        (171, 178, 191),
    ],
    [
        (120, 128, 145),
        (240, 140, 144),
        (165, 214, 130),
        (236, 196, 124),
        (132, 184, 244),
        (214, 164, 234),
        (120, 206, 216),
        (236, 239, 244),
    ],
)
"""Dark, and readable on a light page and on a dark one."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Taken of the real program by `make screens`. -->
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own frame, without the font that it would fetch from elsewhere."""


def main() -> None:
    """Take the picture and put it where the documentation shows it."""
    with tempfile.TemporaryDirectory(prefix="api-") as folder:
        screen = asyncio.run(watch(Path(folder)))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(svg(screen, "background-agents watch") + "\n", "utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
