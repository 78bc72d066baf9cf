"""A running OpenCode, isolated and offline, for tests, the demo and benchmarks.

Starts ``opencode serve`` on loopback in a home of its own, and can kill it and start it
again there. Knows nothing of delegations.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from background_agents.domain.errors import DelegationError
from lab.harness.client import OpenCodeClient, authorization, client_for
from lab.harness.home import Binary, Home, find_binary, free_port
from lab.harness.line import Line

START_TIMEOUT_S = 40.0
"""A first start reads a binary of 170 or 225 MB and migrates a database; 1-3 s when warm."""

PORTS = 3
"""How many are tried: where many start at once, one that was free may be taken by now."""

PROBE_TIMEOUT_S = 0.5
"""A request that arrives while the port opens may never be answered, so each is given up soon."""

END_TIMEOUT_S = 10.0
"""OpenCode disposes its plugins on SIGTERM; what takes longer than this is killed."""


class OpenCodeFailed(DelegationError):
    """OpenCode did not start; the end of its log is part of the message."""


class PortTaken(OpenCodeFailed):
    """Another program got the port between our choice and the server's start."""


@dataclass
class OpenCode:
    """``opencode serve`` on one home; ``start`` and the two ways to end it may alternate."""

    binary: Binary
    home: Home
    env: Mapping[str, str] = field(default_factory=dict)
    password: str | None = None
    """What its server asks for; one is made up where a server always asks."""
    port: int = 0
    within: Sequence[str] = ()
    """What starts it, such as ``unshare``."""
    _process: asyncio.subprocess.Process | None = None
    _groups: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.password is None and self.line.ways.always_locked:
            self.password = secrets.token_urlsafe()

    @property
    def line(self) -> Line:
        return self.home.line

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.root / "opencode.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "OpenCode was not started"
        return self._process.pid

    def client(self, directory: Path | None = None) -> OpenCodeClient:
        """Return a client for a project (the home's), to be used as ``async with``."""
        return client_for(self.line, self.base_url, directory or self.home.project, self.password)

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of what OpenCode printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    async def start(self) -> None:
        """Start the server and return when it answers, and has the home's project ready.

        Raises:
            OpenCodeFailed: It ended, or did not answer in time.
        """
        for left in reversed(range(PORTS)):
            try:
                await self._serve()
                break
            except PortTaken:
                if not left:
                    raise
        if self.line is Line.TWO:
            # There it shows what a project has only a moment after it was first asked.
            async with self.client() as client:
                await client.load()

    async def _serve(self) -> None:
        self.port = free_port()
        ways = self.line.ways
        password = {ways.password: self.password} if self.password else {}
        serve = (str(self.binary.path), *ways.serve, "--port", str(self.port))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.within,
                *serve,
                cwd=self.home.project,
                env=self.home.environment({**ways.log, **self.env, **password}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own group, so that what it leaves behind can be found and ended.
                start_new_session=True,
            )
        self._groups.append(self._process.pid)
        await self._healthy(self._process)

    async def _healthy(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        headers = authorization(self.password)
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
            while time.monotonic() < deadline and process.returncode is None:
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(self.base_url + self.line.ways.health) as response:
                        if response.status == 200:
                            return
                # There is no event for "another program opened its port".
                await asyncio.sleep(0.05)
        ended = process.returncode
        state = "does not answer" if ended is None else f"ended with code {ended}"
        await self.end()
        log = self.log_tail()
        kind = PortTaken if "ServeError" in log else OpenCodeFailed
        raise kind(f"OpenCode {state}; its log ends with:\n{log}")

    async def kill(self) -> None:
        """End the OpenCode process, and nothing else, as ``kill -9`` does."""
        await self._signal(signal.SIGKILL)

    async def terminate(self) -> None:
        """End OpenCode as its user does."""
        await self._signal(signal.SIGTERM)

    async def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()
                return
        process.kill()
        await process.wait()

    async def end(self) -> None:
        """End OpenCode and every process that it left behind, in any of its lives."""
        await self.terminate()
        while self._groups:
            # PermissionError is how macOS says that only zombies are left.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._groups.pop(), signal.SIGKILL)
        await asyncio.to_thread(self.home.clear)


@asynccontextmanager
async def running_opencode(
    root: Path,
    base_url: str,
    line: Line = Line.ONE,
    *,
    plugin: bool = True,
    config: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    password: str | None = None,
) -> AsyncIterator[OpenCode]:
    """Run OpenCode on a new home under ``root``; end it, and all that it started, on the way out.

    ``base_url`` is the scripted model's. An error that passes through carries the end of
    OpenCode's log as a note.
    """
    binary, home = await asyncio.to_thread(_new_home, root, base_url, line, config, plugin)
    opencode = OpenCode(binary, home, env or {}, password)
    try:
        await opencode.start()
        yield opencode
    except OpenCodeFailed:
        raise
    except BaseException as error:
        error.add_note(f"OpenCode's log ends with:\n{opencode.log_tail()}")
        raise
    finally:
        await opencode.end()


def _new_home(
    root: Path, base_url: str, line: Line, config: Mapping[str, object] | None, plugin: bool
) -> tuple[Binary, Home]:
    binary = find_binary(line)
    home = Home(root, binary.version)
    home.create(base_url, config)
    if plugin:
        home.install_plugin()
    return binary, home
