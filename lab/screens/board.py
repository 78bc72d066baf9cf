"""The live board at work: ``watch`` in a terminal beside a real OpenCode.

Its background agents follow a script, and the picture is taken once the board shows them all.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from background_agents.domain.errors import DelegationError
from lab.harness.opencode import OpenCode, running_opencode
from lab.harness.tmux import LOOK_AGAIN_S, terminal
from lab.model_server import ModelServer, script

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
