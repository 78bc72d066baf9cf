"""A scripted model behind the OpenAI-compatible streaming protocol.

The prompt says what the model does, so a test, the demo and a benchmark read as
one piece: whoever writes the prompt also writes the model's side. Knows nothing of
delegations or of OpenCode beyond the wire protocol.

A prompt carries its script as ``<script>JSON</script>``, where JSON is a list of
steps or ``{"steps": [...], "on_notice": [...]}``. Each model request plays one step:
the n-th request after the scripted message plays step n. When the steps are used up
and the newest user message is a notice, ``on_notice`` is played in the same way, once
for each notice. Steps are:

* ``{"say": TEXT, "repeat": N, "every_ms": MS, "per_chunk": K}``: stream TEXT N times,
  K copies to a chunk, MS milliseconds apart;
* ``{"call": TOOL, "args": {...}}`` or ``{"calls": [{"call": ..., "args": ...}, ...]}``:
  ask for tool calls. ``{id}``, here and in TEXT, becomes the newest delegation id that
  the conversation shows;
* ``{"fail": STATUS, "message": TEXT, "times": N, "retry_after_s": S}``: answer with an
  HTTP error; with ``times``, N times and then go on to the next step;
* ``{"hang": true}``: send nothing until the client goes away.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

READABLE_ID = re.compile(r"\b[a-z]+-[a-z]+-[a-z]+(?:-[0-9]+)?\b")
"""The form of a delegation's id as the supervisor's model sees it."""

NOTICE = "<task-notification>"

_decoder = msgspec.json.Decoder()


class Call(msgspec.Struct, frozen=True):
    """One tool call of a step."""

    call: str
    args: dict[str, object] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model answer; the module's docstring gives the meaning of each field."""

    say: str | None = None
    repeat: int = 1
    every_ms: float = 0
    per_chunk: int = 1
    call: str | None = None
    args: dict[str, object] = {}
    calls: list[Call] = []
    fail: int | None = None
    message: str = "scripted failure"
    times: int | None = None
    retry_after_s: float | None = None
    hang: bool = False

    def tool_calls(self) -> list[Call]:
        return [Call(self.call, self.args)] if self.call else self.calls


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model does after the message that carries this, and after notices."""

    steps: list[Step] = []
    on_notice: list[Step] = []


def script(*steps: dict[str, object], on_notice: list[dict[str, object]] | None = None) -> str:
    """Return the text to put into a prompt so that the model plays ``steps``."""
    body = {"steps": list(steps), "on_notice": on_notice or []}
    return "<script>" + msgspec.json.encode(body).decode() + "</script>"


class _Function(msgspec.Struct):
    name: str
    description: str = ""
    parameters: dict[str, object] = {}


class Tool(msgspec.Struct):
    """A tool as it is offered to the model."""

    function: _Function


class Message(msgspec.Struct):
    """One message of the conversation as it reached the model."""

    role: str
    content: str | list[dict[str, object]] | None = None
    tool_calls: list[dict[str, object]] = []

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class _Body(msgspec.Struct):
    model: str
    messages: list[Message]
    tools: list[Tool] = []


@dataclass
class ModelRequest:
    """One request as the model saw it, and how it went. Times are ``time.monotonic()`` seconds."""

    model: str
    messages: list[Message]
    tools: list[Tool]
    size_bytes: int
    started_s: float
    ended_s: float | None = None
    cut_off: bool = False
    """The client closed the connection before the answer was complete."""
    streamed: str = ""
    """The text that was written to the connection so far."""

    @property
    def text(self) -> str:
        """Every message's text, oldest first."""
        return "\n".join(message.text for message in self.messages)

    @property
    def tool_names(self) -> set[str]:
        return {tool.function.name for tool in self.tools}


def plan(messages: list[Message]) -> Iterator[Step]:
    """Yield the step to play for this conversation, then the ones that follow it.

    Raises ``msgspec.ValidationError`` when the newest script is malformed.
    """
    for index in reversed(range(len(messages))):
        if messages[index].role != "user":
            continue
        found = _script_in(messages[index].text)
        if found is None:
            continue
        played = _answers(messages[index:])
        if played < len(found.steps):
            return iter(found.steps[played:])
        newest = max(i for i, message in enumerate(messages) if message.role == "user")
        if NOTICE in messages[newest].text:
            return iter(found.on_notice[_answers(messages[newest:]) :])
        return iter(())
    return iter(())


def _answers(messages: list[Message]) -> int:
    return sum(message.role == "assistant" for message in messages)


def _script_in(text: str) -> Script | None:
    start = text.find("<script>")
    if start < 0:
        return None
    # Scripts nest (a supervisor's script holds its children's prompts) inside JSON
    # strings, so the first opening tag belongs to the last closing one.
    body = text[start + len("<script>") : text.rindex("</script>")].encode()
    return msgspec.convert(_as_object(_decoder.decode(body)), Script)


def _as_object(value: object) -> object:
    return {"steps": value} if isinstance(value, list) else value


def _fill(value: object, newest_id: str) -> object:
    if isinstance(value, str):
        return value.replace("{id}", newest_id)
    if isinstance(value, dict):
        return {key: _fill(item, newest_id) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, newest_id) for item in value]
    return value


def _newest_id(messages: list[Message]) -> str:
    for message in reversed(messages):
        shown = message.role == "tool" or NOTICE in message.text
        if shown and (match := READABLE_ID.search(message.text)):
            return match.group()
    return "no-such-delegation"


@dataclass
class ModelServer:
    """The server; use it as ``async with ModelServer() as model``.

    ``base_url`` is what a provider of type ``@ai-sdk/openai-compatible`` takes as its
    ``baseURL``. Every request is kept in ``requests``, oldest first.
    """

    port: int = 0
    title: str = "Scripted title"
    requests: list[ModelRequest] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _failures: dict[str, int] = field(default_factory=dict)
    _call_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def active(self) -> int:
        """How many requests are being answered now."""
        return sum(request.ended_s is None for request in self.requests)

    async def __aenter__(self) -> ModelServer:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answer)
        # Cancelled handlers are how a hanging answer learns that its client left.
        # Answers may hang on purpose, so closing does not wait for them.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait_for(
        self, wanted: Callable[[ModelRequest], bool], *, timeout_s: float = 20
    ) -> ModelRequest:
        """Return the first request for which ``wanted`` holds; look again at each change.

        Raises ``TimeoutError`` when there is none within ``timeout_s`` seconds.
        """

        def first() -> ModelRequest | None:
            return next((request for request in self.requests if wanted(request)), None)

        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: first() is not None)
        found = first()
        assert found is not None
        return found

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        raw = await http.read()
        body = msgspec.json.decode(raw, type=_Body)
        request = ModelRequest(body.model, body.messages, body.tools, len(raw), time.monotonic())
        self.requests.append(request)
        await self._tell()
        try:
            return await self._play(http, request)
        except (ConnectionResetError, asyncio.CancelledError):
            request.cut_off = True
            raise
        finally:
            request.ended_s = time.monotonic()
            await asyncio.shield(self._tell())

    async def _play(self, http: web.Request, request: ModelRequest) -> web.StreamResponse:
        try:
            step = self._step(request)
        except (msgspec.DecodeError, ValueError) as error:
            return _error(Step(fail=400, message=f"bad script: {error}"))
        if step.fail is not None:
            return _error(step)
        stream = _Stream(http, request)
        if step.hang:
            await stream.start()
            await asyncio.Event().wait()
        newest = _newest_id(request.messages)
        if step.say is not None:
            await stream.text(step, step.say.replace("{id}", newest))
        calls = step.tool_calls()
        if calls:
            await stream.calls([(f"call_{next(self._call_ids)}", call) for call in calls], newest)
        return await stream.end("tool_calls" if calls else "stop")

    def _step(self, request: ModelRequest) -> Step:
        if not request.tools:
            # Title and compaction calls offer no tools, and quote the prompt.
            return Step(say=self.title)
        steps = plan(request.messages)
        step = next(steps, Step(say="Done."))
        if step.fail is not None and step.times is not None:
            key = f"{step.message}/{len(request.messages)}/{request.messages[-1].text}"
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] > step.times:
                step = next(steps, Step(say="Done."))
        return step


def _error(step: Step) -> web.Response:
    headers = {} if step.retry_after_s is None else {"retry-after": str(step.retry_after_s)}
    body = {"error": {"message": step.message, "type": "scripted", "code": step.fail}}
    return web.json_response(body, status=step.fail or 500, headers=headers)


class _Stream:
    """Writes one answer as server-sent chunks of a chat completion."""

    def __init__(self, http: web.Request, request: ModelRequest) -> None:
        self._http = http
        self._request = request
        self._response: web.StreamResponse | None = None

    async def start(self) -> web.StreamResponse:
        if self._response is None:
            self._response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await self._response.prepare(self._http)
        return self._response

    async def text(self, step: Step, text: str) -> None:
        sent = 0
        while sent < step.repeat:
            count = min(step.per_chunk, step.repeat - sent)
            await self._delta({"content": text * count})
            self._request.streamed += text * count
            sent += count
            if step.every_ms and sent < step.repeat:
                await asyncio.sleep(step.every_ms / 1000)

    async def calls(self, calls: list[tuple[str, Call]], newest_id: str) -> None:
        for index, (call_id, call) in enumerate(calls):
            arguments = msgspec.json.encode(_fill(call.args, newest_id)).decode()
            function = {"name": call.call, "arguments": arguments}
            entry = {"index": index, "id": call_id, "type": "function", "function": function}
            await self._delta({"tool_calls": [entry]})

    async def end(self, reason: str) -> web.StreamResponse:
        usage = {"prompt_tokens": self._request.size_bytes // 4, "completion_tokens": 10}
        await self._chunk({"delta": {}, "finish_reason": reason}, usage)
        response = await self.start()
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _delta(self, delta: dict[str, object]) -> None:
        await self._chunk({"delta": {"role": "assistant", **delta}, "finish_reason": None})

    async def _chunk(self, choice: dict[str, object], usage: dict[str, int] | None = None) -> None:
        chunk: dict[str, object] = {
            "id": "scripted",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._request.model,
            "choices": [{"index": 0, **choice}],
        }
        if usage is not None:
            chunk["usage"] = {**usage, "total_tokens": sum(usage.values())}
        response = await self.start()
        await response.write(b"data: " + msgspec.json.encode(chunk) + b"\n\n")
