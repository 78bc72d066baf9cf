"""What a model starts from its shell: a background agent's may read, nobody's grants."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from plays import Stage, Step, Supervisor, call, delegate, say, staged

from lab.harness.line import Line

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

CONFIG = {"agent": {"careful": {"mode": "all", "permission": {"bash": {"touch *": "ask"}}}}}

COMMAND = f"{shlex.quote(sys.executable)} -P -m background_agents"

UNMARKED = "env -u BACKGROUND_AGENTS_SHELL"

LIAR = """
import sys
from pathlib import Path
from background_agents.client.connection import all_of
from background_agents.domain.errors import DelegationError
root, name, mine = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
for client in all_of(root):
    for served in client.about().served:
        try:
            getattr(client, mine[0])(served.project, name, *mine[1:])
        except DelegationError as error:
            print(error)
        else:
            print("done")
"""
"""A program that looks at no environment, its own or another's, and goes straight to the socket."""

REFUSED = "what a background agent starts may read, not act"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with an agent that asks before it touches a file."""
    async with staged(tmp_path_factory.mktemp("shells"), line, config=CONFIG) as ready:
        yield ready


def bash(command: str) -> Step:
    return call("bash", command=f"{command} 2>&1; echo exit $?", description="Try it.")


async def shells(stage: Stage, session: str) -> list[str]:
    """Return what each command of a session printed, oldest first."""
    parts = [part for one in await stage.client.messages(session) for part in one.parts]
    return [one.output for one in parts if one.tool == stage.shell]


async def liar(stage: Stage, *words: str) -> str:
    """Return a command that calls the socket itself, without anything in its environment."""
    script = stage.opencode.home.root / "liar.py"
    script.write_text(LIAR)
    root = stage.opencode.home.data / "delegations"
    return shlex.join(["env", "-i", sys.executable, "-P", str(script), str(root), *words])


@pytest.mark.main_path
async def test_a_background_agent_reads_and_does_not_act(stage: Stage) -> None:
    """Neither by a command, nor without its mark, nor at the socket itself."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Stay.", say("Here. ", gate="stay")), say("Off."))
    (other,) = await supervisor.delegated()
    await stage.model.wait_held("stay")
    acts = [
        f"{COMMAND} delegate general Escape.",
        f"{COMMAND} stop --all",
        f"{UNMARKED} {COMMAND} steer {other} 'Stop it.'",
        f"unset BACKGROUND_AGENTS_SHELL; {COMMAND} answer {other} once",
        f"{COMMAND} prune --older-than 1h --yes",
        f"{COMMAND} install",
        f"{UNMARKED} {COMMAND} uninstall",
        f"{COMMAND} serve --idle 1s",
        f"{COMMAND} recover",
        f"{COMMAND} config --init",
        await liar(stage, other, "stop"),
        await liar(stage, other, "steer", "Stop it."),
    ]
    reads = [f"{COMMAND} list", f"{COMMAND} status", f"{COMMAND} show {other}"]
    steps = [bash(one) for one in (*acts, *reads)]
    await supervisor.turn(delegate("Try it all.", *steps, say("Tried.")), say("Off."))
    name = (await supervisor.delegated(2))[1]
    await supervisor.notices(timeout_s=90)

    printed = await shells(stage, await stage.child(name))
    assert len(printed) == len(steps)
    for act, said in zip(acts, printed, strict=False):
        assert REFUSED in said, act
    for read, said in zip(reads, printed[len(acts) :], strict=True):
        assert "exit 0" in said, (read, said)
        assert other in said
    assert len(await supervisor.children()) == 2
    stage.model.open("stay")
    ended = {one.id: one for one in await supervisor.notices(2)}
    assert ended[other].fields["status"] == "completed"


@pytest.mark.main_path
async def test_only_a_person_grants_from_a_shell(stage: Stage) -> None:
    """The supervisor's model cannot by a command what it may not by its tool; a person can."""
    supervisor = await stage.supervisor()
    target = stage.opencode.home.project / "granted.txt"
    touch = call("bash", command=f"touch {target}", description="Touch it.")
    await supervisor.turn(delegate("Touch.", touch, say("Done."), agent="careful"), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.notices(tag="delegation-request")

    tries = [
        f"{COMMAND} answer {name} once",
        f"{UNMARKED} {COMMAND} answer {name} always",
        await liar(stage, name, "answer", "once"),
        f"{COMMAND} delegate general Escape.",
    ]
    await supervisor.turn(*map(bash, tries), say("Tried."))
    *answers, delegated = await shells(stage, supervisor.id)
    assert len(answers) == 3
    for said in answers:
        assert said.startswith("Nothing was granted")
    assert "a model in OpenCode calls the tool delegate" in delegated
    assert not target.exists()

    await user_runs(supervisor, f"{COMMAND} answer {name} once")
    (ended,) = await supervisor.notices()
    assert ended.fields["status"] == "completed"
    assert target.exists()


async def user_runs(supervisor: Supervisor, command: str) -> None:
    """Let OpenCode's user run a command, as by `!` in its input line."""
    await supervisor.stage.client.shell(supervisor.id, command)


@pytest.mark.only("2", why="our service looks who asks")
async def test_an_opencode_below_a_background_agent_does_not_delegate(
    tmp_path: Path, line: Line
) -> None:
    """What it runs descends from the agent's shell as well."""
    async with staged(tmp_path, line, env={"BACKGROUND_AGENTS_SHELL": "background"}) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(delegate("Escape.", say("Out.")), say("So."))
        (answer,) = await supervisor.outputs("delegate")
        assert REFUSED in answer
        assert await supervisor.children() == []
