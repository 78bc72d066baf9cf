"""The client for OpenCode 2."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec

from lab.harness.client import events as ev
from lab.harness.client.base import (
    CALL_TIMEOUT_S,
    LOOK_AGAIN_S,
    NotOnThisLine,
    OpenCodeClient,
    authorization,
)
from lab.harness.client.events import Fact, Seen, now_s
from lab.harness.client.messages import Info, Part, StoredMessage

PLUGIN = "background-agents"
"""Our plugin's id."""


PAGE = 200
"""Messages in one answer, at most."""


class _Id(msgspec.Struct):
    id: str


class _Ids(msgspec.Struct):
    data: list[_Id]


class _One(msgspec.Struct):
    data: _Id


class _Model(msgspec.Struct):
    provider: str = msgspec.field(name="providerID")
    id: str = ""
    variant: str | None = None


class _Chosen(msgspec.Struct):
    agent: str | None = None
    model: _Model | None = None


class _Session(msgspec.Struct):
    data: _Chosen


class _Models(msgspec.Struct):
    data: list[_Model]


class _Error(msgspec.Struct):
    type: str
    message: str


class _Content(msgspec.Struct):
    """What a tool has answered with."""

    type: str
    text: str = ""


class _State(msgspec.Struct):
    status: str
    input: dict[str, object] | str = {}
    content: list[_Content] = []
    error: _Error | None = None


class _Time(msgspec.Struct):
    ran: float = 0.0
    completed: float = 0.0


class _Part(msgspec.Struct):
    type: str
    time: _Time = msgspec.field(default_factory=_Time)
    id: str = ""
    text: str = ""
    name: str = ""
    state: msgspec.Raw = msgspec.Raw()
    """Of a tool; a text has another kind of state."""

    def read(self) -> Part:
        if self.type != "tool":
            return Part(self.id, self.type, self.text)
        state = msgspec.json.decode(self.state, type=_State)
        given = state.input if isinstance(state.input, dict) else {}
        error = state.error.message if state.error else ""
        took_ms = max(0.0, self.time.completed - self.time.ran)
        return Part(
            *(self.id, "tool", "", False, self.name, state.status),
            *(_text(state.content), error, given, took_ms),
        )


class _Message(msgspec.Struct):
    id: str
    type: str
    text: str = ""
    agent: str | None = None
    model: _Model | None = None
    content: list[_Part] = []
    finish: str | None = None
    error: _Error | None = None


class _Cursor(msgspec.Struct):
    next: str | None = None


class _Messages(msgspec.Struct):
    data: list[_Message]
    cursor: _Cursor = msgspec.field(default_factory=_Cursor)


class _Said(msgspec.Struct):
    text: str
    description: str | None = None


class _Input(msgspec.Struct):
    type: str
    id: str = ""
    data: _Said = msgspec.field(default_factory=lambda: _Said(""))


class _Pending(msgspec.Struct):
    data: list[_Input]


class _Request(msgspec.Struct):
    id: str
    session: str = msgspec.field(name="sessionID")
    action: str = ""
    resources: tuple[str, ...] = ()


class _Requests(msgspec.Struct):
    data: list[_Request]


class _Active(msgspec.Struct):
    data: dict[str, object]


class _Place(msgspec.Struct):
    directory: str


class _Event(msgspec.Struct):
    type: str
    data: dict[str, object] = {}
    created: float = 0.0
    """In milliseconds."""
    location: _Place | None = None


@dataclass
class _Call:
    """A tool call that has begun."""

    part: str
    tool: str
    began_ms: float
    input: dict[str, object] = field(default_factory=dict)


class ClientTwo(OpenCodeClient):
    """Speaks with OpenCode 2, whose sessions keep agent and model until another is chosen."""

    event_path = "/api/event"

    def __init__(self, base_url: str, directory: Path, password: str | None) -> None:
        super().__init__(base_url, directory, authorization(password))
        self._here = f"location[directory]={quote(str(directory), safe='')}"

    def reader(self) -> ev.Reader:
        return _Reader(self.directory).read

    async def load(self) -> None:
        # While it loads a project it answers with empty lists, and tells nobody when it has.
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while True:
                if await self._ids("agent"):
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    async def has_plugin(self) -> bool:
        await self.load()
        return PLUGIN in await self._ids("plugin")

    async def _ids(self, what: str) -> list[str]:
        raw = await self.request("GET", f"/api/{what}?{self._here}")
        return [one.id for one in msgspec.json.decode(raw, type=_Ids).data]

    async def models(self) -> set[str]:
        raw = await self.request("GET", f"/api/model?{self._here}")
        found = msgspec.json.decode(raw, type=_Models).data
        return {f"{one.provider}/{one.id}" for one in found}

    async def reload(self) -> None:
        await self.request("DELETE", f"/api/debug/location?{self._here}")

    async def create_session(
        self,
        title: str | None = "A session",
        *,
        parent: str | None = None,
        permission: Sequence[Mapping[str, str]] = (),
    ) -> str:
        if parent is not None or permission:
            raise NotOnThisLine("On OpenCode 2 nobody gives a session a parent, or permissions.")
        body = {"location": {"directory": str(self.directory)}}
        session = _id(await self.request("POST", "/api/session", body))
        if title is not None:
            await self.request("POST", f"/api/session/{session}/rename", {"title": title})
        return session

    async def prompt(
        self,
        session: str,
        text: str,
        *,
        agent: str | None = None,
        model: str | None = None,
        variant: str | None = None,
    ) -> None:
        if agent is not None:
            await self.request("POST", f"/api/session/{session}/agent", {"agent": agent})
        if model is not None:
            provider, _, name = model.partition("/")
            chosen = {"providerID": provider, "id": name}
            if variant is not None:
                chosen["variant"] = variant
            await self.request("POST", f"/api/session/{session}/model", {"model": chosen})
        await self.request("POST", f"/api/session/{session}/prompt", {"text": text})

    async def messages(self, session: str) -> list[StoredMessage]:
        path, query = f"/api/session/{session}/message?limit={PAGE}", "&order=asc"
        found: list[_Message] = []
        while True:
            raw = await self.request("GET", path + query)
            page = msgspec.json.decode(raw, type=_Messages)
            found += page.data
            if len(page.data) < PAGE or page.cursor.next is None:
                return _conversation(found)
            query = f"&cursor={quote(page.cursor.next, safe='')}"

    async def chosen(self, session: str) -> tuple[str | None, str | None]:
        """Return the agent and the model that a session is set to."""
        raw = await self.request("GET", f"/api/session/{session}")
        info = msgspec.json.decode(raw, type=_Session).data
        return info.agent, f"{info.model.provider}/{info.model.id}" if info.model else None

    async def pending(self, session: str) -> list[StoredMessage]:
        raw = await self.request("GET", f"/api/session/{session}/pending")
        found = msgspec.json.decode(raw, type=_Pending).data
        texts = [_Message(one.id, one.type, one.data.text) for one in found if one.data.text]
        return _conversation(texts)

    async def children(self, session: str) -> list[str]:
        raw = await self.request("GET", f"/api/session?parentID={session}")
        return [one.id for one in msgspec.json.decode(raw, type=_Ids).data]

    async def busy(self) -> set[str]:
        raw = await self.request("GET", "/api/session/active")
        return set(msgspec.json.decode(raw, type=_Active).data)

    async def permissions(self) -> set[str]:
        raw = await self.request("GET", f"/api/permission/request?{self._here}")
        return {one.session for one in msgspec.json.decode(raw, type=_Requests).data}

    async def answer(self, session: str, request: str, reply: str) -> None:
        path = f"/api/session/{session}/permission/{request}/reply"
        await self.request("POST", path, {"reply": reply})

    async def abort(self, session: str) -> None:
        await self.request("POST", f"/api/session/{session}/interrupt")

    async def undo(self, session: str, message: str) -> None:
        body = {"messageID": message}
        await self.request("POST", f"/api/session/{session}/revert/stage", body)

    async def redo(self, session: str) -> None:
        await self.request("POST", f"/api/session/{session}/revert/clear")

    async def delete_session(self, session: str) -> None:
        await self.request("DELETE", f"/api/session/{session}")

    async def fork(self, session: str) -> str:
        return _id(await self.request("POST", f"/api/session/{session}/fork", {}))

    async def compact(self, session: str) -> None:
        async with self.events() as events:
            await self.request("POST", f"/api/session/{session}/compact", {})
            await events.wait_for(
                lambda seen: (
                    seen.session == session
                    and seen.type in ("session.compaction.ended", "session.compaction.failed")
                )
            )

    async def shell(self, session: str, command: str) -> None:
        async with self.events() as events:
            await self.request("POST", f"/api/session/{session}/shell", {"command": command})
            await events.wait_for(
                lambda seen: seen.session == session and seen.type == "session.shell.ended"
            )

    async def command(self, session: str, name: str, arguments: str) -> None:
        body = {"command": name, "arguments": arguments}
        await self.request("POST", f"/api/session/{session}/command", body)


def _id(raw: bytes) -> str:
    return msgspec.json.decode(raw, type=_One).data.id


def _text(content: Sequence[_Content]) -> str:
    return "\n".join(one.text for one in content if one.type == "text")


ROLES = {"user": "user", "synthetic": "user", "assistant": "assistant"}
"""What OpenCode 1 calls who speaks; its other kinds of messages have no such name there."""


def _conversation(found: Sequence[_Message]) -> list[StoredMessage]:
    """Return messages in the terms of OpenCode 1, in which an answer names what it answers."""
    newest, messages = None, []
    for one in found:
        role = ROLES.get(one.type, one.type)
        spoken = role == "assistant"
        messages.append(StoredMessage(_info(one, role, newest if spoken else None), _parts(one)))
        newest = one.id if role == "user" else newest
    return messages


def _info(message: _Message, role: str, parent: str | None) -> Info:
    model = message.model
    return Info(
        message.id,
        role,
        parent,
        message.agent,
        f"{model.provider}/{model.id}" if model else None,
        model.variant if model else None,
        message.finish,
        f"{message.error.type}: {message.error.message}" if message.error else None,
    )


def _parts(message: _Message) -> list[Part]:
    if not message.text:
        return [part.read() for part in message.content]
    return [Part(message.id, "text", message.text, synthetic=message.type == "synthetic")]


class _Reader:
    """Reads a stream's events; remembers what later ones only refer to."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._calls: dict[str, _Call] = {}
        self._taken_up: dict[str, set[str]] = {}
        """By session, what was taken up and no turn has ended for."""

    def read(self, raw: bytes) -> Seen | None:
        event = msgspec.json.decode(raw, type=_Event)
        if event.location is not None and event.location.directory != self._directory:
            return None
        session = event.data.get("sessionID")
        facts = self._facts(event, str(session))
        named = str(session) if session is not None else None
        return Seen(now_s(), event.type, event.data, named, tuple(facts))

    def _facts(self, event: _Event, session: str) -> list[Fact]:
        about = event.data
        match event.type:
            case "session.execution.started":
                return [ev.Busy(session)]
            case "session.execution.succeeded":
                return [self._answered(session), ev.Idle(session)]
            case "session.execution.failed":
                return [ev.Failed(session, _why(about)), ev.Idle(session)]
            case "session.execution.interrupted":
                return [ev.Idle(session)]
            case "session.text.delta":
                part = f"{about['assistantMessageID']}/{about['ordinal']}"
                return [ev.TextGrew(session, part, str(about["delta"]))]
            case "session.text.ended":
                return [ev.TextEnded(session, str(about["text"]))]
            case "session.renamed":
                return [ev.Named(session, str(about["title"]))]
            case "session.deleted":
                return [ev.Deleted(session, None)]
            case "session.retry.scheduled":
                attempt = msgspec.convert(about["attempt"], int)
                return [ev.Retrying(session, attempt, _why(about))]
            case "permission.asked":
                one = msgspec.convert(about, _Request)
                return [ev.Asked(session, one.id, one.action, one.resources)]
            case "permission.replied":
                return [ev.Settled(session)]
            case "session.input.admitted":
                return _stored(session, about)
            case "session.input.promoted":
                self._taken_up.setdefault(session, set()).add(str(about["inputID"]))
                return []
            case kind if kind.startswith("session.tool."):
                return self._of_tool(event, session)
            case _:
                return []

    def _answered(self, session: str) -> Fact:
        return ev.Answered(session, frozenset(self._taken_up.pop(session, set())))

    def _of_tool(self, event: _Event, session: str) -> list[Fact]:
        about = event.data
        id_ = f"{about['assistantMessageID']}/{about['callID']}"
        if event.type == "session.tool.input.started":
            part = f"{len(self._calls):08}"
            self._calls[id_] = _Call(part, str(about["name"]), event.created)
        call = self._calls.get(id_, _Call("", "", event.created))
        match event.type:
            case "session.tool.called":
                call.input, call.began_ms = msgspec.convert(about["input"], dict), event.created
                return [ev.ToolRuns(session, call.tool, call.input)]
            case "session.tool.success" | "session.tool.failed":
                failed = event.type == "session.tool.failed"
                content = msgspec.convert(about.get("content", []), list[_Content])
                output = _why(about) if failed else _text(content)
                took_ms = event.created - call.began_ms
                known = (session, call.part, call.tool, call.input)
                return [ev.ToolEnded(*known, output, failed, took_ms)]
            case _:
                return []


def _why(about: Mapping[str, object]) -> str:
    return msgspec.convert(about["error"], _Error).message


def _stored(session: str, about: Mapping[str, object]) -> list[Fact]:
    message = str(about["inputID"])
    one = msgspec.convert(about["input"], _Input)
    is_hidden = one.type == "synthetic"
    stored = ev.TextStored(session, message, message, one.data.text, is_hidden)
    shown = one.data.description
    return [stored, ev.Shown(session, shown)] if shown else [stored]
