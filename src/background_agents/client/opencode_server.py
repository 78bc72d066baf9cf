"""OpenCode as a server without a screen: started, asked whether it is well, and ended.

Knows how the two lines of OpenCode differ in that, which is a handful of addresses and names;
nothing of delegations.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from background_agents.adapters.files.private import open_private, private_root
from background_agents.client.opencode_program import Line, programs
from background_agents.domain.errors import InvalidRequest, NotServed

PROBE_LIMIT_S = 0.5
"""A request that arrives while the port opens may never be answered, so each is given up soon."""

HEALTHY_LIMIT_S = 60.0
"""A first start installs a package; 1 to 4 s later on."""

LOAD_LIMIT_S = 60.0
"""Opening a project loads its plugins; a first time as slowly as a first start."""

END_LIMIT_S = 5.0
"""OpenCode disposes its plugins on SIGTERM within a second."""

PASSWORD, PASSWORD_OF_1 = "OPENCODE_PASSWORD", "OPENCODE_SERVER_PASSWORD"
"""OpenCode 2 takes either, OpenCode 1 the second."""


class _Api(NamedTuple):
    """What a line of OpenCode serves."""

    health: tuple[str, ...]
    """Where it says that it is well; the newest name last."""
    says: str
    """What the answer has that the other line's has not: some paths both of them answer."""
    load: str
    """What makes it open a directory, with its plugins, once the directory is put behind it."""
    passwords: tuple[str, ...]
    """Where it has its password from."""
    username: str | None
    """Where it has a user's name from; whom else it lets in is called ``opencode``."""


_APIS = {
    Line.TWO: _Api(
        ("/api/health", "/api/info"), "pid", "/api/agent?location[directory]=",
        (PASSWORD, PASSWORD_OF_1), None,
    ),
    Line.ONE: _Api(
        ("/global/health",), "version", "/agent?directory=",
        (PASSWORD_OF_1,), "OPENCODE_SERVER_USERNAME",
    ),
}  # fmt: skip


@dataclass
class OpenCodeServer:
    """``opencode serve`` on a free port of this machine, with a password of its own."""

    process: subprocess.Popen[bytes]
    url: str
    env: Mapping[str, str]
    log: Path

    @classmethod
    def start(cls, directory: Path, data_root: Path, plugin: Path | None) -> OpenCodeServer:
        """Start it in ``directory``, with ``plugin`` beside those that it loads anyway.

        Raises:
            NotServed: there is no OpenCode, or it did not come up.
        """
        program = next(iter(programs(os.environ)), None)
        if program is None:
            raise NotServed("OpenCode was not found; install it, or name it with OPENCODE_BIN.")
        env = dict(os.environ)
        secret = env.get(PASSWORD) or env.get(PASSWORD_OF_1) or secrets.token_urlsafe(24)
        env |= {PASSWORD: secret, PASSWORD_OF_1: secret}
        if plugin is not None:
            env["OPENCODE_CONFIG_CONTENT"] = _with_plugin(env, plugin)
        port = _free_port()
        private_root(data_root)
        log = data_root / "opencode-serve.log"
        descriptor = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            process = subprocess.Popen(
                [program, "serve", "--hostname", "127.0.0.1", "--port", str(port)],
                cwd=directory, env=env, stdin=subprocess.DEVNULL,
                stdout=descriptor, stderr=descriptor,
                # Nothing of ours would end it if we were killed.
                preexec_fn=_end_with_parent,
            )  # fmt: skip
        except OSError as error:
            raise NotServed(f"{program} could not be started: {error.strerror}.") from error
        finally:
            os.close(descriptor)
        server = cls(process, f"http://127.0.0.1:{port}", env, log)
        try:
            server._wait_until_healthy()
            load_instance(server.url, directory, env)
        except BaseException:
            server.end()
            raise
        return server

    def has_ended(self, within_s: float) -> bool:
        """Wait for its end so long, and return whether it came."""
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it, and with it the service that it hosts."""
        self.process.terminate()
        try:
            self.process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTHY_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if line_at(self.url, self.env, PROBE_LIMIT_S) is not None:
                return
            time.sleep(0.05)  # there is no event for "another program opened its port"
        ended = self.process.poll() is not None
        what = f"ended with code {self.process.returncode}" if ended else "does not answer"
        raise NotServed(f"OpenCode was started and {what}; {self.log} has its last words.")


def load_instance(url: str, directory: Path, env: Mapping[str, str] = os.environ) -> None:
    """Have the OpenCode at ``url`` open a directory, with its plugins. Raises ``NotServed``."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InvalidRequest(f"{url!r} is no address; write it as http://127.0.0.1:4096.")
    # One that answers neither is asked as OpenCode 2: what it answers says what is wrong.
    line = line_at(url, env, LOAD_LIMIT_S) or Line.TWO
    address = f"{url.rstrip('/')}{_APIS[line].load}{quote(str(directory))}"
    try:
        with urlopen(_request(address, env, line), timeout=LOAD_LIMIT_S) as answer:
            answer.read()
    except HTTPError as error:
        hint = f"; set {PASSWORD_OF_1}" if error.code == 401 else ""
        raise NotServed(f"The OpenCode at {url} answers {error.code}{hint}.") from error
    except (URLError, OSError) as error:
        raise NotServed(f"No OpenCode answers at {url}; start `opencode serve` there.") from error


def line_at(url: str, env: Mapping[str, str], limit_s: float) -> Line | None:
    """Return of which line the OpenCode at ``url`` is; None if there is none that lets us in."""
    for line, api in _APIS.items():
        for path in api.health:
            if _says(_request(f"{url.rstrip('/')}{path}", env, line), api.says, limit_s):
                return line
    return None


def same_server(one: str, other: str) -> bool:
    """Return whether two addresses are of one server on this machine."""
    return _port(one) == _port(other)


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _says(request: Request, member: str, limit_s: float) -> bool:
    """Return whether a request is answered by a JSON object that has a member."""
    try:
        with urlopen(request, timeout=limit_s) as answer:
            told = json.loads(answer.read())
    except (OSError, ValueError):  # URLError is an OSError
        return False
    return isinstance(told, dict) and member in told


def _request(address: str, env: Mapping[str, str], line: Line) -> Request:
    request = Request(address)
    api = _APIS[line]
    password = next((given for name in api.passwords if (given := env.get(name))), None)
    if password:
        user = (api.username and env.get(api.username)) or "opencode"
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("authorization", f"Basic {secret}")
    return request


def _with_plugin(env: Mapping[str, str], plugin: Path) -> str:
    """Return OpenCode's inline configuration with one more plugin."""
    given = env.get("OPENCODE_CONFIG_CONTENT") or "{}"
    try:
        config = json.loads(given)
    except ValueError as error:
        raise InvalidRequest(f"OPENCODE_CONFIG_CONTENT is not JSON: {error}.") from error
    # OpenCode 2 takes the first as well, as long as the second, which is its own, is not there.
    key = "plugins" if "plugins" in config else "plugin"
    return json.dumps({**config, key: [*config.get(key, []), plugin.as_uri()]})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent dies; only Linux can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


_PR_SET_PDEATHSIG = 1
"""From ``linux/prctl.h``."""
