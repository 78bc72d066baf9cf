"""``background-agents serve``: run an OpenCode without a screen, with the service in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import FrameType

from background_agents.client.connection import all_of
from background_agents.client.on_demand import LOOK_AGAIN_S, READY
from background_agents.client.opencode_server import OpenCodeServer, same_server
from background_agents.client.place import Place
from background_agents.domain.errors import NotServed
from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.arguments import add_place, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.plugin_files import Places, Scope
from background_agents.hosts.cli.typed import seconds

APPEAR_LIMIT_S = 30.0
"""From the loaded plugin to a service that listens: 0.3 s, on a busy machine some seconds."""

CHECKS = 6
"""How often it is looked within the idle time whether anything is active."""


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
    server = OpenCodeServer.start(place.directory, place.data_root, _plugin(place))
    try:
        _wait_for_service(server, place)
        # Whoever started us reads one line and leaves; a later one would break the pipe.
        print(READY, flush=True)
        _stay(server, place, given.idle_s)
    except KeyboardInterrupt:
        pass
    finally:
        server.end()
    return Exit.DONE


def _stay(server: OpenCodeServer, place: Place, idle_s: float | None) -> None:
    last_seen = last_active = time.monotonic()
    pace = (idle_s or 60.0) / CHECKS
    while True:
        try:
            server.process.wait(pace)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise NotServed(f"OpenCode has ended; {server.log} has its last words.")
        active, now = _active(server, place), time.monotonic()
        if active is not None:
            last_seen = now
        # One that has died is started again, and takes over what it ran.
        if active or (active is None and now - last_seen < APPEAR_LIMIT_S):
            last_active = now
        elif idle_s is not None and now - last_active >= idle_s:
            return


def _active(server: OpenCodeServer, place: Place) -> int | None:
    """Return how many delegations the OpenCode runs; None while there is no service in it."""
    for client in all_of(place.data_root):
        with client:
            try:
                about = client.about()
            except NotServed:
                continue  # one that hangs is somebody else's, or will be back
        # Not by its parent's pid: `opencode` may be a script that starts the program itself.
        if any(same_server(one.base_url, server.url) for one in about.served):
            return about.active
    return None


def _wait_for_service(server: OpenCodeServer, place: Place) -> None:
    """Return once the OpenCode has a service that answers. Raises ``NotServed``."""
    deadline = time.monotonic() + APPEAR_LIMIT_S
    while time.monotonic() < deadline and server.process.poll() is None:
        if _active(server, place) is not None:
            return
        time.sleep(LOOK_AGAIN_S)
    raise NotServed(
        f"The service did not come up in OpenCode; {place.data_root}/service.log may tell."
    )


def _plugin(place: Place) -> Path | None:
    """Return a plugin file for an OpenCode that does not load one by itself."""
    places = Places.of(place.directory, os.environ)
    if any(plugin_files.is_installed(places, scope) for scope in Scope):
        return None
    return plugin_files.write_aside(place.data_root)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
