"""The tools that a supervisor's model gets: their words, arguments and answers.

The definitions here are the one source: ``python -m background_agents.hosts.opencode.tools``
writes them to ``tools.json``, which the bridge reads, and a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import msgspec.inspect as mi

from background_agents.domain.errors import InvalidRequest, LeaveNeeded, quote
from background_agents.domain.order import Order
from background_agents.domain.text import title_of
from background_agents.service import checks
from background_agents.service.delegations import Delegations
from background_agents.views import errors, live
from background_agents.views import model as for_model

A = TypeVar("A", bound=msgspec.Struct)

TOOLS_FILE = Path(__file__).with_name("tools.json")

ANSWER_LIMIT = timedelta(seconds=60)
"""A service that answers takes milliseconds, and a stop some seconds; beyond this it hangs, and
the model should hear so rather than wait."""


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


class WaitArgs(msgspec.Struct):
    ids: Annotated[
        list[str] | None, msgspec.Meta(description="Ids to wait for; all that run by default.")
    ] = None
    timeout_seconds: Annotated[
        float | None, msgspec.Meta(description="At most 600. Default 60.")
    ] = None
    mode: Annotated[str | None, msgspec.Meta(description="any or all. Default all.")] = None


class AnswerArgs(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(description="Id of the delegation.")]
    reply: Annotated[
        str,
        msgspec.Meta(description='The answer to a question; "reject: why" for a permission.'),
    ]


class NotifyArgs(msgspec.Struct):
    message: Annotated[str, msgspec.Meta(description="The blocker or the decision, in full.")]


class NoArgs(msgspec.Struct):
    pass


class Permission(msgspec.Struct):
    """What OpenCode asks its user for, in its own dialogue and by its own rules."""

    permission: str
    patterns: list[str]
    always: list[str]
    """What "always" allows from then on."""
    metadata: dict[str, object]


class Answer(msgspec.Struct):
    """What OpenCode shows of a call: a title for the human, the output for the model."""

    title: str
    output: str
    metadata: dict[str, object] = {}
    ask: Permission | None = None
    """What the human is to be asked for; then the call is to be made again. The output is for an
    OpenCode that cannot ask."""


@dataclass(frozen=True)
class Caller:
    """Whose model calls a tool."""

    session: str
    message: str = ""
    """The message of which the call is a part; what came later the model has not seen."""
    agent: str = ""
    granted: str = ""
    """The permission that the human was asked for meanwhile, and gave."""


async def _delegate(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    order = _arguments("delegate", raw, Order)
    try:
        delegation = await service.delegate(
            caller.session, order, by=caller.agent, granted=caller.granted
        )
    except LeaveNeeded as needed:
        return Answer("", errors.for_model(needed), ask=_permission(needed, order.prompt))
    about: dict[str, object] = {"id": delegation.id}
    answer = for_model.delegated(delegation, ends_with_turn=service.ends_with_turn)
    return Answer(for_model.session_title(delegation), answer, about)


def _permission(needed: LeaveNeeded, prompt: str) -> Permission:
    # Named and shaped as the native tool does it, so that the dialogue shows the same.
    about: dict[str, object] = {"subagent_type": needed.agent, "description": title_of(prompt)}
    return Permission(needed.permission, [needed.agent], ["*"], about)


async def _read(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_read", raw, ReadArgs)
    reading = await service.read(caller.session, args.id, args.offset)
    return Answer(reading.delegation.title, for_model.reading(reading))


async def _list(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    _arguments("delegation_list", raw, NoArgs)
    listing = await service.list(caller.session)
    return Answer(f"{listing.total} delegations", for_model.listing(listing))


async def _status(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    _arguments("delegation_status", raw, NoArgs)
    report = await service.status(caller.session)
    return Answer(f"{len(report.live)} active", live.status(report))


async def _peek(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_peek", raw, IdArgs)
    found = await service.peek(caller.session, args.id)
    if isinstance(found, live.Live):
        return Answer(found.delegation.title, live.peek(found))
    return Answer(found.title, for_model.ended(found))


async def _stop(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_stop", raw, IdArgs)
    delegation = await service.stop(caller.session, args.id)
    return Answer(delegation.title, for_model.stopped(delegation))


async def _steer(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_steer", raw, SteerArgs)
    delegation = await service.steer(caller.session, args.id, args.message)
    return Answer(delegation.title, for_model.steered(delegation))


async def _wait(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_wait", raw, WaitArgs)
    waited = await service.wait(
        caller.session,
        args.ids or None,
        args.timeout_seconds,
        args.mode,
        since=caller.message or None,
    )
    return Answer(f"{len(waited.ended)} ended", for_model.waited(waited))


async def _answer(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("delegation_answer", raw, AnswerArgs)
    since = caller.message or None
    answered = await service.answer(caller.session, args.id, args.reply, since=since)
    return Answer(answered.delegation.title, for_model.answered(answered))


async def _notify(service: Delegations, caller: Caller, raw: msgspec.Raw) -> Answer:
    args = _arguments("notify_parent", raw, NotifyArgs)
    delegation = await service.notify(caller.session, args.message)
    title = "Kept for the supervisor" if delegation.kept else "Told the supervisor"
    return Answer(title, for_model.notified(delegation))


@dataclass(frozen=True)
class Tool:
    """A tool: what the model is told, and what runs."""

    description: str
    args: type[msgspec.Struct]
    run: Callable[[Delegations, Caller, msgspec.Raw], Awaitable[Answer]]
    children_only: bool = False
    """Only background agents get it."""
    limit: timedelta = ANSWER_LIMIT


TOOLS: Mapping[str, Tool] = {
    "delegate": Tool(
        "Hand a self-contained task to a background agent and go on working at once. Returns "
        "an id. You are notified when the task has ended; then call delegation_read(id). "
        "Several may run at the same time.",
        Order,
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
    "delegation_answer": Tool(
        "Answer the question that a delegation waits for, or refuse its permission; the oldest "
        "first. Granting one is for your human, unless the request says that you may.",
        AnswerArgs,
        _answer,
    ),
    "delegation_wait": Tool(
        "Wait for delegations, only if nothing else can be done. Better end your turn: you are "
        "woken.",
        WaitArgs,
        _wait,
        limit=timedelta(seconds=checks.MAX_WAIT_S) + ANSWER_LIMIT,
    ),
    "notify_parent": Tool(
        "Tell your supervisor of a blocker or a decision that it must make, and go on. It may "
        "answer with an instruction. Not for progress: each message costs it a turn, and many are "
        "told later, as one.",
        NotifyArgs,
        _notify,
        children_only=True,
    ),
}


async def run_tool(
    service: Delegations, caller: Caller, tool: str, arguments: msgspec.Raw
) -> Answer:
    """Run a tool for a model.

    Raises:
        InvalidRequest: there is no such tool, or it cannot do what was asked.
    """
    if tool not in TOOLS:
        raise InvalidRequest(
            f"There is no tool {quote(tool)}; the plugin file is of another version."
        )
    return await TOOLS[tool].run(service, caller, arguments)


def definitions() -> dict[str, dict[str, object]]:
    """Return every tool's description and JSON Schema, as the bridge needs them."""
    return {
        name: {
            "description": tool.description,
            "schema": _schema(tool.args),
            "children_only": tool.children_only,
            "limit_ms": round(tool.limit.total_seconds() * 1000),
        }
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
    if isinstance(kind, mi.ListType):
        return {"type": "array", "items": _property(kind.item_type)}
    return {"type": _JSON_TYPES[type(kind)]}


if __name__ == "__main__":
    TOOLS_FILE.write_text(json.dumps(definitions(), indent=2) + "\n", "utf-8")
