"""``background-agents serve``: run an OpenCode without a screen, with the service in it.

Where OpenCode 2's managed server runs, that one serves the project: two servers of one user would
each know half of what goes on. It is not ended then.
"""

from __future__ import annotations

import os
import signal
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import FrameType
from typing import Protocol

from background_agents.client import managed_server
from background_agents.client.connection import all_of
from background_agents.client.on_demand import LOOK_AGAIN_S, READY
from background_agents.client.opencode_server import OpenCodeServer, load_instance, same_server
from background_agents.client.place import Place
from background_agents.domain.errors import NotServed
from background_agents.hosts.cli.arguments import add_place, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.installing import plugin_files
from background_agents.hosts.cli.installing.plugin_files import Places, Scope
from background_agents.hosts.cli.typed import seconds

APPEAR_LIMIT_S = 30.0
"""From the loaded plugin to a service that listens: 0.3 s, on a busy machine some seconds."""

CHECKS = 6
"""How often it is looked within the idle time whether anything is active."""


class Server(Protocol):
    """An OpenCode that serves, whoever has started it."""

    @property
    def url(self) -> str: ...

    @property
    def log(self) -> Path:
        """Where it says what goes wrong."""

    def has_ended(self, within_s: float) -> bool:
        """Wait for its end so long, and return whether it came."""

    def end(self) -> None:
        """End it, if that is for us to do."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take where, and when to end."""
    parser.add_argument(
        "--idle", metavar="TIME", type=seconds, default=None, dest="idle_s",
        help="end when nothing has been active for so long, such as 60s (default: stay)",
    )  # fmt: skip
    add_place(parser)


def run(given: Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM, or the end of the idle time."""
    place = place_of(given)
    signal.signal(signal.SIGTERM, _end)
    server = _server(place)
    try:
        _wait_for_service(server, place)
        # Whoever started us reads one line and leaves; a later one would break the pipe.
        print(READY, flush=True)
        if given.idle_s is None or isinstance(server, OpenCodeServer):
            _stay(server, place, given.idle_s)
    except KeyboardInterrupt:
        pass
    finally:
        server.end()
    return Exit.DONE


def _server(place: Place) -> Server:
    """Return the managed server if it runs and loads us, or else one that is started."""
    is_installed = _is_installed(place)
    managed = None if os.environ.get("OPENCODE_BIN") else managed_server.registered(os.environ)
    if managed is not None and is_installed and managed.answers():
        load_instance(managed.url, place.directory, managed.env)
        return managed
    plugin = None if is_installed else plugin_files.write_aside(place.data_root)
    return OpenCodeServer.start(place.directory, place.data_root, plugin)


def _is_installed(place: Place) -> bool:
    places = Places.of(place.directory, os.environ)
    return any(plugin_files.is_installed(places, scope) for scope in Scope)


def _stay(server: Server, place: Place, idle_s: float | None) -> None:
    last_seen = last_active = time.monotonic()
    pace = (idle_s or 60.0) / CHECKS
    while True:
        if server.has_ended(pace):
            raise NotServed(f"OpenCode has ended; {server.log} has its last words.")
        active, now = _active(server, place), time.monotonic()
        if active is not None:
            last_seen = now
        # One that has died is started again, and takes over what it ran.
        if active or (active is None and now - last_seen < APPEAR_LIMIT_S):
            last_active = now
        elif idle_s is not None and now - last_active >= idle_s:
            return


def _active(server: Server, place: Place) -> int | None:
    """Return how many delegations the OpenCode runs; None while nothing in it serves the place."""
    for client in all_of(place.data_root):
        with client:
            try:
                about = client.about()
            except NotServed:
                continue  # one that hangs is somebody else's, or will be back
        # Not by its parent's pid: `opencode` may be a script that starts the program itself.
        here = (one for one in about.served if Path(one.directory) == place.directory)
        if any(same_server(one.base_url, server.url) for one in here):
            return about.active
    return None


def _wait_for_service(server: Server, place: Place) -> None:
    """Return once the OpenCode has a service that answers. Raises ``NotServed``."""
    deadline = time.monotonic() + APPEAR_LIMIT_S
    while time.monotonic() < deadline:
        if _active(server, place) is not None:
            return
        if server.has_ended(LOOK_AGAIN_S):
            break
    raise NotServed(
        "The service did not come up in OpenCode; `background-agents doctor` tells what is wrong, "
        f"or {server.log}."
    )


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
