"""The server that all terminals of OpenCode 2 share: it is started on demand, and stays.

Whatever starts one on a home (a TUI, ``opencode run``, our own commands), this finds it there
and ends it. OpenCode 1 has none: each of its programs is a server of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.harness.client import OpenCodeClient, client_for
from lab.harness.home import Home
from lab.harness.line import Line

END_TIMEOUT_S = 10.0
"""It ends within two seconds of a SIGTERM; what takes longer than this is killed."""


class _Serving(msgspec.Struct):
    url: str
    pid: int
    password: str


@dataclass(frozen=True)
class SharedServer:
    """The shared server of a home."""

    home: Home

    @property
    def registration(self) -> Path:
        """The file by which it is found, and which is there while it serves."""
        return self.home.root / "state" / "opencode" / "service.json"

    @property
    def pid(self) -> int:
        return self._serving.pid

    @property
    def _serving(self) -> _Serving:
        return msgspec.json.decode(self.registration.read_bytes(), type=_Serving)

    def client(self, directory: Path | None = None) -> OpenCodeClient:
        """Return a client for a project (the home's), to be used as ``async with``."""
        found = self._serving
        return client_for(Line.TWO, found.url, directory or self.home.project, found.password)

    async def end(self) -> None:
        """End it, if there is one, and all that it has started."""
        with suppress(FileNotFoundError, ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                await _end(self.pid, descriptor)
            finally:
                os.close(descriptor)
        await asyncio.to_thread(self.home.clear)


async def _end(pid: int, descriptor: int) -> None:
    os.kill(pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_TIMEOUT_S):
            await _readable(descriptor)
    # It leads a group of its own, in which is what it left behind.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def _readable(descriptor: int) -> None:
    """Return once a process has ended, given its descriptor."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


@asynccontextmanager
async def ending_shared(home: Home) -> AsyncIterator[SharedServer]:
    """End the home's shared server on the way out, whoever has started it."""
    shared = SharedServer(home)
    try:
        yield shared
    finally:
        await shared.end()
