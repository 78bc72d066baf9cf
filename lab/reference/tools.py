"""The page about the tools, made of their definitions in ``hosts.opencode.tools``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation
from background_agents.hosts.opencode.tools import TOOLS, Tool, definitions
from background_agents.service.checks import MAX_WAIT_S
from background_agents.views import model as for_model
from background_agents.views import rules
from lab.reference import markdown as md
from lab.reference import sample


def page() -> str:
    """Return the page."""
    return md.page("Tools", _HEAD, *map(_about, TOOLS), _AFTER, _rules())


_HEAD = """\
What a supervisor's model can call inside OpenCode, word for word as it is told. Each answer is
short text made for a model; the examples are made by the same functions that answer. Bad input
gets one sentence that says what to do, and changes nothing.
"""

_AFTER = f"""\
## Limits of answers

A result is read in pages that fit into one tool answer of OpenCode; the end of a page says how to
go on. Lists and looks are bounded too: what does not fit is counted, never cut in the middle of an
entry. A `delegation_wait` takes at most {MAX_WAIT_S:g} seconds.
"""


def _about(name: str) -> str:
    tool = TOOLS[name]
    parts = [f"## {name}", _whose(tool), f"> {tool.description}", _arguments(name)]
    if (answer := _answers().get(name)) is not None:
        parts += ["An answer:", md.code(answer, "markdown")]
    return "\n\n".join(part for part in parts if part)


def _whose(tool: Tool) -> str:
    return "For background agents alone; supervisors do not have it." if tool.children_only else ""


def _arguments(name: str) -> str:
    schema = definitions()[name]["schema"]
    assert isinstance(schema, dict)
    properties: Mapping[str, Mapping[str, object]] = schema["properties"]
    if not properties:
        return "It takes no arguments."
    rows = [
        [
            md.literal(argument),
            _type(about),
            "yes" if argument in schema["required"] else "no",
            str(about.get("description", "")),
        ]
        for argument, about in properties.items()
    ]
    return md.table(["argument", "type", "required", "what the model is told"], rows)


def _type(about: Mapping[str, object]) -> str:
    items = about.get("items")
    return f"list of {_type(items)}" if isinstance(items, dict) else str(about["type"])


def _answers() -> Mapping[str, str]:
    """Return an answer of each tool whose words are the same whatever an agent does."""
    running, ended = sample.running(), sample.completed()
    return {
        "delegate": for_model.delegated(running),
        "delegation_read": for_model.reading(_unfinished(running)),
        "delegation_list": for_model.listing(_listing(ended)),
        "delegation_steer": for_model.steered(running),
        "delegation_stop": for_model.stopped(sample.stopped()),
        "delegation_answer": for_model.answered(for_model.Answered(running, _ask())),
        "delegation_wait": for_model.waited(
            for_model.Waited([ended, running], [], timedelta(minutes=1), sample.NOW)
        ),
        "notify_parent": for_model.notified(running),
    }


def _unfinished(one: Delegation) -> for_model.Reading:
    return for_model.Reading(one, None, 0, Path(), sample.NOW)


def _listing(one: Delegation) -> for_model.Listing:
    return for_model.Listing([sample.line(one)], 1, Path(), sample.NOW)


def _ask() -> Ask:
    return sample.permission()


def _rules() -> str:
    supervisor = rules.supervisor(rules.TaskPolicy(strict=False, allowed=False))
    return "\n\n".join(
        [
            "## Rules in the system prompt",
            "A supervisor's model is told, as long as its agent is offered `delegate`:",
            md.code(supervisor, "markdown"),
            "A background agent is told:",
            md.code(rules.CHILD, "markdown"),
            "OpenCode's own calls for titles and compactions are told nothing.",
        ]
    )
