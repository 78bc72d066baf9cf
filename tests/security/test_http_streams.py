"""What a served OpenCode, or whatever answers in its place, may send as its event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from background_agents.domain.errors import RuntimeUnreachable
from lab.harness import transport_http
from lab.harness.transport_http import HttpTransport

PASSWORD = "correct horse"

CONNECTED = b'data: {"type": "server.connected"}\n\n'

Stream = Callable[[web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def serving(stream: Stream, status: int = 200) -> AsyncIterator[str]:
    """Serve an event stream on loopback; return its address."""

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await stream(response)
        return response

    app = web.Application()
    app.router.add_get("/event", events)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "http://127.0.0.1:{}".format(*runner.addresses[0][1:])
    finally:
        await runner.cleanup()


async def test_a_refused_stream_is_logged_without_the_password(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An error of the HTTP library shows the request's headers, and is not logged like that."""
    monkeypatch.setattr(transport_http, "REQUEST_LIMIT_S", 0.5)

    async def nothing(_response: web.StreamResponse) -> None:
        """It ends at once."""

    async with serving(nothing, 401) as url:
        with pytest.raises(RuntimeUnreachable):
            async with HttpTransport(url, str(tmp_path), password=PASSWORD):
                pytest.fail("entered")
    assert "401" in caplog.text
    assert "authorization" not in caplog.text.lower()
    assert "Basic" not in caplog.text


async def test_an_event_that_cannot_be_read_does_not_end_the_stream(tmp_path: Path) -> None:
    """Not JSON, not UTF-8, too deep: the next sound event is heard."""
    heard = asyncio.Event()

    async def stream(response: web.StreamResponse) -> None:
        await response.write(CONNECTED)
        await asyncio.sleep(0)
        deep = b"[" * 5_000 + b"]" * 5_000
        for bad in (b"no json", b'{"type": "\xff"}', b'{"type": 1}', b'{"x": ' + deep + b"}"):
            await response.write(b"data: " + bad + b"\n\n")
        await response.write(b'data: {"type": "sound"}\n\n')
        await asyncio.Event().wait()

    def hear(kind: str, _properties: msgspec.Raw) -> None:
        if kind == "sound":
            heard.set()

    async with serving(stream) as url:
        transport = HttpTransport(url, str(tmp_path))
        transport.on_event = hear
        async with transport, asyncio.timeout(5):
            await heard.wait()


async def test_an_endless_event_breaks_the_stream_which_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not held; the adapter hears that events may have been lost."""
    monkeypatch.setattr(transport_http, "MAX_EVENT_BYTES", 1_000_000)
    restored = asyncio.Event()

    async def stream(response: web.StreamResponse) -> None:
        await response.write(CONNECTED)
        for _ in range(100):
            await response.write(b"x" * 100_000)
        await asyncio.Event().wait()

    async with serving(stream) as url:
        transport = HttpTransport(url, str(tmp_path))
        transport.on_restored = restored.set
        async with transport, asyncio.timeout(5):
            await restored.wait()


async def test_a_listener_that_fails_does_not_end_the_stream(tmp_path: Path) -> None:
    """It is opened anew, and whoever listens hears that something may be missing."""
    restored = asyncio.Event()

    async def stream(response: web.StreamResponse) -> None:
        await response.write(CONNECTED + b'data: {"type": "sound"}\n\n')
        await asyncio.Event().wait()

    def fail(_kind: str, _properties: msgspec.Raw) -> None:
        raise RuntimeError("nobody thought of this")

    async with serving(stream) as url:
        transport = HttpTransport(url, str(tmp_path))
        transport.on_event, transport.on_restored = fail, restored.set
        async with transport, asyncio.timeout(5):
            await restored.wait()
