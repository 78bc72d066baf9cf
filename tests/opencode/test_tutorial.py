"""The tutorial, walked through from nothing with a real OpenCode and a scripted model.

Every command on the page runs, in its order, and what the page shows is what is seen. What a reader
gets from the network, the dependencies, comes from the environment of the tests.
"""

from __future__ import annotations

import sysconfig
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from plays import Step, call, say
from reader import Reader, ReaderHome, reader_home, shell_in
from walkthrough import Command, steps

from lab.harness.home import CHECKOUT
from lab.model_server import script

pytestmark = [pytest.mark.opencode, pytest.mark.timeout(240)]

TUTORIAL = CHECKOUT / "docs" / "tutorial.md"

OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""With these, pip takes what is installed, the build backend too, and asks nobody."""

SUBJECTS = ("the old quince", "a ladder", "wasps", "the first frost", "an empty basket")


def poem(number: int) -> Step:
    """Let the model say what it will write, as slowly as models do, and write it."""
    about = SUBJECTS[number % len(SUBJECTS)]
    name = f"poem-{number:02}.txt"
    write = call("write", filePath=name, content=f"Nothing is as quiet as {about}.\n")
    return say(f"Number {number} is about {about}. ") | write


ANSWERS = {
    "Read rows.txt and say": script(
        call("read", filePath="rows.txt"),
        say("Apples in rows 1 to 12, pears in rows 13 to 20, and one old quince in row 21."),
    ),
    "Delegate to the general agent": script(
        call(
            "delegate",
            agent="general",
            prompt="Write short poems about the orchard, one to a file.",
        ),
        say("{id} is writing the poems. What shall we do meanwhile?"),
    ),
    "What has become of the poems": script(
        say("{id} was stopped. The poems that it had written are in the folder."),
    ),
    # More of them than anybody waits for.
    "Write short poems": script(*(poem(number) for number in range(1, 400))),
}


async def test_the_tutorial_is_what_happens(tmp_path: Path) -> None:
    """From nothing to a delegation that is looked at, steered, stopped, read and found again."""
    todo = list(steps(TUTORIAL))
    assert sum(isinstance(one, Command) for one in todo) >= 10
    async with reader_home(tmp_path, ANSWERS) as home, AsyncExitStack() as stack:
        shell = await stack.enter_async_context(shell_in(home, CHECKOUT, OFFLINE))

        async def lend(done: Command) -> None:
            if "-m venv" in done.text:
                lend_dependencies(home)

        reader = Reader(home, shell, stack, lend)
        for step in todo:
            await reader.does(step)


def lend_dependencies(home: ReaderHome) -> None:
    """Let the reader's new environment see the packages of ours, as if they were downloaded."""
    (site,) = home.home.glob("*/lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
