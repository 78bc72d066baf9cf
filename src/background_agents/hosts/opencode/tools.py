"""The tools that a supervisor's model gets: their words, arguments and answers.

The definitions here are the one source: ``python -m background_agents.hosts.opencode.tools``
writes them to ``tools.json``, which the bridge reads, and a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from background_agents.domain.errors import InvalidRequest, LeaveNeeded, LeaveToEdit, quote
from background_agents.domain.order import Order
from background_agents.domain.text import title_of
from background_agents.service import checks
from background_agents.service.context import Tools
from background_agents.service.delegations import Delegations
from background_agents.views import changes, errors, live
from background_agents.views import model as for_model

Run = TypeVar("Run", bound=Callable[..., Awaitable["Answer"]])

TOOLS_FILE = Path(__file__).with_name("tools.json")

ANSWER_LIMIT = timedelta(seconds=60)
"""A service that answers takes milliseconds, and a stop some seconds; beyond this it hangs, and
the model should hear so rather than wait."""


class NoArgs(msgspec.Struct):
    pass


class IdArgs(msgspec.Struct):
    id: str
    """Of a delegation; its name tells a model enough."""


class ReadArgs(IdArgs):
    offset: Annotated[
        int | None, Meta(description="Character to go on from, as a long result says.")
    ] = None


class DiffArgs(IdArgs):
    path: Annotated[str | None, Meta(description="Only this file or folder.")] = None


class ApplyArgs(IdArgs):
    paths: Annotated[
        list[str] | None, Meta(description="Files or folders of it; everything by default.")
    ] = None


class SteerArgs(IdArgs):
    message: Annotated[str, Meta(description="What the agent is to do differently.")]


class AnswerArgs(IdArgs):
    reply: Annotated[
        str, Meta(description='The answer to a question; "reject: why" for a permission.')
    ]


class WaitArgs(msgspec.Struct):
    ids: Annotated[
        list[str] | None, Meta(description="Ids to wait for; all that run by default.")
    ] = None
    timeout_seconds: Annotated[float | None, Meta(description="At most 600. Default 60.")] = None
    mode: Annotated[str | None, Meta(description="any or all. Default all.")] = None


class NotifyArgs(msgspec.Struct):
    message: Annotated[str, Meta(description="The blocker or the decision, in full.")]


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


class Call(msgspec.Struct):
    """A model's call of a tool, as the bridge hands it over."""

    instance: int
    tool: str
    session: str
    message: str = ""
    """The message of which the call is a part; what came later the model has not seen."""
    agent: str = ""
    granted: str = ""
    """The permission that OpenCode's user was asked for because of an earlier ``Answer.ask``."""
    args: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True)
class Tool:
    """A tool: what the model is told, and what runs."""

    description: str
    args: type[msgspec.Struct]
    run: Callable[[Delegations, Call, Any], Awaitable[Answer]]
    children_only: bool
    """Only background agents get it."""
    limit: timedelta


TOOLS: dict[str, Tool] = {}
"""By name, in the order in which a model is told of them."""


def _tool(
    description: str, *, children_only: bool = False, limit: timedelta = ANSWER_LIMIT
) -> Callable[[Run], Run]:
    """Make a tool of a function: it has its name, and what the function takes as ``args``."""

    def add(run: Run) -> Run:
        args = get_type_hints(run)["args"]
        TOOLS[run.__name__] = Tool(description, args, run, children_only, limit)
        return run

    return add


@_tool(
    "Hand a self-contained task to a background agent and go on working at once. Returns an id. "
    "You are notified when the task has ended; then call delegation_read(id). Several may run at "
    "the same time."
)
async def delegate(service: Delegations, call: Call, args: Order) -> Answer:
    try:
        delegation = await service.delegate(call.session, args, by=call.agent, granted=call.granted)
    except LeaveNeeded as needed:
        return Answer(
            "", errors.for_model(needed), ask=_permission(needed, args.prompt or str(args.retry_id))
        )
    about: dict[str, object] = {"id": delegation.id}
    answer = for_model.delegated(delegation, ends_with_turn=service.ends_with_turn)
    return Answer(for_model.session_title(delegation), answer, about)


def _permission(needed: LeaveNeeded, prompt: str) -> Permission:
    # Named and shaped as the native tool does it, so that the dialogue shows the same.
    about: dict[str, object] = {"subagent_type": needed.agent, "description": title_of(prompt)}
    return Permission(needed.permission, [needed.agent], ["*"], about)


@_tool("Read the whole result of a delegation that has ended, also after compaction and restarts.")
async def delegation_read(service: Delegations, call: Call, args: ReadArgs) -> Answer:
    reading = await service.read(call.session, args.id, args.offset)
    return Answer(reading.delegation.title, for_model.reading(reading))


@_tool("List the delegations of this session, newest first. Not for waiting: you are notified.")
async def delegation_list(service: Delegations, call: Call, args: NoArgs) -> Answer:
    listing = await service.list(call.session)
    return Answer(f"{listing.total} delegations", for_model.listing(listing))


@_tool(
    "See how running delegations are doing. For a look now and then; you are notified of the end."
)
async def delegation_status(service: Delegations, call: Call, args: NoArgs) -> Answer:
    report = await service.status(call.session)
    return Answer(f"{len(report.live)} active", live.status(report))


@_tool("Look at the newest part of what a running delegation has written and done.")
async def delegation_peek(service: Delegations, call: Call, args: IdArgs) -> Answer:
    found = await service.peek(call.session, args.id)
    if isinstance(found, live.Live):
        return Answer(found.delegation.title, live.peek(found))
    return Answer(found.title, for_model.ended(found))


@_tool(
    "See the files that a delegation has changed, how sure that is, and their diff; also while it "
    "runs. Undo is for your human: `bga undo ID`."
)
async def delegation_diff(service: Delegations, call: Call, args: DiffArgs) -> Answer:
    diff = await service.diff(call.session, args.id, args.path or "")
    return Answer(diff.delegation.title, diff.text)


@_tool(
    "Give a running delegation an instruction, for the agent's next step; delegation_status shows "
    "when it is taken up."
)
async def delegation_steer(service: Delegations, call: Call, args: SteerArgs) -> Answer:
    delegation = await service.steer(call.session, args.id, args.message)
    return Answer(delegation.title, for_model.steered(delegation))


@_tool("Stop a running delegation. What it has written so far is kept.")
async def delegation_stop(service: Delegations, call: Call, args: IdArgs) -> Answer:
    delegation = await service.stop(call.session, args.id)
    return Answer(delegation.title, for_model.stopped(delegation))


@_tool(
    "Merge what an isolated delegation has changed into the project. If something does not fit, "
    "nothing is written."
)
async def delegation_apply(service: Delegations, call: Call, args: ApplyArgs) -> Answer:
    by, paths = call.agent, args.paths or ()
    try:
        done = await service.apply(call.session, args.id, paths, by=by, granted=call.granted)
    except LeaveToEdit as needed:
        asked = list(paths) or [args.id]
        about: dict[str, object] = {"filepath": ", ".join(asked), "diff": ""}
        permission = Permission(needed.permission, asked, ["*"], about)
        return Answer("", errors.for_model(needed), ask=permission)
    return Answer(done.delegation, changes.applied(done))


@_tool(
    "Answer the oldest question that a delegation waits for, or refuse its permission. Granting is "
    "for your human, unless the request says that you may."
)
async def delegation_answer(service: Delegations, call: Call, args: AnswerArgs) -> Answer:
    since = call.message or None
    answered = await service.answer(call.session, args.id, args.reply, since=since)
    return Answer(answered.delegation.title, for_model.answered(answered))


@_tool(
    "Wait for delegations, only if nothing else can be done. Better end your turn: you are woken.",
    limit=timedelta(seconds=checks.MAX_WAIT_S) + ANSWER_LIMIT,
)
async def delegation_wait(service: Delegations, call: Call, args: WaitArgs) -> Answer:
    since = call.message or None
    waited = await service.wait(
        call.session, args.ids or None, args.timeout_seconds, args.mode, since=since
    )
    return Answer(f"{len(waited.ended)} ended", for_model.waited(waited))


@_tool(
    "Tell your supervisor of a blocker or a decision that it must make, and go on. It may answer "
    "with an instruction. Not for progress: each message costs it a turn, and many are told "
    "later, as one.",
    children_only=True,
)
async def notify_parent(service: Delegations, call: Call, args: NotifyArgs) -> Answer:
    delegation = await service.notify(call.session, args.message)
    title = "Kept for the supervisor" if delegation.kept else "Told the supervisor"
    return Answer(title, for_model.notified(delegation))


NAMES = Tools(
    supervisors=tuple(name for name, tool in TOOLS.items() if not tool.children_only),
    children=tuple(name for name, tool in TOOLS.items() if tool.children_only),
)
"""Whoever lets agents have tools, or keeps them from it, is told these."""


async def run_tool(service: Delegations, call: Call) -> Answer:
    """Run a tool for a model.

    Raises:
        InvalidRequest: there is no such tool, or it cannot do what was asked.
    """
    if (tool := TOOLS.get(call.tool)) is None:
        raise InvalidRequest(
            f"There is no tool {quote(call.tool)}; the plugin file is of another version."
        )
    try:
        # Models write numbers as strings now and then, and mean the number.
        args = msgspec.json.decode(call.args, type=tool.args, strict=False)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{call.tool} was called with wrong arguments: {error}.") from error
    return await tool.run(service, call, args)


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


def _schema(args: type[msgspec.Struct]) -> dict[str, object]:
    """Return a plain JSON Schema; optional arguments are left out of ``required``."""
    told = msgspec.json.schema(args)["$defs"][args.__name__]
    return {
        "type": "object",
        "properties": {name: _plain(about) for name, about in told["properties"].items()},
        "required": told.get("required", []),
        "additionalProperties": False,
    }


def _plain(about: dict[str, Any]) -> dict[str, object]:
    """Return the schema of one argument; that it may be null is said by leaving it out."""
    (kind,) = (one for one in about.get("anyOf", [about]) if one["type"] != "null")
    said = {**kind, **about}
    return {key: said[key] for key in ("type", "items", "description") if key in said}


if __name__ == "__main__":
    TOOLS_FILE.write_text(json.dumps(definitions(), indent=2) + "\n", "utf-8")
