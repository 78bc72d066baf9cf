"""Answering from another terminal, and what people can do when no OpenCode is open."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import households
import msgspec
import pytest
import pytest_asyncio
from plays import REQUEST, Stage, Step, Supervisor, call, delegate, say, staged
from terminal_user import Ran, TerminalUser, ended

from background_agents.control import places
from background_agents.testing.scripts import script
from background_agents.views.json import ActiveSheet, Sheet
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("1", why="a command asks our service, and so do the tools that run on both"),
]

OWN_SERVERS = "each line has servers of its own kind"

CAREFUL = {
    "agent": {
        "careful": {
            "description": "Asks before it runs anything.",
            "mode": "subagent",
            "permission": {"bash": "ask", "question": "allow"},
        }
    }
}

PASSWORD = "correct horse"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def careful(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with an agent that asks."""
    async with staged(tmp_path_factory.mktemp("careful"), line, config=CAREFUL) as stage:
        yield stage


def bash(command: str) -> Step:
    return call("bash", command=command, description="Try it")


async def asked(stage: Stage, task: str, *steps: Step) -> tuple[Supervisor, str]:
    """Delegate something that asks; return once the supervisor has been told."""
    supervisor = await stage.supervisor()
    start = delegate(task, *steps, agent="careful")
    await supervisor.turn(start, say("Off."), on_notice=[say("Noted.")] * 4)
    (name,) = await supervisor.delegated()
    newest = (await supervisor.notices(tag=REQUEST))[-1]
    await supervisor.answered(newest.message)
    return supervisor, name


async def settled(supervisor: Supervisor, name: str) -> dict[str, str]:
    """Return the only notice of an end, once it has been answered."""
    (notice,) = await supervisor.settled()
    assert notice.id == name
    return dict(notice.fields)


# --- answers ---------------------------------------------------------------------


async def test_a_permission_is_granted_once(careful: Stage) -> None:
    """What was asked is printed, the run goes on; the supervisor's later answer is told so."""
    user = TerminalUser(careful.opencode.home)
    steps = (bash("printf granted"), say("Printed.", gate="granted"))
    supervisor, name = await asked(careful, "Print it.", *steps)
    status = await user.run("status")
    assert f"(background-agents answer {name} REPLY)" in status.out
    wrong = await user.run("answer", name, "perhaps")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("'perhaps' does not answer a permission; reply ")
    granted = await user.run("answer", name[:-2], "once")
    assert (granted.code, granted.err) == (0, "")
    assert granted.out == f"Answered: {careful.shell}: printf granted\n{name} goes on.\n"
    await careful.model.wait_held("granted")
    await supervisor.turn(call("delegation_answer", id=name, reply="reject"), say("Too late."))
    (late,) = await supervisor.outputs("delegation_answer")
    assert f"{name} is running and waits for no answer" in late
    again = await user.run("answer", name, "once")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert again.err.startswith(f"{name} is running and waits for no answer; `background-agents ")
    careful.model.open("granted")
    notice = await settled(supervisor, name)
    assert notice["status"] == "completed"
    # One notice of the request, and none that takes anything back or says it again.
    assert len(await supervisor.stored_notices(REQUEST)) == 1


async def test_always_is_for_those_that_follow_too(careful: Stage) -> None:
    user = TerminalUser(careful.opencode.home)
    steps = (bash("echo for-ever"), bash("echo for-ever"), say("Twice."))
    supervisor, name = await asked(careful, "Print it twice.", *steps)
    always = await user.run("answer", name, "always")
    assert always.out == f"Answered: {careful.shell}: echo for-ever\n{name} goes on.\n"
    notice = await settled(supervisor, name)
    assert notice["status"] == "completed"
    assert careful.result(name)[1] == "Twice."
    assert len(await supervisor.stored_notices(REQUEST)) == 1


async def test_a_refusal_gives_its_reason(careful: Stage) -> None:
    """The words are in the agent's next request, and the run goes on."""
    user = TerminalUser(careful.opencode.home)
    supervisor, name = await asked(careful, "Refuse me.", bash("printf no"), say("Without."))
    refused = await user.run("answer", name, "reject:", "the", "disk", "is", "full")
    assert refused.code == 0
    assert (await settled(supervisor, name))["status"] == "completed"
    assert "the disk is full" in careful.asked("Refuse me.")[-1].text


async def test_a_question_is_answered_in_words(careful: Stage) -> None:
    user = TerminalUser(careful.opencode.home)
    question = {"question": "Which port?", "header": "Port", "options": []}
    ask = call("question", questions=[question])
    supervisor, name = await asked(careful, "Ask a question.", ask, say("Thanks."))
    answered = await user.run("answer", name, "-", given="8080, as ever\n")
    assert answered.out == f"Answered: Which port?\n{name} goes on.\n"
    assert (await settled(supervisor, name))["status"] == "completed"
    assert "8080, as ever" in careful.asked("Ask a question.")[-1].text


async def test_whoever_waits_is_told_who_asks(careful: Stage) -> None:
    user = TerminalUser(careful.opencode.home)
    supervisor, name = await asked(careful, "Ask who waits.", bash("printf w"), say("Done."))
    waiting = await user.start("wait", name)
    assert waiting.stderr is not None
    said = (await waiting.stderr.readline()).decode()
    assert said == (
        f"{name} waits for a permission, {careful.shell}: printf w; answer with "
        f"`background-agents answer {name} REPLY`.\n"
    )
    assert (await user.run("answer", name, "once")).code == 0
    assert (await ended(waiting)).code == 0
    await settled(supervisor, name)


# --- no OpenCode is open ---------------------------------------------------------


@asynccontextmanager
async def ending(home: Home) -> AsyncIterator[TerminalUser]:
    """A user whose commands find OpenCode; whatever they start is ended on the way out."""
    try:
        yield TerminalUser(home, {"OPENCODE_BIN": str(find_binary(home.line).path)})
    finally:
        await households.end(home)


@asynccontextmanager
async def closed(root: Path, line: Line) -> AsyncIterator[TerminalUser]:
    """The user of a home in which no OpenCode runs yet."""
    home = Home(root, find_binary(line).version)
    async with ModelServer(dialect=dialect(line)) as model:
        home.create(model.base_url)
        home.install_plugin()
        async with ending(home) as user:
            yield user


async def left(stage: Stage, user: TerminalUser, task: str) -> str:
    """Let OpenCode and its service be killed in the middle of a delegation; return its id."""
    supervisor = await stage.supervisor()
    half = say("Half. ", gate=task)
    await supervisor.turn(delegate(task, half, say("Whole.")), say("Off."))
    (name,) = await supervisor.delegated()
    await stage.model.wait_held(task)
    status = (await user.run("status", "--json")).out
    (active,) = msgspec.json.decode(status, type=list[ActiveSheet])
    owner = int(active.delegation.owner.split(":")[0])
    os.kill(owner, signal.SIGKILL)
    await stage.opencode.kill()
    await households.gone(owner)
    stage.model.open(task)
    return name


@pytest.mark.timeout(240)
@pytest.mark.only("2", why="on OpenCode 1 `serve` and `delegate` start one as well, see below")
async def test_what_was_left_behind_is_seen_and_recovered(tmp_path: Path, line: Line) -> None:
    """All looks work with OpenCode closed; `recover` starts one, and it completes there."""
    async with staged(tmp_path, line) as stage, ending(stage.opencode.home) as user:
        name = await left(stage, user, "Be cut off.")
        status = await user.run("status")
        assert (status.code, status.err) == (0, "")
        assert f"{name}  running  Be cut off." in status.out
        said = " ".join(status.out.split())
        assert "the process that ran it does not answer; see `background-agents recover`" in said
        for args in (("peek", name), ("steer", name, "x"), ("stop", name), ("wait", name)):
            ran = await user.run(*args)
            assert ran.code == 3, args
            assert ran.err == (
                f"{name} was run by a process that has ended; it goes on when OpenCode is opened "
                "on this project, or with `background-agents recover`.\n"
            )
        recovered = await user.run("recover")
        assert (recovered.code, recovered.out) == (0, f"{name} is taken over.\n"), recovered.err
        waited = await user.run("wait", name)
        assert waited.code == 0, waited
        front, body = stage.result(name)
        assert (front["state"], body) == ("completed", "Whole.")
        nothing = await user.run("recover")
        assert nothing.out.startswith("Nothing is left behind")
        assert (await user.run("status")).out.startswith("Nothing is active.")


@pytest.mark.timeout(240)
@pytest.mark.only("1", "2", why=OWN_SERVERS)
async def test_delegate_starts_one_on_demand(tmp_path: Path, line: Line) -> None:
    """And the next one uses that; `serve` alone ends itself when it is idle, leaving nothing."""
    async with closed(tmp_path, line) as user:
        prompt = f"Say hello.\n{script(say('Hello from nowhere.'))}"
        made = await user.run("delegate", "general", "-", "--wait", given=prompt)
        assert (made.code, made.out) == (0, "Hello from nowhere.\n"), made.err
        home = user.home
        serving = households.serving(home)
        again = await user.run("delegate", "general", "-", "--json", given=prompt)
        sheet = msgspec.json.decode(again.out, type=Sheet)
        assert (await user.run("wait", sheet.id)).code == 0
        assert households.serving(home) == serving
        ours = {"background_agents", "serve"}
        (serve_pid,) = [pid for pid in serving if ours <= set(households.words(pid))]
        os.kill(serve_pid, signal.SIGTERM)
        await households.empty(home)
        assert places.living(home.data / "delegations") == []

        serve = await user.start("serve", "--idle", "3s")
        assert serve.stdout is not None
        assert await serve.stdout.readline() == b"ready\n"
        # Another service takes its place; `serve` asks that one from then on.
        (service,) = [one for one in households.members(home) if "bridge" in households.words(one)]
        os.kill(service, signal.SIGKILL)
        ran = await ended(serve)
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        await households.empty(home)


@pytest.mark.timeout(240)
@pytest.mark.only("1", "2", why=OWN_SERVERS)
async def test_killing_serve_ends_its_opencode(tmp_path: Path, line: Line) -> None:
    """Even a kill that cannot be caught leaves no OpenCode that nobody knows of."""
    async with closed(tmp_path, line) as user:
        serve = await user.start("serve")
        assert serve.stdout is not None
        assert await serve.stdout.readline() == b"ready\n"
        serve.kill()
        await serve.wait()
        await households.empty(user.home)


async def test_without_an_opencode_to_start_that_is_said(tmp_path: Path, line: Line) -> None:
    async with closed(tmp_path, line) as user:
        lost = TerminalUser(user.home, {"PATH": "/usr/bin:/bin", "OPENCODE_BIN": ""})
        for args in (("serve",), ("delegate", "general", "x")):
            ran = await lost.run(*args)
            assert (ran.code, ran.out) == (3, "")
            assert ran.err == "OpenCode was not found; install it, or name it with OPENCODE_BIN.\n"


# --- an OpenCode by its address --------------------------------------------------


def visitor(opencode: OpenCode) -> TerminalUser:
    """Return a user who knows the server's password, if it asks for one."""
    password = {opencode.line.ways.password: opencode.password} if opencode.password else {}
    return TerminalUser(opencode.home, password)


async def delegated(user: TerminalUser, url: str) -> Ran:
    prompt = f"Say hello.\n{script(say('Hello there.'))}"
    return await user.run("delegate", "general", "-", "--wait", "--url", url, given=prompt)


async def test_delegate_to_an_opencode_by_its_address(careful: Stage) -> None:
    """It opens the project there, and another one that has it open is not asked."""
    home = careful.opencode.home
    second = OpenCode(careful.opencode.binary, home, password=PASSWORD)
    await second.start()
    try:
        refused = await delegated(TerminalUser(home), second.base_url)
        assert (refused.code, refused.out) == (3, "")
        assert refused.err == (
            f"The OpenCode at {second.base_url} answers 401; set OPENCODE_SERVER_PASSWORD.\n"
        )
        ran = await delegated(visitor(second), second.base_url)
        assert (ran.code, ran.out) == (0, "Hello there.\n"), ran.err
        name = ran.err.split(" ", 1)[0]
        waited = await TerminalUser(home).run("wait", name, "--json")
        (sheet,) = msgspec.json.decode(waited.out, type=list[Sheet])
        assert households.parent(int(sheet.owner.split(":")[0])) == second.pid
    finally:
        await second.end()


async def test_an_opencode_without_the_plugin_is_refused(tmp_path: Path, line: Line) -> None:
    async with (
        ModelServer(dialect=dialect(line)) as model,
        running_opencode(tmp_path, model.base_url, line, plugin=False) as opencode,
    ):
        ran = await delegated(visitor(opencode), opencode.base_url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"The OpenCode at {opencode.base_url} does not load background-agents; run "
        "`background-agents install` and start it again.\n"
    )
