"""The tools that a supervisor's model gets: their words, arguments and answers.

The definitions here are the one source: ``python -m background_agents.hosts.opencode.tools``
writes them to ``tools.json``, which the bridge reads, and a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import msgspec.inspect as mi

from background_agents.domain.errors import InvalidRequest
from background_agents.service import live, views
from background_agents.service.delegations import Delegations
from background_agents.service.requests import DelegateRequest

A = TypeVar("A", bound=msgspec.Struct)

TOOLS_FILE = Path(__file__).with_name("tools.json")


class DelegateArgs(msgspec.Struct):
    prompt: Annotated[
        str,
        msgspec.Meta(
            description="The whole task. The agent sees nothing of this conversation: name "
            "files, constraints and what to report."
        ),
    ]
    agent: Annotated[str, msgspec.Meta(description="Name of the agent that does it.")]
    timeout_minutes: Annotated[
        float | None,
        msgspec.Meta(description="Time limit, fractions allowed; 0 = none. Default 15."),
    ] = None
    model: Annotated[
        str | None,
        msgspec.Meta(description="provider/model-id for this task alone; rarely needed."),
    ] = None


class ReadArgs(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(description="Id of the delegation.")]
    offset: Annotated[
        int | None, msgspec.Meta(description="Character to go on from, as a long result says.")
    ] = None


class IdArgs(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(description="Id of the delegation.")]


class SteerArgs(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(description="Id of the delegation.")]
    message: Annotated[str, msgspec.Meta(description="What the agent is to do differently.")]


class NoArgs(msgspec.Struct):
    pass


class Answer(msgspec.Struct):
    """What OpenCode shows of a call: a title for the human, the output for the model."""

    title: str
    output: str
    metadata: dict[str, object] = {}


async def _delegate(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegate", raw, DelegateArgs)
    request = DelegateRequest(args.prompt, args.agent, args.timeout_minutes, args.model)
    delegation = await service.delegate(session, request)
    about: dict[str, object] = {"id": delegation.id}
    return Answer(views.session_title(delegation), views.delegated(delegation), about)


async def _read(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_read", raw, ReadArgs)
    reading = await service.read(session, args.id, args.offset)
    return Answer(reading.delegation.title, views.reading(reading))


async def _list(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    _arguments("delegation_list", raw, NoArgs)
    listing = await service.list(session)
    return Answer(f"{listing.total} delegations", views.listing(listing))


async def _status(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    _arguments("delegation_status", raw, NoArgs)
    report = await service.status(session)
    return Answer(f"{len(report.live)} active", live.status(report))


async def _peek(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_peek", raw, IdArgs)
    found = await service.peek(session, args.id)
    if isinstance(found, live.Live):
        return Answer(found.delegation.title, live.peek(found))
    return Answer(found.title, views.ended(found))


async def _stop(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_stop", raw, IdArgs)
    delegation = await service.stop(session, args.id)
    return Answer(delegation.title, views.stopped(delegation))


async def _steer(service: Delegations, session: str, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_steer", raw, SteerArgs)
    delegation = await service.steer(session, args.id, args.message)
    return Answer(delegation.title, views.steered(delegation))


@dataclass(frozen=True)
class Tool:
    """A tool: what the model is told, and what runs."""

    description: str
    args: type[msgspec.Struct]
    run: Callable[[Delegations, str, msgspec.Raw], Awaitable[Answer]]


TOOLS: Mapping[str, Tool] = {
    "delegate": Tool(
        "Hand a self-contained task to a background agent and go on working at once. Returns "
        "an id. You are notified when the task has ended; then call delegation_read(id). "
        "Several may run at the same time.",
        DelegateArgs,
        _delegate,
    ),
    "delegation_read": Tool(
        "Read the whole result of a delegation that has ended. Works also after compaction "
        "and restarts.",
        ReadArgs,
        _read,
    ),
    "delegation_list": Tool(
        "List the delegations of this session, newest first, with their state. Not for "
        "waiting: you are notified.",
        NoArgs,
        _list,
    ),
    "delegation_status": Tool(
        "See how the running delegations are doing: time, tool calls, tokens, last activity. "
        "For a look now and then; you are notified of the end.",
        NoArgs,
        _status,
    ),
    "delegation_peek": Tool(
        "Look at what a running delegation has written and done so far, the newest part of it.",
        IdArgs,
        _peek,
    ),
    "delegation_steer": Tool(
        "Give a running delegation an instruction. It is sent at once and taken up at the "
        "agent's next step; delegation_status shows when.",
        SteerArgs,
        _steer,
    ),
    "delegation_stop": Tool(
        "Stop a running delegation. What it has written so far is kept.",
        IdArgs,
        _stop,
    ),
}


async def run_tool(service: Delegations, session: str, tool: str, arguments: msgspec.Raw) -> Answer:
    """Run a tool for a session.

    Raises:
        InvalidRequest: there is no such tool, or it cannot do what was asked.
    """
    if tool not in TOOLS:
        raise InvalidRequest(f"There is no tool {tool!r}; the plugin file is of another version.")
    return await TOOLS[tool].run(service, session, arguments)


def definitions() -> dict[str, dict[str, object]]:
    """Return every tool's description and JSON Schema, as the bridge needs them."""
    return {
        name: {"description": tool.description, "schema": _schema(tool.args)}
        for name, tool in TOOLS.items()
    }


def _arguments(tool: str, raw: msgspec.Raw, kind: type[A]) -> A:
    try:
        # Models write numbers as strings now and then, and mean the number.
        return msgspec.json.decode(raw, type=kind, strict=False)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{tool} was called with wrong arguments: {error}.") from error


def _schema(args: type[msgspec.Struct]) -> dict[str, object]:
    """Return a plain JSON Schema; optional arguments are left out of ``required``."""
    properties: dict[str, object] = {}
    required = []
    for field in msgspec.structs.fields(args):
        properties[field.name] = _property(mi.type_info(field.type))
        if field.required:
            required.append(field.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_JSON_TYPES: Mapping[type[mi.Type], str] = {
    mi.StrType: "string",
    mi.FloatType: "number",
    mi.IntType: "integer",
}


def _property(kind: mi.Type) -> dict[str, object]:
    """Return the schema of one argument; that it may be null is said by leaving it out."""
    if isinstance(kind, mi.Metadata):
        described = dict(kind.extra_json_schema or {})
        return {**_property(kind.type), **described}
    if isinstance(kind, mi.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, mi.NoneType))
    return {"type": _JSON_TYPES[type(kind)]}


if __name__ == "__main__":
    TOOLS_FILE.write_text(json.dumps(definitions(), indent=2) + "\n", "utf-8")
