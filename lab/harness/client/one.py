"""The client for OpenCode 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from lab.harness.client import events as ev
from lab.harness.client.base import OpenCodeClient, authorization
from lab.harness.client.events import Fact, Seen, now_s
from lab.harness.client.messages import Info, Part, StoredMessage


class _Session(msgspec.Struct):
    id: str
    title: str = ""
    parent: str | None = msgspec.field(default=None, name="parentID")


class _Provider(msgspec.Struct):
    id: str
    models: dict[str, object] = {}


class _Providers(msgspec.Struct):
    providers: list[_Provider] = []


class _Status(msgspec.Struct):
    type: str
    attempt: int = 0
    message: str = ""

    def facts(self, session: str) -> list[Fact]:
        busy: list[Fact] = [] if self.type == "idle" else [ev.Busy(session)]
        return [*busy, ev.Retrying(session, self.attempt, self.message)] if self.attempt else busy


class _Request(msgspec.Struct):
    id: str
    session: str = msgspec.field(name="sessionID")
    permission: str = ""
    patterns: tuple[str, ...] = ()


class _Model(msgspec.Struct):
    provider: str = msgspec.field(name="providerID")
    model: str = msgspec.field(name="modelID")
    variant: str | None = None


class _Info(msgspec.Struct):
    """A message's head."""

    id: str
    role: str
    session: str = msgspec.field(name="sessionID")
    parent: str | None = msgspec.field(default=None, name="parentID")
    agent: str | None = None
    model: _Model | None = None
    """A prompt's; an answer has the next three in its place."""
    provider: str | None = msgspec.field(default=None, name="providerID")
    model_id: str | None = msgspec.field(default=None, name="modelID")
    variant: str | None = None
    finish: str | None = None
    error: dict[str, object] | None = None

    def read(self) -> Info:
        model = f"{self.provider}/{self.model_id}" if self.model_id else None
        if self.model is not None:
            model = f"{self.model.provider}/{self.model.model}"
        variant = self.model.variant if self.model is not None else self.variant
        error = str(self.error) if self.error else None
        return Info(self.id, self.role, self.parent, self.agent, model, variant, self.finish, error)


class _Time(msgspec.Struct):
    start: float = 0.0
    end: float = 0.0


class _State(msgspec.Struct):
    status: str
    time: _Time = msgspec.field(default_factory=_Time)
    input: dict[str, object] = {}
    output: str = ""
    error: str = ""


class _Part(msgspec.Struct):
    id: str
    type: str
    session: str = msgspec.field(default="", name="sessionID")
    message: str = msgspec.field(default="", name="messageID")
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    time: _Time = msgspec.field(default_factory=_Time)
    state: _State | None = None

    @property
    def took_ms(self) -> float:
        time = self.state.time if self.state else _Time()
        return max(0.0, time.end - time.start)

    def read(self) -> Part:
        state = self.state or _State("")
        return Part(
            *(self.id, self.type, self.text, self.synthetic, self.tool),
            *(state.status, state.output, state.error, state.input, self.took_ms),
        )


class _Message(msgspec.Struct):
    info: _Info
    parts: list[_Part]


class _Event(msgspec.Struct):
    type: str
    properties: dict[str, object] = {}


class ClientOne(OpenCodeClient):
    """Speaks with OpenCode 1."""

    event_path = "/event"

    def __init__(self, base_url: str, directory: Path, password: str | None) -> None:
        # It takes the header as a part of a URL.
        folder = {"x-opencode-directory": quote(str(directory))}
        super().__init__(base_url, directory, {**folder, **authorization(password)})

    def reader(self) -> ev.Reader:
        return _Reader().read

    async def load(self) -> None:
        await self.tool_ids()

    async def has_plugin(self) -> bool:
        return "delegate" in await self.tool_ids()

    async def tool_ids(self) -> list[str]:
        """Return the names of the tools that OpenCode has for this project."""
        raw = await self.request("GET", "/experimental/tool/ids")
        return msgspec.json.decode(raw, type=list[str])

    async def models(self) -> set[str]:
        raw = await self.request("GET", "/config/providers")
        found = msgspec.json.decode(raw, type=_Providers).providers
        return {f"{provider.id}/{name}" for provider in found for name in provider.models}

    async def reload(self) -> None:
        await self.request("POST", "/instance/dispose")

    async def create_session(
        self,
        title: str | None = "A session",
        *,
        parent: str | None = None,
        permission: Sequence[Mapping[str, str]] = (),
    ) -> str:
        given = {"title": title, "parentID": parent, "permission": list(permission)}
        body = {name: value for name, value in given.items() if value}
        return _id(await self.request("POST", "/session", body))

    async def prompt(
        self,
        session: str,
        text: str,
        *,
        agent: str | None = None,
        model: str | None = None,
        variant: str | None = None,
    ) -> None:
        body: dict[str, object] = {"parts": [{"type": "text", "text": text}]}
        if agent is not None:
            body["agent"] = agent
        if model is not None:
            provider, _, name = model.partition("/")
            body["model"] = {"providerID": provider, "modelID": name}
        if variant is not None:
            body["variant"] = variant
        await self.request("POST", f"/session/{session}/prompt_async", body)

    async def messages(self, session: str) -> list[StoredMessage]:
        raw = await self.request("GET", f"/session/{session}/message")
        return [
            StoredMessage(one.info.read(), [part.read() for part in one.parts])
            for one in msgspec.json.decode(raw, type=list[_Message])
        ]

    async def pending(self, session: str) -> list[StoredMessage]:
        return []  # What is not taken up stands among the messages.

    async def children(self, session: str) -> list[str]:
        raw = await self.request("GET", f"/session/{session}/children")
        return [child.id for child in msgspec.json.decode(raw, type=list[_Session])]

    async def busy(self) -> set[str]:
        raw = await self.request("GET", "/session/status")
        found = msgspec.json.decode(raw, type=dict[str, _Status])
        return {session for session, status in found.items() if status.type != "idle"}

    async def permissions(self) -> set[str]:
        raw = await self.request("GET", "/permission")
        return {one.session for one in msgspec.json.decode(raw, type=list[_Request])}

    async def answer(self, session: str, request: str, reply: str) -> None:
        await self.request("POST", f"/permission/{request}/reply", {"reply": reply})

    async def abort(self, session: str) -> None:
        await self.request("POST", f"/session/{session}/abort")

    async def undo(self, session: str, message: str) -> None:
        await self.request("POST", f"/session/{session}/revert", {"messageID": message})

    async def redo(self, session: str) -> None:
        await self.request("POST", f"/session/{session}/unrevert")

    async def delete_session(self, session: str) -> None:
        await self.request("DELETE", f"/session/{session}")

    async def fork(self, session: str) -> str:
        return _id(await self.request("POST", f"/session/{session}/fork", {}))

    async def compact(self, session: str) -> None:
        body = {"providerID": "scripted", "modelID": "one"}
        assert await self.request("POST", f"/session/{session}/summarize", body) == b"true"

    async def shell(self, session: str, command: str) -> None:
        body = {"agent": "build", "command": command}
        await self.request("POST", f"/session/{session}/shell", body)

    async def command(self, session: str, name: str, arguments: str) -> None:
        body = {"command": name, "arguments": arguments}
        await self.request("POST", f"/session/{session}/command", body)


def _id(raw: bytes) -> str:
    return msgspec.json.decode(raw, type=_Session).id


class _Reader:
    """Reads a stream's events; remembers who has said what, for an answer names one message."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[str]] = {}
        """By session, the user messages that no turn has ended for."""
        self._users: set[str] = set()
        """All of them."""

    def read(self, raw: bytes) -> Seen:
        event = msgspec.json.decode(raw, type=_Event)
        facts = tuple(self._facts(event.type, event.properties))
        return Seen(now_s(), event.type, event.properties, _session(event.properties), facts)

    def _facts(self, kind: str, about: Mapping[str, object]) -> list[Fact]:
        match kind:
            case "session.idle":
                return [ev.Idle(str(about["sessionID"]))]
            case "session.created" | "session.updated":
                info = msgspec.convert(about["info"], _Session)
                return [ev.Named(info.id, info.title)]
            case "session.deleted":
                info = msgspec.convert(about["info"], _Session)
                return [ev.Deleted(info.id, info.parent)]
            case "session.status":
                return msgspec.convert(about["status"], _Status).facts(str(about["sessionID"]))
            case "session.error":
                return [ev.Failed(str(about.get("sessionID")), _why(about.get("error")))]
            case "message.part.delta" if about.get("field") == "text":
                place = (str(about["sessionID"]), str(about["partID"]))
                return [ev.TextGrew(*place, str(about["delta"]))]
            case "tui.toast.show":
                return [ev.Shown("", f"{about.get('title', '')}\n{about['message']}")]
            case "permission.asked":
                one = msgspec.convert(about, _Request)
                return [ev.Asked(one.session, one.id, one.permission, one.patterns)]
            case "permission.replied":
                return [ev.Settled(str(about["sessionID"]))]
            case "message.updated":
                return self._of_message(msgspec.convert(about["info"], _Info))
            case "message.part.updated":
                return self._of_part(msgspec.convert(about["part"], _Part))
            case _:
                return []

    def _of_message(self, info: _Info) -> list[Fact]:
        waiting = self._waiting.setdefault(info.session, set())
        if info.role == "user":
            waiting.add(info.id)
            self._users.add(info.id)
        # After these it goes on by itself.
        if info.finish in (None, "", "tool-calls", "unknown") or info.parent is None:
            return []
        # Ids rise, and a model reads all that was there when it began.
        ended = {message for message in waiting if message <= info.parent}
        waiting -= ended
        return [ev.Answered(info.session, frozenset(ended))]

    def _of_part(self, part: _Part) -> list[Fact]:
        if part.type != "text":
            return _of_tool(part)
        if part.message in self._users:
            return [ev.TextStored(part.session, part.message, part.id, part.text, part.synthetic)]
        return [ev.TextEnded(part.session, part.text)] if part.time.end else []


def _of_tool(part: _Part) -> list[Fact]:
    if part.type != "tool" or part.state is None:
        return []
    state = part.state
    match state.status:
        case "running":
            return [ev.ToolRuns(part.session, part.tool, state.input)]
        case "completed" | "error":
            failed = state.status == "error"
            output = state.error if failed else state.output
            about = (part.session, part.id, part.tool, state.input)
            return [ev.ToolEnded(*about, output, failed, part.took_ms)]
        case _:
            return []


def _why(error: object) -> str:
    """Return what an error says, in one line."""
    found = error if isinstance(error, dict) else {}
    data = found.get("data")
    message = data.get("message") if isinstance(data, dict) else None
    return " ".join(str(message or found.get("name") or "unknown error").split())


def _session(properties: Mapping[str, object]) -> str | None:
    """Return the session an event concerns, wherever the event keeps it."""
    for place in (properties, properties.get("part"), properties.get("info")):
        if isinstance(place, Mapping) and isinstance(place.get("sessionID"), str):
            return str(place["sessionID"])
    return None
