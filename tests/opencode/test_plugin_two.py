"""OpenCode 2's plugin inside a real OpenCode 2, with the test in the place of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from background_agents.control import protocol
from background_agents.control.shells import MARK
from background_agents.hosts.opencode.tools import NAMES, definitions
from background_agents.rpc.messages import RpcError
from background_agents.testing.scripts import script
from lab.harness.bridge import BridgePeer, HookCall, ToolCall
from lab.harness.client import OpenCodeClient, client_for
from lab.harness.client.events import Asked, Events
from lab.harness.client.messages import Part
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary, free_port
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelRequest, ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.only("2", why="OpenCode 1's plugin is another file, with tests of its own"),
]

CONFIG: dict[str, object] = {
    "permission": {"subagent": "ask"},
    "agent": {"careful": {"mode": "primary", "permission": {"bash": "ask"}}},
}

PERMISSION = {"permission": "subagent", "patterns": ["general"], "always": ["*"], "metadata": {}}

LIMIT_S = 30.0
"""A command of OpenCode's starts a server, and ends within three seconds."""


@dataclass(frozen=True)
class Plugged:
    """An OpenCode 2 whose plugin speaks with the test."""

    server: OpenCode
    peer: BridgePeer
    model: ModelServer
    client: OpenCodeClient
    events: Events

    async def begin(self, *steps: Mapping[str, object], agent: str = "build") -> str:
        """Let a new session begin a turn, and return its id."""
        session = await self.client.create_session()
        await self.client.prompt(session, script(*steps), agent=agent, model="scripted/one")
        return session

    async def turn(self, *steps: Mapping[str, object]) -> tuple[str, list[Part]]:
        """Let a new session take a turn; return its id and its calls of tools."""
        begun = self.events.mark()
        session = await self.begin(*steps)
        await self.events.wait_idle(session, since=begun)
        return session, await self.tools(session)

    async def tools(self, session: str) -> list[Part]:
        messages = await self.client.messages(session)
        return [part for one in messages for part in one.parts if part.type == "tool"]

    @property
    def step(self) -> ModelRequest:
        """What the model was asked last; titles are asked for without tools."""
        return [one for one in self.model.requests if one.tools][-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Plugged]:
    """One OpenCode for all tests here, with two projects open."""
    folder = tmp_path_factory.mktemp("plugin")
    peer = BridgePeer(folder)
    peer.install(Home(folder / "opencode", find_binary(line).version))
    async with (
        ModelServer(dialect=dialect(line)) as model,
        peer.listening(),
        running_opencode(
            folder / "opencode", model.base_url, line, plugin=False, config=CONFIG
        ) as server,
        server.client() as client,
        server.client(server.home.root / "home") as elsewhere,
        client.events() as events,
    ):
        # The service ends with the last project, so there is always another one.
        await elsewhere.load()
        await peer.until_attached(server.home.project)
        await peer.until_attached(elsewhere.directory)
        yield Plugged(server, peer, model, client, events)


@pytest.fixture
def plugged(opened: Plugged) -> Plugged:
    """Give it as it was, whatever the last test made of its service."""
    fresh = BridgePeer(opened.server.home.root)
    opened.peer.answer, opened.peer.advise = fresh.answer, fresh.advise
    opened.peer.calls.clear()
    return opened


def call(tool: str, **args: object) -> dict[str, object]:
    return {"call": tool, "args": args}


def say(text: str) -> dict[str, object]:
    return {"say": text}


DELEGATE = call("delegate", prompt="Look.", agent="general")


def only_at(hook: str, told: object) -> Callable[[HookCall], object]:
    """Return what one hook has to say."""
    return lambda one: told if one.hook == hook else None


async def test_it_says_in_which_opencode_it_is(plugged: Plugged) -> None:
    about = plugged.peer.instances(plugged.server.home.project)[0]
    assert (about.line, about.version) == (2, plugged.server.binary.version)
    assert about.base_url == plugged.server.base_url
    assert about.argv[0] == "serve"


async def test_requests_reach_the_server_that_it_is_part_of(plugged: Plugged) -> None:
    transport = plugged.peer.transport(plugged.server.home.project)
    session = await plugged.client.create_session()
    found = await transport.request("GET", f"/api/session/{session}")
    assert (found.status, session.encode() in found.body) == (200, True)
    assert (await transport.request("GET", "/api/session/ses_none")).status == 404


async def test_models_are_offered_the_tools_as_they_are_written(plugged: Plugged) -> None:
    await plugged.turn(say("Hello."))
    offered = {one.function.name: one.function for one in plugged.step.tools}
    for name in NAMES.supervisors:
        written = definitions()[name]
        assert offered[name].description == written["description"]
        assert offered[name].parameters == written["schema"]
    assert NAMES.children[0] not in offered


async def test_a_call_of_a_tool_is_carried_there_and_back(plugged: Plugged) -> None:
    answered: dict[str, object] = {
        "title": "A title",
        "output": "An answer.",
        "metadata": {"id": "one"},
    }
    plugged.peer.answer = lambda _call: answered
    session, (part,) = await plugged.turn(call("delegation_read", id="one"), say("Read."))
    assert (part.status, part.output) == ("completed", "An answer.")
    assert "An answer." in plugged.step.text
    (carried,) = plugged.peer.calls
    assert (carried.tool, carried.session, carried.args) == (
        *("delegation_read", session),
        {"id": "one"},
    )
    assert (carried.agent, carried.call) == ("build", part.id)
    stored = await plugged.client.request(
        "GET", f"/api/session/{session}/message/{carried.message}"
    )
    assert b'"title":"A title"' in stored


async def test_what_keeps_the_service_from_an_answer_the_model_reads(plugged: Plugged) -> None:
    def refuse(_call: ToolCall) -> dict[str, object]:
        raise RpcError(protocol.REFUSED, "There is no such delegation.")

    plugged.peer.answer = refuse
    _, (part,) = await plugged.turn(call("delegation_read", id="none"), say("Oh."))
    assert "There is no such delegation." in part.output


async def test_a_step_is_changed_as_the_service_says(plugged: Plugged) -> None:
    told = {"system": "Some rules.", "hide": ["delegate", "read"]}
    plugged.peer.advise = only_at("context", told)
    _, (part,) = await plugged.turn(DELEGATE, say("Not there."))
    request = plugged.step
    assert [one.role for one in request.messages].count("system") == 1
    assert request.messages[0].text.endswith("\n\nSome rules.")
    assert not {"delegate", "read"} & request.tool_names
    assert "notify_parent" in request.tool_names
    assert part.status == "error"
    assert not plugged.peer.calls


async def test_without_advice_nobody_gets_what_is_for_background_agents(plugged: Plugged) -> None:
    await plugged.turn(say("Hello."))
    assert "delegate" in plugged.step.tool_names
    assert "notify_parent" not in plugged.step.tool_names


async def test_each_step_is_asked_about_once_and_titles_never(plugged: Plugged) -> None:
    steps: list[HookCall] = []
    plugged.peer.advise = steps.append
    begun = len(plugged.model.requests)
    session = await plugged.client.create_session(None)
    since = plugged.events.mark()
    text = script(call("delegation_list"), say("Nothing."))
    await plugged.client.prompt(session, text, agent="build", model="scripted/one")
    await plugged.events.wait_idle(session, since=since)
    await plugged.model.wait_for(
        lambda one: one in plugged.model.requests[begun:] and not one.tools
    )
    assert [one.session for one in steps if one.hook == "context"] == [session, session]
    assert {"delegate", "subagent", "notify_parent"} <= set(steps[0].tools)


async def test_a_step_after_a_compaction_names_it(plugged: Plugged) -> None:
    session, _ = await plugged.turn(say("A long story."))
    await plugged.client.compact(session)
    steps: list[HookCall] = []
    plugged.peer.advise = steps.append
    since = plugged.events.mark()
    for _ in range(2):
        await plugged.client.prompt(session, script(say("Go on.")))
        await plugged.events.wait_idle(session, since=since)
        since = plugged.events.mark()
    assert steps[0].checkpoint.startswith("msg_")
    assert {one.checkpoint for one in steps} == {steps[0].checkpoint}


async def test_the_native_tool_is_refused_with_a_reason(plugged: Plugged) -> None:
    asked: list[HookCall] = []

    def refuse(one: HookCall) -> object:
        asked.extend([one] if one.hook == "task" else [])
        return "Call delegate." if one.hook == "task" else None

    plugged.peer.advise = refuse
    native = call("task", subagent_type="general", description="Look", prompt="Look.")
    session, (part,) = await plugged.turn(native, say("I see."))
    assert (part.status, part.error) == ("error", "Call delegate.")
    assert [(one.session, one.agent, one.by) for one in asked] == [(session, "general", "build")]
    assert not await plugged.client.children(session)


def ask_first(one: ToolCall) -> dict[str, object]:
    """Let OpenCode ask its user, unless it has."""
    asked = None if one.granted else PERMISSION
    output = f"Granted: {one.granted}." if one.granted else "It needs leave."
    return {"title": "", "output": output, "metadata": {}, "ask": asked}


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [("once", "completed", "Granted: subagent."), ("reject", "error", "It needs leave.")],
)
async def test_the_human_is_asked_by_opencode(
    plugged: Plugged, reply: str, status: str, said: str
) -> None:
    plugged.peer.answer = ask_first
    since = plugged.events.mark()
    session = await plugged.begin(DELEGATE, say("Done."))
    asked = await plugged.events.fact(Asked, lambda one: one.session == session, since=since)
    assert (asked.permission, asked.patterns) == ("subagent", ("general",))
    await plugged.client.answer(session, asked.request, reply)
    await plugged.events.wait_idle(session, since=since)
    (part,) = await plugged.tools(session)
    assert part.status == status
    assert said in (part.output or part.error)
    assert len(plugged.peer.calls) == (2 if reply == "once" else 1)


async def test_nobody_is_asked_on_behalf_of_a_turn_that_was_interrupted(plugged: Plugged) -> None:
    plugged.peer.answer = ask_first
    since = plugged.events.mark()
    session = await plugged.begin(DELEGATE, say("Done."))
    await plugged.events.fact(Asked, lambda one: one.session == session, since=since)
    await plugged.client.abort(session)
    await plugged.events.wait_for(
        lambda seen: seen.type == "permission.replied" and seen.session == session, since=since
    )
    assert session not in await plugged.client.permissions()
    assert len(plugged.peer.calls) == 1


async def test_only_the_shells_of_models_are_marked(plugged: Plugged) -> None:
    plugged.peer.advise = only_at("shell", "background")
    show = f"echo [${MARK}]"
    both = {"calls": [call("bash", command=show), call("bash", command=f"{show}; true")]}
    session, parts = await plugged.turn(both, say("Seen."))
    assert ["[background]" in one.output for one in parts] == [True, True]
    since = plugged.events.mark()
    await plugged.client.shell(session, show)
    ended = await plugged.events.wait_for(
        lambda seen: seen.type == "session.shell.ended", since=since
    )
    assert "[]" in str(ended.properties)


async def test_a_person_has_a_shell_while_a_model_waits_for_leave(plugged: Plugged) -> None:
    """Most of all to give it."""
    plugged.peer.advise = only_at("shell", "background")
    show = f"echo [${MARK}]"
    since = plugged.events.mark()
    session = await plugged.begin(call("bash", command=show), say("Seen."), agent="careful")
    asked = await plugged.events.fact(Asked, lambda one: one.session == session, since=since)
    persons = await plugged.client.create_session()
    await plugged.client.shell(persons, show)
    ended = await plugged.events.wait_for(
        lambda seen: seen.type == "session.shell.ended", since=since
    )
    assert "[]" in str(ended.properties)
    await plugged.client.answer(session, asked.request, "once")
    await plugged.events.wait_idle(session, since=since)
    (part,) = await plugged.tools(session)
    assert "[background]" in part.output


async def test_a_shell_of_which_nobody_knows_anything_is_marked(plugged: Plugged) -> None:
    _, (part,) = await plugged.turn(call("bash", command=f"echo [${MARK}]"), say("Seen."))
    assert "[unknown]" in part.output


async def test_details_stay_in_opencode_unless_somebody_follows(plugged: Plugged) -> None:
    large = plugged.server.home.project / "large.txt"
    large.write_text("line\n" * 20_000)
    look = call("bash", command=f"cat {large}")
    begun = len(plugged.peer.events)
    await plugged.turn(look, say("A long text. " * 100))
    kinds = {kind for kind, _ in plugged.peer.events[begun:]}
    assert {"session.input.promoted", "session.execution.succeeded"} <= kinds
    assert not {kind for kind in kinds if kind.startswith(("session.text.", "session.tool."))}

    def follow(one: ToolCall) -> dict[str, object]:
        plugged.peer.transport(plugged.server.home.project).follow(one.session)
        return {"title": "", "output": "", "metadata": {}}

    plugged.peer.answer = follow
    begun = len(plugged.peer.events)
    await plugged.turn(call("delegation_list"), look, say("A long text. " * 100))
    sizes = plugged.peer.events[begun:]
    assert {"session.text.delta", "session.text.ended"} <= {kind for kind, _ in sizes}
    assert max(size for kind, size in sizes if kind == "session.tool.success") < 3_000
    assert max(size for kind, size in sizes if kind == "session.text.ended") > 1_300


async def test_an_instance_hears_of_its_own_project_alone(plugged: Plugged) -> None:
    here, there = plugged.server.home.project, plugged.server.home.root / "home"
    heard: dict[Path, list[str]] = {here: [], there: []}

    def listen(texts: list[str], kind: str, raw: msgspec.Raw) -> None:
        texts.append(f"{kind} {bytes(raw)!r}")

    for place, texts in heard.items():
        transport = plugged.peer.transport(place)
        transport.on_event = partial(listen, texts)
    session, _ = await plugged.turn(say("Hello."))
    assert [one for one in heard[here] if session in one and "session.created" in one]
    assert not [one for one in heard[there] if session in one and "session.created" in one]


async def test_a_project_that_was_put_away_is_attached_anew(plugged: Plugged) -> None:
    peer, project = plugged.peer, plugged.server.home.project
    before = peer.instances(project)
    await plugged.client.reload()
    await peer.changes.until(lambda: before[-1].instance not in peer.attached_now)
    await plugged.client.load()
    await peer.until_attached(project, len(before) + 1)
    _, (part,) = await plugged.turn(call("delegation_list"), say("Still here."))
    assert part.output == "delegation_list ran."


# --- other servers ------------------------------------------------------------------------


@asynccontextmanager
async def homed(root: Path, line: Line) -> AsyncIterator[tuple[BridgePeer, Home]]:
    """Give a home with the plugin in it, in which nothing runs."""
    peer = BridgePeer(root)
    home = Home(root / "opencode", find_binary(line).version)
    async with ModelServer(dialect=dialect(line)) as model, peer.listening():
        await asyncio.to_thread(home.create, model.base_url)
        peer.install(home)
        yield peer, home


async def opencode(home: Home, line: Line, *words: str, stdin: str = "") -> str:
    """Return what a command of OpenCode printed."""
    process = await asyncio.create_subprocess_exec(
        *(str(find_binary(line).path), *words),
        cwd=home.project,
        env=home.environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT_S):
        printed, _ = await process.communicate(stdin.encode())
    return printed.decode()


@pytest.mark.parametrize(
    ("words", "argv"),
    [(("run",), ["serve", "--service"]), (("run", "--standalone"), ["run", "--standalone"])],
    ids=["the shared server", "a private one"],
)
async def test_it_finds_the_server_whichever_it_is(
    tmp_path: Path, line: Line, words: Sequence[str], argv: Sequence[str]
) -> None:
    """A private one forgets the password that it got, and nobody chose its port."""
    async with homed(tmp_path, line) as (peer, home):
        try:
            text = script(call("delegation_list"), say("Done."))
            printed = await opencode(home, line, *words, stdin=text)
        finally:
            await opencode(home, line, "service", "stop")
        assert "Done." in printed
        assert [one.tool for one in peer.calls] == ["delegation_list"]
        (about,) = peer.attached
        assert about.argv[: len(argv)] == argv


async def test_where_it_cannot_know_the_password_each_tool_says_so(
    tmp_path: Path, line: Line
) -> None:
    async with homed(tmp_path, line) as (peer, home):
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(str(find_binary(line).path), *line.ways.serve, "--port", str(port)),
            cwd=home.project,
            env=home.environment(),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            password = await _password(process)
            url = f"http://127.0.0.1:{port}"
            async with client_for(line, url, home.project, password) as client:
                await client.load()
                session = await client.create_session()
                async with client.events() as events:
                    await client.prompt(session, script(call("delegation_list"), say("Oh.")))
                    await events.wait_idle(session)
                parts = [part for one in await client.messages(session) for part in one.parts]
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
    (said,) = [part.error for part in parts if part.type == "tool"]
    assert "set OPENCODE_PASSWORD before `opencode serve`" in said
    assert not peer.attached


async def _password(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        async for printed in process.stdout:
            if printed.startswith(b"server password "):
                return printed.decode().split()[-1]
    raise AssertionError("OpenCode ended without a password")
