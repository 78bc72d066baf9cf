"""OpenCode's hooks: rules, compaction, no native ``task``, strict mode, tools of children alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from plays import OUR_TOOLS, Stage, Step, Supervisor, call, delegate, say, staged

from background_agents.adapters.opencode import wire
from background_agents.adapters.opencode.agents import agents_of
from background_agents.views import rules
from background_agents.views.rules import TaskPolicy
from lab.bench.tax import LIMIT_TOKENS, tokens
from lab.harness.bridge import BRIDGE
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.harness.opencode import running_opencode
from lab.model_server import ModelRequest, ModelServer, script

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

ANY_RULES = "# Background delegations"
"""How a supervisor's rules begin, whatever the settings."""

CARRIED = "Background delegations of this session."

AGENTS = {
    "by-tools": {"tools": {"write": False, "edit": False, "bash": False}},
    "by-permission": {"permission": {"edit": "deny", "bash": "deny"}},
    "asks-for-edits": {"permission": {"edit": "ask", "bash": "deny"}},
    "one-command": {"permission": {"edit": "deny", "bash": {"*": "deny", "git diff": "allow"}}},
    "opened-again": {"permission": {"edit": "deny", "bash": "deny", "*": "allow"}},
}
"""Two that are read-only, and three that are so only at first sight."""

READ_ONLY = ("by-tools", "by-permission")

STRICT_CONFIG = {
    "agent": {name: {"mode": "subagent", "description": name, **AGENTS[name]} for name in AGENTS}
}

CONFIG: dict[str, object] = {
    "agent": {
        "mute": {
            "mode": "all",
            "description": "Has no tools of ours.",
            "prompt": "You are mute.",
            "permission": {"*": "deny", "task": "allow", "read": "allow"},
        },
        "open": {
            "mode": "all",
            "description": "May do all.",
            "model": "scripted/two",
            "permission": {"*": "allow"},
        },
    },
    "command": {"sub": {"template": "Do $ARGUMENTS", "agent": "general", "subtask": True}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with some agents and a command of the user's own."""
    async with staged(tmp_path_factory.mktemp("hooks"), line, config=CONFIG) as ready:
        yield ready


def told(stage: Stage, *, strict: bool = False, allowed: bool = False) -> str:
    """Return the rules that a supervisor is to get."""
    return rules.supervisor(TaskPolicy(strict, allowed, stage.dialect.tool("task")))


def system(request: ModelRequest) -> str:
    """Return the only system message; several are refused by some providers' templates."""
    (text,) = [message.text for message in request.messages if message.role == "system"]
    return text


def newest(request: ModelRequest) -> str:
    """Return the last thing that was said to the model."""
    return request.messages[-1].text


def without_tools(stage: Stage, beginning: str) -> list[ModelRequest]:
    """Return OpenCode's own calls (titles, summaries) about a session."""
    return [one for one in stage.model.requests if not one.tools and beginning in one.text]


async def untitled(stage: Stage) -> Supervisor:
    """Return a supervisor whose session OpenCode will want to title."""
    return Supervisor(await stage.client.create_session(None), stage)


def task(agent: str, prompt: str = "Look.") -> Step:
    return call("task", description="Look", prompt=prompt, subagent_type=agent)


def answers_to_tools(supervisor: Supervisor) -> list[str]:
    """Return what the model has seen as its tools' answers."""
    return [one.text for one in supervisor.requests[-1].messages if one.role == "tool"]


# --- rules -----------------------------------------------------------------------


@pytest.mark.main_path
async def test_rules_go_to_supervisors_and_others_to_children(stage: Stage) -> None:
    """Each in the session's only system message, once; titles are written without any.

    Also the title that a small model writes in a session below the child's.
    """
    supervisor = await untitled(stage)
    await supervisor.turn(delegate("Be ruled.", say("Done.")), say("Off."), on_notice=[say("Ok.")])
    await supervisor.settled()

    for request in supervisor.requests:
        assert system(request).endswith(told(stage))
        assert system(request).count(ANY_RULES) == 1
    for request in stage.asked("Be ruled."):
        assert system(request).endswith(rules.CHILD)
        assert ANY_RULES not in request.text
    (title,) = without_tools(stage, supervisor.id)
    described = await stage.model.wait_for(lambda one: "Describe the finished" in one.text)
    for request in (title, described):
        assert ANY_RULES not in request.text
        assert rules.CHILD not in request.text


@pytest.mark.only("1", why="the words are the same; OpenCode 2 adds what test_context_tax counts")
async def test_rules_and_tools_stay_under_their_budget(stage: Stage) -> None:
    """What we add to each request of a supervisor: rules and definitions of tools."""
    supervisor = await stage.supervisor()
    await supervisor.turn(say("Hello."))
    (request,) = supervisor.requests
    definitions = [tool for tool in request.tools if tool.function.name in OUR_TOOLS]
    assert definitions
    # In strict mode the rules are at their longest.
    added = len(told(stage, strict=True)) + len(msgspec.json.encode(definitions))
    assert tokens(added) <= LIMIT_TOKENS


@pytest.mark.only("1", why="our service says who gets which rules")
async def test_an_agent_without_our_tools_gets_no_rules(stage: Stage) -> None:
    """Nor is its ``task`` refused: what it would be told to use instead is not there."""
    supervisor = await stage.supervisor()
    await supervisor.turn(task("general", "Say hello."), say("Ok."), agent="mute")
    first, second = supervisor.requests
    assert not first.tool_names & OUR_TOOLS
    assert ANY_RULES not in first.text
    assert "refused" not in second.text
    assert [one for one in stage.model.requests if newest(one).endswith("Say hello.")]


# --- compaction --------------------------------------------------------------------


@pytest.mark.main_path
async def test_a_compaction_carries_delegations_over(stage: Stage) -> None:
    """Running and unread ones reach the summarising model, escaped; our rules do not.

    On OpenCode 2, whose preview lets nobody speak to it, they are told right after.
    """
    supervisor = await stage.supervisor()
    await supervisor.turn(
        delegate("Be <b>unread</b>.", say("Done.")), say("Off."), on_notice=[say("Later.")]
    )
    await supervisor.settled()
    held = delegate("Go on.", say("Held.", gate="compaction"))
    await supervisor.turn(held, say("Off."), on_notice=[say("Later.")])
    unread, running = await supervisor.delegated(2)
    await stage.model.wait_held("compaction")

    summary, kept = await summarize(stage, supervisor.id)
    stage.model.open("compaction")
    await supervisor.settled(2)

    assert f"- {running} [running] Go on. (general): once it has ended, " in kept.text
    told = f"- {unread} [completed, unread] Be &lt;b&gt;unread&lt;/b&gt;. (general): "
    assert told in kept.text
    assert f'delegation_read("{running}")' in kept.text
    assert f'delegation_read("{unread}")' in kept.text
    assert ANY_RULES not in summary.text

    summary, kept = await summarize(stage, await stage.child(unread))
    assert rules.CHILD not in summary.text
    assert CARRIED not in kept.text


@pytest.mark.only("1", why="our service has nothing to say")
async def test_a_compaction_without_delegations_is_left_alone(stage: Stage) -> None:
    """Nothing is said where there is nothing to say."""
    supervisor = await stage.supervisor()
    await supervisor.turn(say("Hello."))
    _, kept = await summarize(stage, supervisor.id)
    assert CARRIED not in kept.text


async def summarize(stage: Stage, session: str) -> tuple[ModelRequest, ModelRequest]:
    """Compact a session, as its user does.

    Return what the model was asked to sum up, and where it is told what must be kept: there, or
    on OpenCode 2 in the step that follows.
    """
    asked = len(stage.model.requests)
    await stage.client.compact(session)
    (summary,) = [
        one for one in stage.model.requests[asked:] if one.model == "one" and not one.tools
    ]
    if stage.line is Line.ONE:
        return summary, summary
    text = f"{session}, go on. {script(say('Gone.'), on_notice=[say('Later.')])}"
    await stage.client.prompt(session, text)
    return summary, await stage.model.wait_for(
        lambda one: bool(one.tools) and f"{session}, go on." in one.text
    )


# --- native task -------------------------------------------------------------------


@pytest.mark.main_path
async def test_a_native_task_is_refused_and_a_users_command_is_not(stage: Stage) -> None:
    """The model reads what to do instead.

    OpenCode 1 runs a command with ``subtask: true`` through the same hook, OpenCode 2 as a prompt.
    """
    supervisor = await stage.supervisor()
    await supervisor.turn(task("general", "Never run."), task("nobody"), say("I see."))

    refused, unknown = answers_to_tools(supervisor)
    native = stage.dialect.tool("task")
    assert f"The {native} tool is refused for general, " in refused
    assert "delegate(prompt, agent=" in refused
    assert "nobody" in unknown
    assert "refused" not in unknown
    assert not stage.asked("Never run.")

    await stage.client.command(supervisor.id, "sub", f"it. {script(say('It is done.'))}")
    await stage.model.wait_for(lambda one: bool(one.tools) and newest(one).startswith("Do it."))


@pytest.mark.only("1", why="on both it runs in test_delegation_rules")
async def test_task_is_left_alone_when_the_user_says_so(tmp_path: Path, line: Line) -> None:
    """``BACKGROUND_AGENTS_ALLOW_TASK=1``."""
    async with staged(tmp_path, line, env={"BACKGROUND_AGENTS_ALLOW_TASK": "1"}) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(task("general", f"Look. {script(say('Seen.'))}"), say("Ok."))
        (answer,) = answers_to_tools(supervisor)
        assert "Seen." in answer
        assert system(supervisor.requests[0]).endswith(told(stage, allowed=True))


# --- strict read-only mode -----------------------------------------------------------


@pytest.mark.main_path
async def test_strict_mode_goes_by_effective_permissions(tmp_path: Path, line: Line) -> None:
    """Read-only agents for ``delegate``, all others for ``task``; each refusal says so."""
    env = {"BACKGROUND_AGENTS_STRICT_READONLY": "1"}
    async with staged(tmp_path, line, config=STRICT_CONFIG, env=env) as stage:
        native = stage.dialect.tool("task")
        # OpenCode 1 lets its own one run commands.
        read_only = {*READ_ONLY, *(["explore"] if line is Line.TWO else [])}
        supervisor = await stage.supervisor()
        names = [*AGENTS, "general", "explore", "plan", "build"]
        steps = [delegate("Try.", say("Done."), agent=name) for name in names]
        await supervisor.turn(*steps, say("Tried."), on_notice=[say("Ok.")])

        answers = dict(zip(names, answers_to_tools(supervisor), strict=True))
        taken = {name for name, answer in answers.items() if answer.startswith("Delegated to")}
        assert taken == read_only
        for name in set(names) - taken:
            assert answers[name].startswith(f"'{name}' may edit files or run commands, and only")
            assert all(f"{one}" in answers[name] for one in read_only)
            assert f"native {native} tool" in answers[name]
        assert system(supervisor.requests[0]).endswith(told(stage, strict=True))

        writer = await stage.supervisor()
        worker = task("general", f"Write. {script(say('Written.'))}")
        await writer.turn(worker, task("by-tools"), say("Ok."))
        done, refused = answers_to_tools(writer)
        assert "Written." in done
        assert f"The {native} tool is refused for by-tools, " in refused


@pytest.mark.only("1", why="it reads what OpenCode 1 answers with")
async def test_an_agents_model_is_its_own_or_the_configured_one(stage: Stage) -> None:
    """As OpenCode says it: a limit per model needs to know before anything runs."""
    infos = await stage.client.request("GET", "/agent")
    config = await stage.client.request("GET", "/config")
    found = agents_of(
        msgspec.json.decode(infos, type=list[wire.AgentInfo]),
        msgspec.json.decode(config, type=wire.Config),
    )
    models = {agent.name: agent.model for agent in found}
    assert (models["open"], models["general"]) == ("scripted/two", "scripted/one")


# --- tools of children alone -----------------------------------------------------------


@pytest.mark.main_path
async def test_only_a_delegation_can_notify_its_parent(stage: Stage) -> None:
    """Whatever its agent may do, and whatever the supervisor's may."""
    supervisor = await stage.supervisor()
    for agent in ("build", "open", "mute"):
        await supervisor.turn(say("Ok."), agent=agent)
    tasks = [delegate(f"As {one}.", say("Done."), agent=one) for one in ("open", "mute")]
    await supervisor.turn(*tasks, say("Off."), on_notice=[say("Ok.")], agent="build")
    await supervisor.settled(2)

    assert not [one for one in supervisor.requests if "notify_parent" in one.tool_names]
    for agent in ("open", "mute"):
        (request,) = stage.asked(f"As {agent}.")
        assert request.tool_names & OUR_TOOLS == {"notify_parent"}


@pytest.mark.only("1", why="OpenCode 2 is given no permissions for our tools")
@pytest.mark.parametrize("permission", ["allow", {"*": "deny", "read": "allow"}])
async def test_the_users_permissions_stay_as_they_are(
    tmp_path: Path, permission: object, line: Line
) -> None:
    """One rule is added for our tool, in whatever form the others are written."""
    config = {**CONFIG, "permission": permission}
    async with plugged(tmp_path, ["false"], config, line) as stage:
        supervisor = await stage.supervisor()
        rule = [{"permission": "notify_parent", "pattern": "*", "action": "allow"}]
        child = await stage.client.create_session(parent=supervisor.id, permission=rule)
        await supervisor.turn(say("Ok."), agent="build")
        mark = stage.events.mark()
        await stage.client.prompt(child, f"Child. {script(say('Ok.'))}", agent="build")
        await stage.events.wait_idle(child, since=mark)

        (mine,), (childs,) = supervisor.requests, stage.asked("Child.")
        assert "notify_parent" not in mine.tool_names
        assert "notify_parent" in childs.tool_names
        assert ("bash" in mine.tool_names) is (permission == "allow")


# --- without the service -------------------------------------------------------------


async def test_opencode_goes_on_while_the_service_hangs(tmp_path: Path, line: Line) -> None:
    """No rules, and ``task`` runs; nothing waits for longer than a person notices."""
    await goes_on_without(["sleep", "600"], tmp_path, line)


@pytest.mark.only("2", why="one file starts it on both; test_delegation_crashes has one more way")
async def test_opencode_goes_on_without_the_service(tmp_path: Path, line: Line) -> None:
    """It ends at once, however often it is started."""
    await goes_on_without(["false"], tmp_path, line)


async def goes_on_without(command: Sequence[str], root: Path, line: Line) -> None:
    """Check that OpenCode works as if there were no plugin, with ``command`` for a service."""
    async with plugged(root, command, CONFIG, line) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(task("general", f"Look. {script(say('Seen.'))}"), say("Ok."))
        (answer,) = answers_to_tools(supervisor)
        assert "Seen." in answer
        assert ANY_RULES not in supervisor.requests[-1].text
        _, kept = await summarize(stage, supervisor.id)
        assert CARRIED not in kept.text


@asynccontextmanager
async def plugged(
    root: Path, command: Sequence[str], config: dict[str, object], line: Line
) -> AsyncIterator[Stage]:
    """Set a stage whose plugin starts ``command`` in the place of the service."""
    file = root / "config" / "opencode" / "plugin" / "plugged.js"
    file.parent.mkdir(parents=True)
    source = f"import {{ plugin }} from {json.dumps(str(BRIDGE))}\n"
    file.write_text(f"{source}export default plugin({{ command: {json.dumps(command)} }})\n")
    async with (
        ModelServer(dialect=dialect(line)) as model,
        running_opencode(root, model.base_url, line, plugin=False, config=config) as opencode,
        opencode.client() as client,
        client.events() as events,
    ):
        yield Stage(model, opencode, client, events)
