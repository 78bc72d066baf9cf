"""The Python side of the bridge of either line, played by a test instead of our own process.

The bridge spawns a small relay, which hands its socket over to the test and stays until
the test lets go of it; the test then speaks with the real bridge inside a real OpenCode.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

import background_agents
from background_agents.adapters.opencode.transport_bridge import BridgeTransport
from background_agents.rpc.connection import Connection
from background_agents.rpc.descriptor import pump
from background_agents.rpc.messages import RpcError
from background_agents.testing.waiting import Changes
from lab.harness.home import Home
from lab.harness.line import Line

BRIDGE = Path(background_agents.__file__).parent / "hosts" / "opencode" / "bridge.js"

ATTACH_LIMIT_S = 30.0
"""The first request for a project loads its plugins: about a second."""

RELAY = """
import socket, sys
with socket.socket(socket.AF_UNIX) as control:
    control.connect(sys.argv[1])
    socket.send_fds(control, [b"3"], [3])
    control.recv(1)  # answers nothing, but ends when the test does
"""


class Attached(msgspec.Struct):
    """What the bridge says of a plugin instance."""

    instance: int
    directory: str
    base_url: str
    argv: list[str] = []
    line: int = 1
    version: str = ""


class ToolCall(msgspec.Struct):
    """A model's call of a tool."""

    instance: int
    tool: str
    session: str
    message: str
    call: str
    args: dict[str, object]
    agent: str
    granted: str = ""


class HookCall(msgspec.Struct, kw_only=True):
    """What OpenCode 2's plugin asks before something happens."""

    instance: int
    hook: str
    session: str
    tools: list[str] = []
    checkpoint: str = ""
    agent: str = ""
    by: str = ""


class _Detached(msgspec.Struct):
    instance: int


class _Event(msgspec.Struct):
    instance: int
    type: str
    properties: msgspec.Raw


def _ran(call: ToolCall) -> dict[str, object]:
    return {"title": call.tool, "output": f"{call.tool} ran.", "metadata": {}}


_FORMS = {
    Line.ONE: ("connect", "const Peer =", "plugin"),
    Line.TWO: ("plugin", "default", "plugins"),
}
"""What a line's plugin file takes from the bridge, what it gives, and where it stands."""


class BridgePeer:
    """Speaks with the bridge; ``command`` is what the bridge must spawn."""

    def __init__(self, folder: Path) -> None:
        self.attached: list[Attached] = []
        """Every instance so far, oldest first."""
        self.attached_now: set[int] = set()
        self.events: list[tuple[str, int]] = []
        """The kind and the size, in bytes, of each event so far."""
        self.calls: list[ToolCall] = []
        self.answer: Callable[[ToolCall], dict[str, object]] = _ran
        """Runs a tool; what it raises as ``RpcError`` the model reads."""
        self.advise: Callable[[HookCall], object] = lambda _call: None
        """Says what a hook has to say."""
        self.changes = Changes()
        """Tells of each attachment and detachment."""
        self._path = folder / "peer.sock"
        self._relay = folder / "relay.py"
        self._connection: Connection | None = None
        self._transports: list[tuple[str, BridgeTransport]] = []
        self._losing = False

    def install(self, home: Home) -> None:
        """Put a plugin into ``home`` that connects the bridge to this peer."""
        command = json.dumps([sys.executable, str(self._relay), str(self._path)])
        taken, given, folder = _FORMS[home.line]
        (home.config / folder).mkdir(parents=True, exist_ok=True)
        (home.config / folder / "peer.js").write_text(
            f"import {{ {taken} }} from {json.dumps(str(BRIDGE))}; "
            f"export {given} {taken}({{ command: {command} }})\n"
        )
        self._relay.write_text(RELAY)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take the connection of the bridge within the block."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._path))
            listener.listen()
            listener.setblocking(False)
            serving = asyncio.create_task(self._serve(listener))
            try:
                yield
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    def transport(self, directory: Path) -> BridgeTransport:
        """Return a new transport to a project; it follows when OpenCode reloads it."""
        if self._connection is None:
            raise AssertionError("the bridge has not connected")
        newest = self.instances(directory)[-1]
        over_http = None if newest.line == 1 else False
        transport = BridgeTransport(
            self._connection, newest.instance, newest.base_url, over_http=over_http
        )
        self._transports.append((newest.directory, transport))
        return transport

    def instances(self, directory: Path) -> list[Attached]:
        """Return the instances that a project has had, oldest first."""
        return [one for one in self.attached if one.directory == str(directory)]

    async def until_attached(self, directory: Path, count: int = 1) -> None:
        """Return once a project has had so many instances."""
        await self.changes.until(
            lambda: len(self.instances(directory)) >= count, limit_s=ATTACH_LIMIT_S
        )

    @contextmanager
    def losing_events(self) -> Iterator[None]:
        """Lose events within the block, as if OpenCode had reloaded the project."""
        self._losing = True
        try:
            yield
        finally:
            self._losing = False
        for _, transport in self._transports:
            transport.moved_to(transport.instance)

    async def _serve(self, listener: socket.socket) -> None:
        control, _ = await asyncio.get_running_loop().sock_accept(listener)
        with control:
            control.setblocking(True)
            _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, control, 1, 1)
            reader, writer = await asyncio.open_connection(
                sock=socket.socket(fileno=descriptors[0])
            )
            notes = {"attach": self._attach, "event": self._event, "detach": self._detach}
            calls = {"tool": self._tool, "hook": self._hook}
            connection = self._connection = Connection(
                writer.write, calls=calls, notes=notes, translate=_translate
            )
            try:
                await pump(reader, connection.feed)
            finally:
                await connection.close("The bridge has gone.")
                writer.close()

    async def _tool(self, raw: msgspec.Raw) -> object:
        call = msgspec.json.decode(raw, type=ToolCall)
        self.calls.append(call)
        return self.answer(call)

    async def _hook(self, raw: msgspec.Raw) -> object:
        return self.advise(msgspec.json.decode(raw, type=HookCall))

    def _attach(self, raw: msgspec.Raw) -> None:
        about = msgspec.json.decode(raw, type=Attached)
        self.attached.append(about)
        self.attached_now.add(about.instance)
        for directory, transport in self._transports:
            if directory == about.directory:
                transport.moved_to(about.instance)
        self.changes.tell()

    def _event(self, raw: msgspec.Raw) -> None:
        if self._losing:
            return
        event = msgspec.json.decode(raw, type=_Event)
        self.events.append((event.type, len(raw)))
        for _, transport in self._transports:
            if transport.instance == event.instance:
                transport.on_event(event.type, event.properties)

    def _detach(self, raw: msgspec.Raw) -> None:
        gone = msgspec.json.decode(raw, type=_Detached)
        self.attached_now.discard(gone.instance)
        for _, transport in self._transports:
            transport.detached(gone.instance)
        self.changes.tell()


def _translate(error: Exception) -> RpcError | None:
    return error if isinstance(error, RpcError) else None
