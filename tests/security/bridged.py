"""The service as a process of its own, with a test in the place of the bridge."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LIMIT_S = 20
"""The process answers within a quarter of a second of its start."""

COMMAND = [sys.executable, "-m", "background_agents", "bridge"]

Fetch = Mapping[str, object]
"""A request into OpenCode: method, path, headers and so on."""

FOUND: Mapping[str, object] = {"result": {"status": 200, "body": '{"id": "ses_1"}'}}
"""Whatever OpenCode is asked for exists."""


class Service:
    """The running process; ``fetched`` answers what it asks of OpenCode."""

    def __init__(self, end: socket.socket, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.fetched: Callable[[Fetch], Mapping[str, object]] = lambda _: FOUND
        self._end = end
        self._lines = end.makefile("rb")
        self._directory = folder

    def attach(self) -> None:
        """Open a project."""
        about = {"directory": str(self._directory), "base_url": "http://localhost:4096"}
        self.send({"method": "attach", "params": {"instance": 1, **about}})

    def tool(self, name: str, **args: object) -> str:
        """Call a tool and return what the model reads."""
        call = {"instance": 1, "tool": name, "session": "ses_1", "args": args}
        answer = self.ask("tool", call)
        told = answer.get("result") or answer["error"]
        assert isinstance(told, dict)
        return str(told.get("output") or told["message"])

    def ask(self, method: str, params: object) -> Mapping[str, object]:
        """Send a request and return the answer to it."""
        self.send({"id": 1, "method": method, "params": params})
        while (message := self._next()).get("id") != 1 or "method" in message:
            if "method" in message and "id" in message:
                self.send({"id": message["id"], **self.fetched(message["params"])})
        return message

    def send(self, message: Mapping[str, object]) -> None:
        self.send_raw(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        self._end.sendall(data)

    def close(self) -> None:
        """Close the socket, which ends the service."""
        self._lines.close()
        self._end.close()

    def _next(self) -> dict[str, object]:
        line = self._lines.readline()
        assert line, "the service has ended"
        message: dict[str, object] = json.loads(line)
        return message


@contextmanager
def service_in(
    home: Path, *, umask: int = 0o022, within: Sequence[str] = (), **env: str
) -> Iterator[Service]:
    """Start the service with one end of a socket as its descriptor 3; its stderr is a file.

    ``within`` is what starts the command, such as ``unshare``.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    places = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    with (home / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs.fileno()}', "bash", *within, *COMMAND],
            pass_fds=(theirs.fileno(),),
            env={**os.environ, **places, **env},
            stderr=stderr,
            umask=umask,
        )
    theirs.close()
    service = Service(ours, process, home)
    try:
        yield service
    finally:
        service.close()
        process.kill()
        process.wait(LIMIT_S)


def data_root(home: Path) -> Path:
    """Return the folder in which everything of ours lies."""
    return home / "opencode" / "delegations"
