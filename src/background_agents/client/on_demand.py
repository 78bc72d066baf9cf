"""A service for a project: one that lives, or one that is started for the occasion.

Work is always supervised by the service inside an OpenCode, since the agents live there. Where none
has the project open, ``serve`` is started beside us, which has OpenCode 2's managed server open it,
or runs an OpenCode without a screen.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from background_agents.client.connection import Connection, all_of
from background_agents.client.managed_server import environment_for
from background_agents.client.opencode_server import load_instance, same_server
from background_agents.client.place import Place
from background_agents.control import protocol
from background_agents.domain.errors import NotServed

START_LIMIT_S = 90.0
"""OpenCode's very first start installs a package of its own, which was seen to take half a minute;
later ones take 1 to 4 s."""

APPEAR_LIMIT_S = 10.0
"""From an OpenCode that has opened a project to a service that listens: 0.3 s, on a busy machine
some seconds. Without our plugin nothing appears, and that is said then."""

LOOK_AGAIN_S = 0.05
"""Between two looks for a socket: no event tells of one that another program makes."""

IDLE_S = 60.0
"""How long an OpenCode that was started on demand stays after its last delegation."""

READY = "ready"
"""The first line that ``serve`` writes, once work can be handed to it."""


def service_for(place: Place, url: str | None = None) -> tuple[Connection, str]:
    """Return a connection to a service that has the place open, and the directory it has.

    Raises:
        NotServed: there is none, and none could be started.
    """
    if url is not None:
        return _at(url, place)
    found = open_in(place)
    if found is not None:
        return found
    start(place)
    found = open_in(place)
    if found is None:
        raise NotServed(f"The OpenCode that was started for {place.directory} has ended again.")
    return found


def open_in(place: Place) -> tuple[Connection, str] | None:
    """Return a service that has the place's folder open, or else one above it in its project."""
    here = place.directory
    return _find(place, lambda one: Path(one.directory) == here) or _find(
        place, lambda one: Path(one.directory) in here.parents
    )


def start(place: Place) -> None:
    """Start ``serve`` for a place and return when it is ready. Raises ``NotServed``."""
    command = [
        # As the bridge: nothing of Python's is taken from the folder or the shell.
        *(sys.executable, "-E", "-P", "-m", "background_agents", "serve"),
        *("--directory", str(place.directory), "--idle", f"{IDLE_S:g}s"),
    ]
    serving = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # It outlives this program and the terminal.
        start_new_session=True,
    )
    if serving.stdout is None:
        raise AssertionError("its output is piped")
    with serving.stdout:
        ready, _, _ = select.select([serving.stdout], [], [], START_LIMIT_S)
        said = serving.stdout.readline().strip() if ready else "it took too long"
    if said != READY:
        if serving.poll() is None:
            serving.terminate()
        raise NotServed(said or "OpenCode could not be started.")


def _at(url: str, place: Place) -> tuple[Connection, str]:
    """Return the service inside the OpenCode at ``url``, which may open the place only now."""
    load_instance(url, place.directory, environment_for(url, os.environ))

    def matches(one: protocol.Served) -> bool:
        return Path(one.directory) == place.directory and same_server(one.base_url, url)

    deadline = time.monotonic() + APPEAR_LIMIT_S
    while time.monotonic() < deadline:
        found = _find(place, matches)
        if found is not None:
            return found
        time.sleep(LOOK_AGAIN_S)
    raise NotServed(
        f"The OpenCode at {url} does not load background-agents; run `background-agents install` "
        "and start it again."
    )


def _find(
    place: Place, matches: Callable[[protocol.Served], bool]
) -> tuple[Connection, str] | None:
    for client in all_of(place.data_root):
        try:
            served = client.about().served
        except NotServed:
            client.close()
            continue
        for one in served:
            if one.project == place.project and matches(one):
                return client, one.directory
        client.close()
    return None
