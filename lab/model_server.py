"""A scripted model behind the OpenAI-compatible streaming protocol.

The prompt says what the model does, so a test, the demo and a benchmark read as
one piece: whoever writes the prompt also writes the model's side. Knows nothing of
delegations or of OpenCode beyond the wire protocol.

What each request is answered with is said by the script in the prompt; ``scripts`` gives
its grammar.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec
from aiohttp import web

from background_agents.testing.scripts import Call, Step, newest_id, plan, script
from lab.harness.dialect import PLAIN, Dialect

__all__ = ["Message", "ModelRequest", "ModelServer", "Step", "Tool", "script"]


HELD_TIMEOUT_S = 40.0
"""How long it is waited for a request that comes within a second, on a machine that is busy."""


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


Answers = Mapping[str, str]
"""What the model does, as a script, by how the message begins that tells it to."""


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
    gate: str | None = None
    """The gate at which the answer has arrived, be it open or not."""

    @property
    def text(self) -> str:
        """Every message's text, oldest first."""
        return "\n".join(message.text for message in self.messages)

    @property
    def tool_names(self) -> set[str]:
        return {tool.function.name for tool in self.tools}


@dataclass
class ModelServer:
    """The server; use it as ``async with ModelServer() as model``.

    ``base_url`` is what a provider of type ``@ai-sdk/openai-compatible`` takes as its
    ``baseURL``. Every request is kept in ``requests``, oldest first.
    """

    port: int = 0
    dialect: Dialect = PLAIN
    """How whoever asks calls its tools; scripts and ``requests`` have OpenCode 1's names."""
    title: str = "Scripted title"
    title_gate: str | None = None
    """A gate for the answers that offer no tools: a small model that takes its time."""
    requests: list[ModelRequest] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _failures: dict[str, int] = field(default_factory=dict)
    _gates: dict[str, asyncio.Event] = field(default_factory=dict)
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

    def open(self, gate: str) -> None:
        """Let everything pass that waits at ``gate``, or will come to it."""
        self._gate(gate).set()

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def wait_held(
        self, gate: str, count: int = 1, *, timeout_s: float = HELD_TIMEOUT_S
    ) -> None:
        """Return when ``count`` answers have arrived at ``gate``; raises ``TimeoutError``."""

        def arrived() -> int:
            return sum(request.gate == gate for request in self.requests)

        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: arrived() >= count)

    async def wait_for(
        self, wanted: Callable[[ModelRequest], bool], *, timeout_s: float = HELD_TIMEOUT_S
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
        for tool in body.tools:
            tool.function.name = self.dialect.offered(tool.function.name)
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
        newest = newest_id(request.messages)
        if step.say is not None:
            await stream.text(step, step.say.replace("{id}", newest))
        if step.gate is not None:
            await stream.start()
            request.gate = step.gate
            await self._tell()
            await self._gate(step.gate).wait()
        calls = step.tool_calls()
        if calls:
            await stream.calls([self._called(call) for call in calls], newest)
        return await stream.end(step.finish or ("tool_calls" if calls else "stop"))

    def _called(self, call: Call) -> tuple[str, Call]:
        return f"call_{next(self._call_ids)}", Call(*self.dialect.call(call.call, call.args))

    def _step(self, request: ModelRequest) -> Step:
        if not request.tools:
            # Title and compaction calls offer no tools, and quote the prompt.
            return Step(say=self.title, gate=self.title_gate)
        steps = plan(request.messages)
        step = next(steps, Step(say="Done."))
        if step.fail is not None and step.times is not None:
            key = f"{step.message}/{len(request.messages)}/{request.messages[-1].text}"
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] > step.times:
                step = next(steps, Step(say="Done."))
        return step


@dataclass
class ToldModel(ModelServer):
    """A model that is talked to in plain words."""

    answers: Answers = field(default_factory=dict)

    def _step(self, request: ModelRequest) -> Step:
        messages = [self._scripted(one) for one in request.messages]
        return super()._step(replace(request, messages=messages))

    def _scripted(self, message: Message) -> Message:
        found = [one for words, one in self.answers.items() if message.text.startswith(words)]
        if message.role != "user" or not found:
            return message
        return Message(message.role, f"{message.text}\n{found[0]}")


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


def _fill(value: object, newest_id: str) -> object:
    """Return ``value`` with ``{id}`` replaced in every text inside it."""
    if isinstance(value, str):
        return value.replace("{id}", newest_id)
    if isinstance(value, dict):
        return {key: _fill(item, newest_id) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, newest_id) for item in value]
    return value
