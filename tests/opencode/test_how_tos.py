"""The how-to guides, followed with a real OpenCode: what they tell to type works as they show.

So are the examples of the page about the Python API.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from plays import call, say
from reader import Reader, ReaderHome, reader_home, shell_in
from walkthrough import Command, steps

from lab.harness.home import CHECKOUT
from lab.model_server import script

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

FOLDER = CHECKOUT / "docs" / "how-to"

PAGES = {
    "python": CHECKOUT / "docs" / "reference" / "python.md",
    **{one.stem: one for one in sorted(FOLDER.glob("*.md"))},
}

CAREFUL = {
    "agent": {
        "careful": {
            "description": "Asks before it runs anything.",
            "permission": {"bash": "ask", "question": "allow"},
        }
    }
}

DATABASE = {
    "question": "Which database should the tests use?",
    "header": "Database",
    "options": [{"label": one, "description": one} for one in ("SQLite", "PostgreSQL")],
}

ANSWERS = {
    "Move the date helpers": script(
        *(
            say(f"Helper {n} is moved. ") | call("bash", command=f"true {n}", description="Test it")
            for n in range(1, 400)
        )
    ),
    "Taste every apple": script(
        *(
            say(f"Apple {n} is sour. ") | call("bash", command=f"echo {n}", description="Taste")
            for n in range(1, 400)
        )
    ),
    "Do parse_legacy": script(say("parse_legacy is moved too.")),
    "Tag the release": script(
        call("bash", command="git tag v2.0", description="Tag"), say("Tagged.")
    ),
    "Set up the test database": script(
        call("question", questions=[DATABASE]), say("It is set up.")
    ),
    "Tidy the shopping list": script(
        call("edit", filePath="shopping.txt", oldString="tea (the good one?)", newString="tea"),
        call("write", filePath="recipes/soup.txt", content="leeks\npotatoes\n"),
        call("bash", command="wc -l shopping.txt > total.txt", description="Count"),
        say("It is tidy."),
    ),
    "Which licences": script(say("MIT and Apache-2.0.")),
    "List the public functions": script(say("There are two: parse and render.")),
    "List the tests that sleep": script({"fail": 400, "message": "This key has no credit left."}),
    "Describe the oldest": script(say("It stands behind the barn.")),
    "Say something about": script(say("The old quince bears every other year.")),
}

BEFORE: Mapping[str, Sequence[str]] = {
    "a-week-at-the-terminal": ['background-agents delegate general "Taste every apple."'],
    "steer-a-run": [
        'background-agents delegate general "Move the date helpers to the standard library."'
    ],
    "answer-permissions": [
        'background-agents delegate careful "Tag the release."',
        'background-agents delegate careful "Set up the test database."',
    ],
    "see-and-undo-changes": [
        "printf 'apples\\ntea (the good one?)\\nleeks\\npotatoes\\n' > shopping.txt",
        'background-agents delegate general --wait "Tidy the shopping list."',
    ],
    "try-apart": [
        "printf 'apples\\ntea (the good one?)\\nleeks\\npotatoes\\n' > shopping.txt",
        "rm -rf recipes total.txt",
    ],
    "do-it-again": [
        'background-agents delegate general --wait "Describe the oldest tree."',
    ],
    "several-projects": [
        "mkdir ~/library",
        'background-agents delegate general --wait "Say something about the trees."',
    ],
    "when-something-does-not-work": [
        "background-agents uninstall",
        "mkdir ~/orchard && cd ~/orchard && git init --quiet",
        'background-agents delegate general --wait "Say something about the trees."',
    ],
    "move-from-the-npm-plugin": [
        'sed -i.before \'1a "plugin": [\\n"opencode-background-agents"\\n],\' '
        "~/.config/opencode/opencode.json"
    ],
}
"""What has happened when a reader comes to a page."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReaderHome]:
    """One home for all guides, so that OpenCode starts once; nothing stays active after one."""
    async with reader_home(tmp_path_factory.mktemp("guides"), ANSWERS, CAREFUL) as ready:
        put_on_path(ready)
        yield ready


@pytest.mark.parametrize("name", PAGES)
async def test_a_guide_is_what_happens(home: ReaderHome, name: str) -> None:
    """Each command on the page works, with the output that the page shows."""
    todo = list(steps(PAGES[name]))
    assert todo, "a guide that shows no command is an explanation"
    async with AsyncExitStack() as stack:
        shell = await stack.enter_async_context(shell_in(home, home.project))
        for command in BEFORE.get(name, ()):
            code, said = await shell.run(command)
            assert code == 0, said
        reader = Reader(home, shell, stack, nothing_else)
        for step in todo:
            await reader.does(step)


async def nothing_else(_done: Command) -> None:
    """Do nothing."""


def put_on_path(home: ReaderHome) -> None:
    """Put our command on the reader's ``PATH``, and a Python in which it is installed."""
    for name, module in {"background-agents": "-m background_agents", "python3": ""}.items():
        program = home.programs / name
        program.unlink(missing_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
        program.chmod(0o755)
