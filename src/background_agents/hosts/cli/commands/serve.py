"""``background-agents serve``: run an OpenCode without a screen, with the service in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import FrameType

from background_agents.control.client import Client, all_of
from background_agents.domain.errors import NotServed
from background_agents.hosts.cli import plugin_files
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.on_demand import LOOK_AGAIN_S, READY
from background_agents.hosts.cli.opencode_server import OpenCodeServer, same_server
from background_agents.hosts.cli.place import Place, add_place, place_of
from background_agents.hosts.cli.plugin_files import Places, Scope
from background_agents.hosts.cli.spans import seconds

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
        client = _service_in(server, place)
        print(READY, flush=True)
        # Whoever started us reads one line and leaves; a later one would break the pipe.
        with client:
            _stay(server, client, given.idle_s)
    except KeyboardInterrupt:
        pass
    finally:
        server.end()
    return Exit.DONE


def _stay(server: OpenCodeServer, client: Client, idle_s: float | None) -> None:
    last_active = time.monotonic()
    pace = (idle_s or 60.0) / CHECKS
    while True:
        try:
            server.process.wait(pace)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise NotServed(f"OpenCode has ended; {server.log} has its last words.")
        now = time.monotonic()
        if _is_active(client):
            last_active = now
        elif idle_s is not None and now - last_active >= idle_s:
            return


def _is_active(client: Client) -> bool:
    try:
        return client.about().active > 0
    except NotServed:
        return True  # it is being started again; what it ran is taken over


def _service_in(server: OpenCodeServer, place: Place) -> Client:
    """Return the service that the OpenCode has started. Raises ``NotServed``."""
    deadline = time.monotonic() + APPEAR_LIMIT_S
    while time.monotonic() < deadline and server.process.poll() is None:
        for client in all_of(place.data_root):
            if _is_of(client, server):
                return client
            client.close()
        time.sleep(LOOK_AGAIN_S)
    raise NotServed(
        f"The service did not come up in OpenCode; {place.data_root}/service.log may tell."
    )


def _is_of(client: Client, server: OpenCodeServer) -> bool:
    """Return whether a service is that of an OpenCode; one that hangs is somebody else's."""
    try:
        served = client.about().served
    except NotServed:
        return False
    # Not by its parent's pid: `opencode` may be a script that starts the program itself.
    return any(same_server(one.base_url, server.url) for one in served)


def _plugin(place: Place) -> Path | None:
    """Return a plugin file for an OpenCode that does not load one by itself."""
    places = Places.of(place.directory, os.environ)
    if any(plugin_files.is_installed(places, scope) for scope in Scope):
        return None
    return plugin_files.write_aside(place.data_root)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
