"""OpenCode's own rules for sub-agents hold for ``delegate``, as they do for its ``task`` tool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from plays import Stage, Supervisor, call, delegate, say, staged, together

from lab.harness.client import Seen
from lab.harness.client.events import Asked
from lab.harness.line import Line

pytestmark = [pytest.mark.opencode, pytest.mark.asyncio(loop_scope="module")]

AGENTS = {
    "picky": {"mode": "primary", "permission": {"task": {"*": "allow", "gen*": "deny"}}},
    "lenient": {"mode": "primary", "permission": {"task": {"*": "deny", "g?neral": "allow"}}},
    "careful": {"mode": "primary", "permission": {"task": {"general": "ask"}}},
    "shy": {"mode": "primary", "permission": {"delegate": {"general": "deny"}}},
    "polite": {"mode": "primary", "permission": {"delegate": "ask"}},
    "writer": {"mode": "all", "description": "Writes."},
    "reader": {"mode": "all", "description": "Reads.", "permission": {"edit": "deny"}},
}

DONE = say("Done.")

NO_RULES = "sessions of OpenCode 2 have no rules of their own"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, line: Line) -> AsyncIterator[Stage]:
    """An OpenCode with agents that have rules, and with the native tool to compare with."""
    env = {"BACKGROUND_AGENTS_ALLOW_TASK": "1"}
    root = tmp_path_factory.mktemp("rules")
    async with staged(root, line, config={"agent": AGENTS}, env=env) as ready:
        yield ready


async def forbid(supervisor: Supervisor, *rules: tuple[str, str, str]) -> None:
    """Let the user add rules to the supervisor's session."""
    body = {"permission": [rule(*one) for one in rules]}
    await supervisor.stage.client.request("PATCH", f"/session/{supervisor.id}", body)


def rule(permission: str, pattern: str, action: str) -> dict[str, str]:
    return {"permission": permission, "pattern": pattern, "action": action}


async def rules_of(stage: Stage, session: str) -> list[dict[str, str]]:
    """Return what OpenCode says of a session's own rules."""
    raw = await stage.client.request("GET", f"/session/{session}")
    found: list[dict[str, str]] = msgspec.json.decode(raw)["permission"]
    return found


async def tasks(supervisor: Supervisor) -> list[str]:
    """Return the states of the native tool's calls."""
    parts = [part for one in await supervisor.messages() for part in one.parts]
    return [part.status for part in parts if part.tool == supervisor.stage.dialect.tool("task")]


def native(agent: str) -> dict[str, object]:
    return call("task", description="Try.", prompt=f"Try.\n{say('Never.')}", subagent_type=agent)


@pytest.mark.main_path
@pytest.mark.parametrize(
    ("by", "agent", "runs"),
    [
        ("picky", "general", False),
        ("picky", "explore", True),
        ("lenient", "general", True),
        ("lenient", "explore", False),
    ],
)
async def test_what_task_refuses_is_refused(stage: Stage, by: str, agent: str, runs: bool) -> None:
    """One clear sentence where the rules for ``task`` deny, which OpenCode's own tool obeys too."""
    await obeyed(await stage.supervisor(), by, agent, runs)


@pytest.mark.main_path
@pytest.mark.only("1", why=NO_RULES)
@pytest.mark.parametrize(
    ("by", "session", "runs"),
    [
        ("picky", [("task", "general", "allow")], True),
        ("build", [("task", "*", "allow"), ("t*", "gener??", "deny")], False),
    ],
)
async def test_rules_of_the_session_come_after_the_agents(
    stage: Stage, by: str, session: Sequence[tuple[str, str, str]], runs: bool
) -> None:
    """Of all rules the last that fits counts."""
    supervisor = await stage.supervisor()
    await forbid(supervisor, *session)
    await obeyed(supervisor, by, "general", runs)


async def obeyed(supervisor: Supervisor, by: str, agent: str, runs: bool) -> None:
    """Let both tools try an agent; they do the same."""
    await supervisor.turn(delegate("Try.", DONE, agent=agent), native(agent), say("So."), agent=by)

    (answer,) = await supervisor.outputs("delegate")
    assert await tasks(supervisor) in ([["completed"]] if runs else [["error"], []])
    if runs:
        assert (await supervisor.settled())[0].fields["status"] == "completed"
        return
    assert answer.startswith(f"'{agent}' was not delegated to: the user's rules deny it")
    assert f"permission.{supervisor.stage.dialect.tool('task')}" in answer
    assert "\n" not in answer.strip()
    assert await supervisor.children() == []


@pytest.mark.main_path
async def test_plan_mode_is_not_left_by_delegating(stage: Stage) -> None:
    """In plan mode nobody writes on its behalf: agents that may edit are refused."""
    supervisor = await stage.supervisor()
    target = stage.opencode.home.project / "planned.txt"
    write = call("write", filePath=str(target), content="left the plan")
    await supervisor.turn(
        delegate("Write it.", write, DONE),
        delegate("Write it.", write, DONE, agent="writer"),
        delegate("Read it.", write, DONE, agent="reader"),
        say("So."),
        agent="plan",
    )

    general, writer, reader = await supervisor.outputs("delegate", 3)
    await supervisor.settled()

    assert not target.exists()
    # OpenCode 1.15 has no rule of its own for ``general`` there.
    assert general.startswith(("'general' was not delegated to", "'general' may edit files"))
    assert writer.startswith("'writer' may edit files, and in plan mode")
    assert "reader" in writer
    assert "\n" not in writer.strip()
    assert len(await supervisor.children()) == 1, reader


@pytest.mark.parametrize(("by", "asked"), [("careful", "task"), ("polite", "delegate")])
async def test_what_is_to_be_asked_the_human_is_asked(stage: Stage, by: str, asked: str) -> None:
    """OpenCode's own dialogue asks, before anything is registered."""
    supervisor = await stage.supervisor()
    mark = await supervisor.start(delegate("Try.", DONE), say("Off."), agent=by)
    question = await stage.events.fact(Asked, lambda one: one.session == supervisor.id)
    assert question.permission == stage.dialect.tool(asked)
    assert question.patterns == ("general",)
    assert await supervisor.children() == []

    await stage.answer_permission(supervisor.id, "once")
    await stage.events.wait_idle(supervisor.id, since=mark)
    assert (await supervisor.settled())[0].fields["status"] == "completed"


@pytest.mark.main_path
async def test_what_is_to_be_asked_is_not_begun_unasked(stage: Stage) -> None:
    """Where OpenCode cannot ask for a plugin's tool, as 1.15, one clear sentence says so."""
    supervisor = await stage.supervisor()
    mark = await supervisor.start(delegate("Try.", DONE), say("Off."), agent="careful")

    def asked_or_told(seen: Seen) -> bool:
        told = f"permission.{stage.dialect.tool('task')}" in str(seen)
        return seen.session == supervisor.id and (seen.type == "permission.asked" or told)

    first = await stage.events.wait_for(asked_or_told, since=mark)
    if first.type == "permission.asked":
        await stage.answer_permission(supervisor.id, "reject")
    await stage.events.wait_idle(supervisor.id, since=mark)
    assert await supervisor.children() == []


@pytest.mark.parametrize("by", ["careful", "polite"])
@pytest.mark.only("1", why="the main path is a refusal as well")
async def test_what_the_human_rejects_is_not_begun(stage: Stage, by: str) -> None:
    """A rejection ends the call as it ends one of OpenCode's own."""
    supervisor = await stage.supervisor()
    mark = await supervisor.start(delegate("Try.", DONE), say("Off."), agent=by)
    await stage.answer_permission(supervisor.id, "reject")
    await stage.events.wait_idle(supervisor.id, since=mark)

    assert await supervisor.children() == []
    await supervisor.turn(call("delegation_list"), say("None."))
    assert (await supervisor.outputs("delegation_list"))[0].startswith("Nothing has been delegated")


@pytest.mark.main_path
async def test_rules_for_delegate_itself_hold(stage: Stage) -> None:
    """``permission.delegate`` takes agents' names as patterns."""
    supervisor = await stage.supervisor()
    tried = delegate("Try.", DONE), delegate("Try.", DONE, agent="explore")
    await supervisor.turn(*tried, say("So."), agent="shy")

    denied, allowed = await supervisor.outputs("delegate", 2)
    assert "permission.delegate" in denied
    assert len(await supervisor.children()) == 1, allowed
    await supervisor.settled()


@pytest.mark.main_path
@pytest.mark.only("1", why=NO_RULES)
async def test_denies_of_the_supervisors_session_hold_for_the_child(stage: Stage) -> None:
    """Denies and rules for other directories are passed on, as ``task`` does; grants are not."""
    supervisor = await stage.supervisor()
    passed = [("bash", "*", "deny"), ("external_directory", "/srv/*", "allow")]
    await forbid(supervisor, *passed, ("webfetch", "*", "allow"))
    target = stage.opencode.home.project / "by-bash.txt"
    command = call("bash", command=f"touch {target}", description="Touch it.")
    await supervisor.turn(delegate("Touch it.", command, DONE), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()

    own = await rules_of(stage, await stage.child(name))
    assert not target.exists()
    assert [one for one in passed if rule(*one) in own] == passed
    assert rule("webfetch", "*", "allow") not in own


@pytest.mark.only("1", why=NO_RULES)
async def test_what_is_passed_on_is_what_task_passes_on(stage: Stage) -> None:
    """The two children have the same rules, but for those that each tool adds."""
    supervisor = await stage.supervisor()
    passed = [("bash", "*", "deny"), ("external_directory", "/srv/*", "ask")]
    await forbid(supervisor, *passed, ("webfetch", "*", "allow"), ("read", "*", "ask"))
    await supervisor.turn(delegate("Try.", DONE), native("general"), say("Off."))
    await supervisor.settled()

    children = await supervisor.children()
    assert len(children) == 2
    for child in children:
        beginning = (await rules_of(stage, child))[: len(passed)]
        assert beginning == [rule(*one) for one in passed]


@pytest.mark.only("1", why=NO_RULES)
async def test_denies_that_came_later_hold_for_a_continuation(stage: Stage) -> None:
    """The session that is gone on in gets what its supervisor's has now."""
    supervisor = await stage.supervisor()
    await supervisor.turn(delegate("Begin.", DONE), say("Off."))
    (name,) = await supervisor.delegated()
    await supervisor.settled()
    child = await stage.child(name)
    before = await rules_of(stage, child)

    await forbid(supervisor, ("bash", "*", "deny"))
    target = stage.opencode.home.project / "continued.txt"
    command = call("bash", command=f"touch {target}", description="Touch it.")
    for count in (2, 3):
        await supervisor.turn(delegate("Go on.", command, DONE, continue_id=name), say("Off."))
        await supervisor.settled(count)

    after = await rules_of(stage, child)
    assert rule("bash", "*", "deny") not in before
    assert after.count(rule("bash", "*", "deny")) == 1
    assert not target.exists()


@pytest.mark.only("1", why=NO_RULES)
async def test_rules_that_came_before_the_launch_hold(tmp_path: Path, line: Line) -> None:
    """What waits for its turn is launched under the rules of that moment."""
    env = {"BACKGROUND_AGENTS_MAX_CONCURRENT": "1"}

    async def play() -> None:
        async with staged(tmp_path, line, config={"agent": AGENTS}, env=env) as stage:
            supervisor = await stage.supervisor()
            tasks = (
                delegate("Hold.", say("Held. ", gate="held"), DONE),
                delegate("Late.", DONE),
                delegate("Later.", DONE, agent="writer"),
            )
            await supervisor.turn(together(*tasks), say("Off."))
            held, late, later = await supervisor.delegated(3)
            await stage.model.wait_held("held")
            await forbid(supervisor, ("task", "general", "deny"), ("bash", "*", "deny"))
            stage.model.open("held")

            ended = {notice.id: notice for notice in await supervisor.notices(3)}
            assert ended[held].fields["status"] == "completed"
            assert ended[late].fields["status"] == "failed"
            assert "the user's rules deny it" in ended[late].fields["error"]
            assert ended[later].fields["status"] == "completed"
            assert rule("bash", "*", "deny") in await rules_of(stage, await stage.child(later))

    await asyncio.wait_for(play(), 90)


@pytest.mark.only("1", why="our service decides what hint is given")
async def test_what_delegate_refuses_is_left_to_task(tmp_path: Path, line: Line) -> None:
    """The hint to delegate is no dead end: where rules deny that, OpenCode itself decides."""

    async def play() -> None:
        async with staged(tmp_path, line, config={"agent": AGENTS}) as stage:
            supervisor = await stage.supervisor()
            for by in ("build", "shy", "picky"):
                await supervisor.turn(native("general"), say("So."), agent=by)
            parts = [part for one in await supervisor.messages() for part in one.parts]
            task = stage.dialect.tool("task")
            hinted, run, denied = [one for one in parts if one.tool == task]
            assert "call delegate" in hinted.error
            assert run.status == "completed"
            assert "call delegate" not in denied.error
            assert len(await supervisor.children()) == 1

    await asyncio.wait_for(play(), 90)
