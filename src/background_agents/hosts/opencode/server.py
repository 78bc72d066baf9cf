"""The process at the other end of the bridge: one per OpenCode, for all its projects.

Turns the bridge's calls into operations on ``Delegations`` and nothing more. It ends when
its socket does, which is when OpenCode ends, however that came about.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from background_agents import __version__, config
from background_agents.adapters.opencode.transport_bridge import BridgeTransport
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.adapters.system.processes import process_name
from background_agents.app import AnyRuntime, App
from background_agents.control import places, protocol, shells
from background_agents.control.server import ControlServer
from background_agents.control.shells import Starter
from background_agents.domain.errors import BadSetting, DelegationError, OnlyReads
from background_agents.hosts.opencode.hooks import HookCall, Hooks, Told
from background_agents.hosts.opencode.tools import NAMES, Answer, Call, run_tool
from background_agents.hosts.opencode.v1.hooks import OpenCodeHooks
from background_agents.hosts.opencode.v2.hooks import OpenCode2Hooks
from background_agents.log import open_log
from background_agents.rpc.connection import Connection
from background_agents.rpc.descriptor import NoSocket, open_descriptor, pump
from background_agents.rpc.messages import RpcError
from background_agents.service.delegations import Delegations
from background_agents.service.tasks import Tasks
from background_agents.views.errors import for_model

log = logging.getLogger(__name__)

BRIDGE_FD = 3
"""Where the bridge puts its socket; stdin and stdout stay out of the way of frames."""

BEFORE_COMMAND = {"--print-logs": 1, "--pure": 1, "--log-level": 2}
"""OpenCode's options that may stand before its command, with how many words each has."""

CLOSE_LIMIT_S = 2.0
"""The bridge kills what has not ended three seconds after its socket was closed."""


class Attach(msgspec.Struct):
    """A plugin instance: one project directory of the OpenCode process."""

    instance: int
    directory: str
    base_url: str
    argv: list[str] = []
    """The beginning of each word that OpenCode was started with."""
    line: int = 1
    """1 or 2: which of OpenCode's two kinds it is."""


class Detach(msgspec.Struct):
    instance: int


class Event(msgspec.Struct):
    instance: int
    type: str
    properties: msgspec.Raw
    nowhere: bool = False
    """It names no directory, and is told by each instance."""


class Directory:
    """A directory that OpenCode has open, from its first instance on."""

    def __init__(self, app: App, directory: Path, transport: BridgeTransport, line: int) -> None:
        self.transport = transport
        self._runtime = app.runtime(transport, line)
        self.hooks = _hooks(self._runtime)
        self._app = app
        self._directory = directory
        self._opening = self._open()

    async def delegations(self) -> Delegations:
        """Return its delegations; what kept it from opening may be mended by now."""
        if self._opening.done() and self._opening.exception() is not None:
            self._opening = self._open()
        return await asyncio.shield(self._opening)

    def close(self) -> None:
        """Stop opening it, if that still goes on."""
        self._opening.cancel()
        self.hooks.close()

    def _open(self) -> asyncio.Task[Delegations]:
        opening = asyncio.create_task(self._app.open_directory(self._directory, self._runtime))
        opening.add_done_callback(_log_failure)
        return opening


def _hooks(runtime: AnyRuntime) -> Hooks:
    if isinstance(runtime, OpenCodeRuntime):
        return OpenCodeHooks(runtime)
    return OpenCode2Hooks(runtime)


class Host:
    """The bridge's counterpart."""

    def __init__(self, app: App, env: Mapping[str, str]) -> None:
        self._app = app
        # An OpenCode that was started from a background agent's shell is below it with all it runs.
        self._starter = shells.starter_of()
        self._authorization = _authorization(env)
        self._directories: dict[str, Directory] = {}
        self._homes: dict[int, str] = {}
        """Of each instance, the directory that it is served with; an isolated tree has another's,
        which may be attached after it."""
        self._guests: dict[str, int] = {}
        """The newest instances of isolated trees, by directory."""
        self._connection: Connection | None = None

    def connect(self, connection: Connection) -> None:
        """Use ``connection`` for requests into OpenCode."""
        self._connection = connection

    def attach(self, raw: msgspec.Raw) -> None:
        """A project was opened, or opened anew after OpenCode reloaded it."""
        about = msgspec.json.decode(raw, type=Attach)
        if self._connection is None:
            raise AssertionError("attached before connected")
        home = self._app.home_of(about.directory)
        self._homes[about.instance] = home
        found = self._directories.get(home)
        if home != about.directory:
            self._take_in(about, found)
            return
        if found is not None:
            found.transport.moved_to(about.instance)
        else:
            transport = self._transport(self._connection, about)
            found = Directory(self._app, Path(about.directory), transport, about.line)
            self._directories[about.directory] = found
        found.hooks.prepare()
        for directory, instance in self._guests.items():
            if self._homes.get(instance) == about.directory:
                found.transport.guest_came(directory)

    def _take_in(self, about: Attach, home: Directory | None) -> None:
        """An isolated tree was opened, in which children of another directory's sessions work."""
        was = self._guests.get(about.directory)
        self._guests[about.directory] = about.instance
        if home is None:
            return
        home.transport.guest_came(about.directory)
        if was is not None:
            home.transport.on_restored()  # what its sessions told in between nobody has heard

    def _at(self, instance: int) -> Directory | None:
        return self._directories.get(self._homes.get(instance, ""))

    def _transport(self, connection: Connection, about: Attach) -> BridgeTransport:
        return BridgeTransport(
            connection,
            about.instance,
            about.base_url,
            authorization=self._authorization,
            ends_with_turn=ends_with_turn(about.argv),
            # OpenCode 2's plugin has no other way in.
            over_http=None if about.line == 1 else False,
        )

    def detach(self, raw: msgspec.Raw) -> None:
        """An instance was disposed. Its project stays open: another one may follow."""
        instance = msgspec.json.decode(raw, type=Detach).instance
        found = self._at(instance)
        self._homes.pop(instance, None)
        if found is None:
            return
        found.transport.detached(instance)
        for directory, guest in self._guests.items():
            if guest == instance:
                found.transport.guest_left(directory)

    def event(self, raw: msgspec.Raw) -> None:
        """Something happened in a project."""
        event = msgspec.json.decode(raw, type=Event)
        found = self._at(event.instance)
        if found is None:
            return
        is_guests = not event.nowhere and event.instance in self._guests.values()
        if is_guests or event.instance == found.transport.instance:
            found.transport.on_event(event.type, event.properties)

    async def tool(self, raw: msgspec.Raw) -> Answer:
        """A model called a tool."""
        call = msgspec.json.decode(raw, type=Call)
        if call.tool == protocol.DELEGATE and self._starter is Starter.BACKGROUND:
            raise OnlyReads(call.tool)
        found = self._at(call.instance)
        if found is None:
            raise RpcError(protocol.REFUSED, "This project was closed; try again.")
        return await run_tool(await found.delegations(), call)

    async def hook(self, raw: msgspec.Raw) -> str | Told | None:
        """OpenCode is about to do something that we may have a word to say about."""
        call = msgspec.json.decode(raw, type=HookCall)
        found = self._at(call.instance)
        if found is None:
            return None
        return await found.hooks.run(call, await found.delegations())

    def about(self) -> protocol.About:
        """Return what the user's programs are told of this process."""
        urls = {str(Path(name)): one.transport.base_url for name, one in self._directories.items()}
        projects = self._app.projects
        return protocol.About(
            version=__version__,
            pid=os.getpid(),
            host_pid=os.getppid(),
            active=sum(project.user.active for project in projects),
            served=tuple(
                protocol.Served(
                    project=project.context.project,
                    directory=directory,
                    base_url=urls.get(directory, ""),
                )
                for project in projects
                for directory in project.directories
            ),
            failing=tuple(
                protocol.Failing(
                    project=project.context.project,
                    name=one.name,
                    since=one.since,
                    error=one.error,
                )
                for project in projects
                for one in project.failing
            ),
        )

    async def close(self) -> None:
        """End everything in a bounded time."""
        for directory in self._directories.values():
            directory.close()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._app.close()
        except TimeoutError:
            log.error("not everything ended within %s s", CLOSE_LIMIT_S)


def main() -> None:
    """Serve the bridge on descriptor 3 until its other end is closed."""
    try:
        asyncio.run(serve(os.environ))
    except NoSocket as error:
        raise SystemExit(f"background-agents bridge: {error}.") from error


async def serve(env: Mapping[str, str]) -> None:
    """Serve the bridge with the settings of ``env``."""
    # Ctrl-C in a terminal reaches us too, but OpenCode decides whether it means the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader, write = await open_descriptor(BRIDGE_FD)
    data_root = config.data_root(env)
    try:
        settings = config.load(env)
    except BadSetting as error:
        await _explain(error, reader, write)
        return
    open_log(data_root, settings.log)
    app = App(settings, data_root, NAMES)
    host = Host(app, env)
    path = places.path_of(data_root, process_name())
    control = ControlServer(path, lambda: [one.user for one in app.projects], host.about)
    connection = Connection(
        write,
        calls={"tool": host.tool, "hook": host.hook},
        notes={"attach": host.attach, "detach": host.detach, "event": host.event},
        translate=_translate,
    )
    host.connect(connection)
    listening = Tasks().spawn(control.start(), "opening the control socket")
    await _pump_until_term(reader, connection)
    await asyncio.wait([listening])
    await control.close()
    await connection.close("OpenCode has ended.")
    await host.close()


async def _pump_until_term(reader: asyncio.StreamReader, connection: Connection) -> None:
    pumping = asyncio.create_task(pump(reader, connection.feed))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, pumping.cancel)
    await asyncio.wait([pumping])
    if not pumping.cancelled() and (error := pumping.exception()) is not None:
        log.error("reading from the bridge failed", exc_info=error)


async def _explain(
    error: BadSetting, reader: asyncio.StreamReader, write: Callable[[bytes], None]
) -> None:
    """Answer every tool with what is wrong with the settings, until OpenCode ends."""

    async def tool(_raw: msgspec.Raw) -> Answer:
        raise error

    def ignore(_raw: msgspec.Raw) -> None:
        """Nothing is served, so nothing is followed."""

    notes = dict.fromkeys(("attach", "detach", "event"), ignore)
    connection = Connection(write, calls={"tool": tool}, notes=notes, translate=_translate)
    await _pump_until_term(reader, connection)


def _translate(error: Exception) -> RpcError | None:
    is_told = isinstance(error, DelegationError)
    return RpcError(protocol.REFUSED, for_model(error)) if is_told else None


def ends_with_turn(argv: Sequence[str]) -> bool:
    """Return whether an OpenCode that was started so ends with one turn, as ``opencode run`` does.

    With ``--interactive`` it does not. (Seen alike on 1.15.4, 1.17.19 and 1.18.33: nothing but the
    command line tells; ``run --attach`` loads no plugin.)
    """
    words = list(argv)
    while words and words[0] in BEFORE_COMMAND:
        del words[: BEFORE_COMMAND[words[0]]]
    return words[:1] == ["run"] and not {"-i", "--interactive"} & set(words)


def _authorization(env: Mapping[str, str]) -> str | None:
    """Return the header for an OpenCode that asks for a password; it is inherited from it."""
    password = env.get("OPENCODE_SERVER_PASSWORD")
    if not password:
        return None
    user = env.get("OPENCODE_SERVER_USERNAME") or "opencode"
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _log_failure(opening: asyncio.Task[Delegations]) -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        log.error("a directory could not be opened: %s", error)
