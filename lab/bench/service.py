"""The service process that ships, with OpenCode's end of its socket played by the driver.

So it is measured alone: what OpenCode needs is not in the figures, and a thousand children
cost nothing but their events. The events and answers have the form that OpenCode's have.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from background_agents.adapters.opencode.transport_bridge import PORTLESS_URL
from background_agents.rpc.connection import Connection
from background_agents.rpc.descriptor import pump
from background_agents.rpc.messages import RpcError

LIMIT_S = 30.0
"""A start takes a quarter of a second, an answer milliseconds."""

SUPERVISOR = "ses_supervisor"

_TICKS = os.sysconf("SC_CLK_TCK")

_SESSION = re.compile(r"/session/(\w+)/prompt_async")


def cpu_s(pid: int) -> float:
    """Return how long a process has computed, all its threads together."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS


class _Fetch(msgspec.Struct):
    method: str
    path: str
    body: dict[str, object] | None = None


class _Answer(msgspec.Struct):
    output: str


class Service:
    """A running service process and its connection."""

    def __init__(self, pid: int, directory: Path) -> None:
        self.pid = pid
        self.children: list[str] = []
        """The sessions that were prompted, in that order."""
        self.supervisor = SUPERVISOR
        """The session whose model delegates."""
        self._directory = directory
        self._connection: Connection | None = None
        self._created = 0

    def attach(self, connection: Connection) -> None:
        """Say that a project was opened."""
        self._connection = connection
        about = {"instance": 1, "directory": str(self._directory), "base_url": PORTLESS_URL}
        connection.notify("attach", about)

    async def tool(self, tool: str, **args: object) -> str:
        """Call a tool for the supervisor's model."""
        params = {"instance": 1, "tool": tool, "session": self.supervisor, "args": args}
        async with asyncio.timeout(LIMIT_S):
            return (await self._connected.call("tool", params, _Answer)).output

    async def refused(self, tool: str, **args: object) -> str:
        """Call a tool with arguments that cannot be meant; return what it says of them."""
        try:
            await self.tool(tool, **args)
        except RpcError as error:
            return error.message
        raise AssertionError(f"{tool} took {args}")

    def event(self, kind: str, properties: Mapping[str, object]) -> None:
        """Tell of something that happened in OpenCode."""
        told = {"instance": 1, "type": kind, "properties": properties}
        self._connected.notify("event", told)

    def stream(self, session: str, text: str) -> None:
        """Tell of a piece of text in the answer that a child is writing."""
        part = {"messageID": f"msg_{session}_a", "partID": f"prt_{session}_a"}
        self.event(
            "message.part.delta", {"sessionID": session, **part, "field": "text", "delta": text}
        )

    @property
    def memory_kb(self) -> float:
        """What the process has in memory."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        if found is None:
            raise AssertionError("the system does not tell how much memory a process has")
        return float(found.group(1))

    @property
    def cpu_s(self) -> float:
        """How long the process has computed."""
        return cpu_s(self.pid)

    @property
    def _connected(self) -> Connection:
        if self._connection is None:
            raise AssertionError("the service is not attached")
        return self._connection

    # --- OpenCode's part -----------------------------------------------------------

    async def fetch(self, raw: msgspec.Raw) -> dict[str, object]:
        """Answer what the service asks of OpenCode."""
        asked = msgspec.json.decode(raw, type=_Fetch)
        found: object = True
        if asked.path == "/agent":
            found = [{"name": "general", "mode": "subagent"}]
        elif asked.path == "/config":
            found = {}
        elif (asked.method, asked.path) == ("POST", "/session"):
            self._created += 1
            found = {"id": f"ses_child{self._created:05}", "parentID": self.supervisor}
        elif asked.method == "GET" and asked.path.startswith("/session/"):
            found = {"id": self.supervisor}
        elif prompted := _SESSION.fullmatch(asked.path):
            self._begin(prompted.group(1), asked.body or {})
        return {"status": 200, "body": msgspec.json.encode(found).decode()}

    def _begin(self, session: str, body: Mapping[str, object]) -> None:
        """Let a child begin its answer, with the events that OpenCode sends."""
        user = {"id": body["messageID"], "role": "user", "sessionID": session, "agent": "general"}
        self.event("message.updated", {"info": user})
        self.event("session.status", {"sessionID": session, "status": {"type": "busy"}})
        message, part = f"msg_{session}_a", f"prt_{session}_a"
        about = {"sessionID": session, "parentID": user["id"], "time": {"created": 1}}
        self.event("message.updated", {"info": {"id": message, "role": "assistant", **about}})
        text = {"id": part, "type": "text", "sessionID": session, "messageID": message, "text": ""}
        self.event("message.part.updated", {"part": text})
        self.children.append(session)


@asynccontextmanager
async def running_service(
    folder: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """Start the service on a home under ``folder`` and attach a project; end it on the way out."""
    project = folder / "project"
    await asyncio.to_thread(project.mkdir, parents=True, exist_ok=True)
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            # The bridge's socket is descriptor 3.
            *("bash", "-c", f'exec "$@" 3<&{theirs.fileno()}', "bash"),
            *(sys.executable, "-m", "background_agents", "bridge"),
            pass_fds=(theirs.fileno(),),
            env=_environment(folder, env or {}),
            stdin=asyncio.subprocess.DEVNULL,
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    service = Service(process.pid, project)
    connection = Connection(writer.write, calls={"fetch": service.fetch}, translate=lambda _: None)
    pumping = asyncio.create_task(pump(reader, connection.feed))
    service.attach(connection)
    try:
        yield service
    finally:
        writer.close()
        await asyncio.gather(pumping, return_exceptions=True)
        await connection.close("The driver has closed it.")
        async with asyncio.timeout(LIMIT_S):
            await process.wait()


def _environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    # As it is installed, with its bytecode beside it, even where a developer keeps none.
    ours = ("BACKGROUND_AGENTS_", "PYTHONDONTWRITEBYTECODE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    places = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return {**kept, **places, **env}


async def start_ms(folder: Path) -> tuple[float, float]:
    """Start a service; return ms until it had answered a tool call, and its memory in KB."""
    started = time.perf_counter()
    async with running_service(folder) as service:
        await service.tool("delegation_list")
        return (time.perf_counter() - started) * 1000, service.memory_kb


async def bare_start_ms() -> float:
    """Start Python with the libraries that nothing here goes without; return ms."""
    started = time.perf_counter()
    imports = "import asyncio, sqlite3, msgspec"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", imports)
    await process.wait()
    return (time.perf_counter() - started) * 1000
