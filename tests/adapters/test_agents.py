"""What OpenCode's answers about agents come to.

``tests/data/agents`` holds real answers of ``GET /agent`` (long prompts shortened), for agents
that were configured in all the ways in which one can be made read-only, or nearly so.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from background_agents.adapters.opencode import wire
from background_agents.adapters.opencode.agents import agents_of, leave_of, whose_prompt
from background_agents.adapters.opencode.permissions import is_denied
from background_agents.adapters.opencode.tools import UnknownTools
from background_agents.hosts.opencode.tools import NAMES
from background_agents.ports.runtime import Agent, Leave

DATA = Path(__file__).parents[1] / "data" / "agents"
VERSIONS = ("1.15.4", "1.17.19", "1.18.33")

READ_ONLY = {"by-tools", "by-permission", "by-default", "by-file"}
DELEGABLE = READ_ONLY | {
    *("build", "plan", "general", "explore"),
    *("asks-for-edits", "one-command", "without-write-alone", "opened-again", "of-its-own-model"),
}

Rule = tuple[str, str, str]


def answer(version: str) -> list[wire.AgentInfo]:
    """Return what OpenCode of that version has said."""
    return msgspec.json.decode((DATA / f"{version}.json").read_bytes(), type=list[wire.AgentInfo])


def named(version: str, default: str | None = None) -> dict[str, Agent]:
    found = agents_of(answer(version), wire.Config(model=default))
    return {agent.name: agent for agent in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_read_only_is_who_can_neither_edit_nor_run_commands(version: str) -> None:
    """Decided by the effective permissions: asking counts as able, and so does one command."""
    delegable = [agent for agent in named(version).values() if agent.delegable]
    assert {agent.name for agent in delegable} == DELEGABLE
    assert {agent.name for agent in delegable if agent.read_only} == READ_ONLY


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_is_the_agents_own_or_the_configured_one(version: str) -> None:
    """``provider/model-id``; None where OpenCode itself chooses."""
    assert named(version)["of-its-own-model"].model == "scripted/two"
    assert named(version, "scripted/one")["of-its-own-model"].model == "scripted/two"
    assert named(version, "scripted/one")["general"].model == "scripted/one"
    assert named(version)["general"].model is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_system_prompt_tells_whose_it_is(version: str) -> None:
    """By its beginning; agents without a prompt of their own cannot be told apart."""
    infos = answer(version)
    title = next(info for info in infos if info.name == "title")
    assert whose_prompt(infos, f"{title.prompt}\nToday is Monday.") is title
    found = whose_prompt(infos, "You are of your own model.\nToday is Monday.")
    assert found is not None
    assert found.name == "of-its-own-model"
    assert whose_prompt(infos, "You are opencode, an interactive CLI tool.") is None


def test_of_two_prompts_the_longer_one_counts() -> None:
    """An agent whose prompt begins like another's is not taken for it."""
    short = wire.AgentInfo("short", prompt="You help.")
    long = wire.AgentInfo("long", prompt="You help. You also write.")
    assert whose_prompt([long, short], "You help. You also write.\nToday") is long
    assert whose_prompt([long, short], "You help.\nToday") is short


@pytest.mark.parametrize(
    ("rules", "denied"),
    [
        ([], False),
        ([("*", "*", "deny")], True),
        ([("edit", "*", "deny")], True),
        ([("edit", "**", "deny")], True),
        ([("e*t", "*", "deny")], True),
        ([("edi?", "*", "deny")], True),
        ([("edit", "*.py", "deny")], False),
        ([("*", "*", "allow"), ("edit", "*", "deny")], True),
        ([("edit", "*", "deny"), ("*", "*", "allow")], False),
        ([("edit", "*", "deny"), ("edit", "*.md", "ask")], False),
        ([("edit", "*", "deny"), ("edit", "*.md", "allow"), ("edit", "*", "deny")], True),
        ([("edit", "*", "deny"), ("edit", "*.md", "deny")], True),
        ([("edit", "*", "deny"), ("bash", "*", "allow")], True),
        ([("EDIT", "*", "deny")], False),
        ([("ed.t", "*", "deny")], False),
    ],
)
def test_denied_means_for_every_pattern(rules: list[Rule], denied: bool) -> None:
    """The last rule that fits counts, and what is not clearly denied is not denied."""
    info = wire.AgentInfo("some", permission=[wire.PermissionRule(*rule) for rule in rules])
    assert is_denied(info.permission, "edit") is denied


@pytest.mark.parametrize(
    ("own", "session", "expected"),
    [
        ([("*", "*", "allow")], [], Leave()),
        ([("*", "*", "allow"), ("task", "writ*", "deny")], [], Leave(denied_by="task")),
        ([("*", "*", "allow"), ("task", "writ*", "deny")], [("task", "*", "allow")], Leave()),
        ([("*", "*", "allow")], [("?ask", "writer *", "deny")], Leave(denied_by="task")),
        ([("*", "*", "allow"), ("task", "other", "deny")], [], Leave()),
        ([("*", "*", "allow"), ("delegate", "*", "deny")], [], Leave(denied_by="delegate")),
        ([("*", "*", "allow"), ("delegate", "writer", "ask")], [], Leave(ask="delegate")),
        # Of two questions one is asked; of a question and a denial the denial counts.
        ([("*", "*", "ask")], [], Leave(ask="task", ask_to_edit=True)),
        ([], [], Leave(ask="task", ask_to_edit=True)),
        (
            [("*", "*", "ask"), ("delegate", "*", "deny")],
            [],
            Leave("delegate", "task", ask_to_edit=True),
        ),
        ([("*", "*", "allow"), ("edit", "*", "deny")], [], Leave(may_edit=False)),
    ],
)
def test_leave_is_what_task_would_get(
    own: list[Rule], session: list[Rule], expected: Leave
) -> None:
    """The agent's rules and then the session's; the last that fits the agent's name counts."""
    boss = wire.AgentInfo("boss", permission=[wire.PermissionRule(*rule) for rule in own])
    rules = [wire.PermissionRule(*rule) for rule in session]
    assert leave_of([boss], rules, "boss", "writer") == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_plan_mode_is_plan_as_long_as_it_may_not_edit(version: str) -> None:
    """Its exception for the files of plans does not end it, and a user's rule does."""
    infos = answer(version)
    assert leave_of(infos, [], "plan", "explore").planning
    assert not leave_of(infos, [], "build", "explore").planning
    free = [wire.PermissionRule("edit", "*", "allow")]
    assert not leave_of(infos, free, "plan", "explore").planning


OURS = (*NAMES.supervisors, *NAMES.children)

LISTED = ("read", "edit", "bash", "delegate", "notify_parent", "task", "deploy", "docs_find")


@pytest.mark.parametrize(
    ("rules", "safe", "given"),
    [
        ([("*", "*", "allow")], [], ["deploy", "docs_find", "a_shelf_*"]),
        ([], [], ["deploy", "docs_find", "a_shelf_*"]),
        ([("*", "*", "allow")], ["docs_*", "a_*"], ["deploy"]),
        ([("*", "*", "allow")], ["*"], []),
        ([("*", "*", "deny")], [], []),
        ([("*", "*", "deny"), ("deploy", "*", "ask")], [], ["deploy"]),
        ([("*", "*", "deny"), ("deploy", "*", "allow")], ["deploy"], []),
        ([("deploy", "main", "deny"), ("*_*", "*", "deny")], [], ["deploy"]),
        ([("a_*", "*", "deny"), ("d*", "*", "deny")], [], []),
        # A server's tools are not listed, so that each rule for some of them is looked at.
        ([("*", "*", "deny"), ("a_shelf_put", "*", "allow")], [], ["a_shelf_put"]),
        ([("*", "*", "deny"), ("a_shelf_put", "*", "allow")], ["a_shelf_put"], []),
        ([("*", "*", "deny"), ("a_sh*put", "*", "allow")], [], ["a_sh*put"]),
        ([("*", "*", "deny"), ("a_shelf_put", "*", "deny")], [], []),
        ([("*", "*", "deny"), ("a_shelf_*", "*", "allow")], ["a_shelf_get"], ["a_shelf_*"]),
        ([("*", "*", "deny"), ("a_shelf_*", "x", "deny")], [], []),
        ([("*", "*", "deny"), ("another_put", "*", "allow")], [], []),
    ],
)
def test_unknown_tools_are_given_unless_they_are_denied_or_safe(
    rules: list[Rule], safe: list[str], given: list[str]
) -> None:
    """None of OpenCode's own, and none of ours; what it lists by name, and servers by prefix."""
    unknown = UnknownTools.among(LISTED, ["a shelf"], [*safe, *OURS])
    assert list(unknown.given([wire.PermissionRule(*rule) for rule in rules])) == given


def test_a_tool_of_opencodes_own_that_was_replaced_is_unknown() -> None:
    """A custom tool may have the name of one of OpenCode's, which then stands there twice."""
    unknown = UnknownTools.among([*LISTED, "read", "delegate"], [], OURS)
    assert unknown.names == ("read", "deploy", "docs_find")


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_tools_alone_keep_an_agent_from_being_read_only(version: str) -> None:
    unknown = UnknownTools.among(LISTED, [], ["docs_*", *OURS])
    found = {one.name: one for one in agents_of(answer(version), wire.Config(), unknown)}
    assert not found["by-permission"].read_only
    assert found["by-permission"].unknown_tools == ("deploy",)
    assert found["build"].unknown_tools == ()
