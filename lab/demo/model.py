"""The demo's model server: plays the story at the speed of a writing model.

The server that tests use plays scripts out of prompts, as fast as it can. This one keeps the
prompts clean and takes its time, over the same OpenAI-compatible protocol.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from itertools import count
from typing import Self

import msgspec
from aiohttp import web

from lab.demo.answers import Turn
from lab.demo.script import next_turn
from lab.harness.dialect import PLAIN, Dialect
from lab.model_server import Message

PIECES_PER_S = 25
"""How often a piece of text is sent; models write at about this rate."""

TITLE = "A rate limit for the API"
"""What the model calls a session; OpenCode asks for that without offering tools."""


class _Body(msgspec.Struct):
    messages: list[Message]
    tools: list[dict[str, object]] = []


@dataclass
class StoryModel:
    """The server; use it as ``async with``, and ``base_url`` as its provider's ``baseURL``."""

    dialect: Dialect = PLAIN
    """How whoever asks calls its tools."""
    _port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await http.read(), type=_Body)
        turn = next_turn(body.messages) if body.tools else Turn(TITLE, seconds=0)
        if turn.refusal is not None:
            await asyncio.sleep(turn.seconds)
            error = {"message": turn.refusal.message, "code": turn.refusal.status}
            return web.json_response({"error": error}, status=turn.refusal.status)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(http)
        await self._write(response, turn)
        written = len(turn.text) // 4
        usage = {"prompt_tokens": sum(len(m.text) for m in body.messages) // 4}
        usage |= {"completion_tokens": written, "total_tokens": usage["prompt_tokens"] + written}
        await _send(response, {}, "tool_calls" if turn.calls else "stop", usage)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _write(self, response: web.StreamResponse, turn: Turn) -> None:
        """Write a turn's text word by word, then its tool calls."""
        await _say(response, turn)
        for index, call in enumerate(turn.calls):
            tool, args = self.dialect.call(call.tool, call.args)
            await _call(response, index, tool, args)


async def _say(response: web.StreamResponse, turn: Turn) -> None:
    words = re.findall(r"\S+\s*", turn.text)
    pieces = max(1, min(len(words), round(turn.seconds * PIECES_PER_S)))
    for number in range(pieces):
        first, last = (len(words) * n // pieces for n in (number, number + 1))
        await _send(response, {"role": "assistant", "content": "".join(words[first:last])})
        await asyncio.sleep(turn.seconds / pieces)


async def _call(
    response: web.StreamResponse, index: int, tool: str, args: dict[str, object]
) -> None:
    arguments = msgspec.json.encode(args).decode()
    function = {"name": tool, "arguments": arguments}
    entry = {"index": index, "id": f"call_{next(_CALLS)}", "type": "function"}
    await _send(response, {"role": "assistant", "tool_calls": [entry | {"function": function}]})


_CALLS = count(1)


async def _send(
    response: web.StreamResponse,
    delta: dict[str, object],
    finish: str | None = None,
    usage: dict[str, int] | None = None,
) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk: dict[str, object] = {
        "id": "story",
        "object": "chat.completion.chunk",
        "choices": [choice],
    }
    chunk |= {"usage": usage} if usage else {}
    await response.write(b"data: " + msgspec.json.encode(chunk) + b"\n\n")
