"""What the doctor finds of OpenCode 2's managed server, and of what only OpenCode 2 does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patients import Patient, findings, process, write

from background_agents.hosts.cli.diagnosis.findings import Mark
from background_agents.hosts.cli.installing.plugin_files import BRIDGE

pytestmark = pytest.mark.opencode

SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_in = self.headers.get("authorization") == "Basic b3BlbmNvZGU6c2VjcmV0"
        self.send_response(200 if is_in else 401)
        self.end_headers()
        if is_in: self.wfile.write(json.dumps({"healthy": True, "pid": 1, "version": "2"}).encode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""What OpenCode 2 answers to whoever comes as ``opencode:secret``."""


def registered(used: Patient, pid: int, port: int, password: str = "secret") -> Path:
    about = {"version": "2.1.0", "url": f"http://127.0.0.1:{port}", "pid": pid}
    text = json.dumps({"id": "x", **about, "password": password})
    return write(used.home.root / "state" / "opencode" / "service.json", text)


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """Run something that answers as a managed server does; yield its pid and port."""
    running = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    with running.stdout:
        try:
            yield running.pid, int(running.stdout.readline())
        finally:
            running.kill()
            running.wait()


def test_one_that_serves_is_told(used: Patient) -> None:
    with served() as (pid, port):
        registered(used, pid, port)
        one = used.finding("opencode.server")
    assert one.mark is Mark.OK
    assert one.says == (
        f"OpenCode 2's managed server (version 2.1.0, process {pid}) serves "
        f"http://127.0.0.1:{port}."
    )


def test_one_that_was_killed_is_told(used: Patient) -> None:
    with process() as running:
        file = registered(used, running.pid, 9)
    one = used.finding("opencode.server")
    assert (one.mark, one.mend) == (Mark.WARNING, "opencode service start")
    assert one.details == (str(file),)


def test_one_that_hangs_or_has_another_password_is_told(used: Patient) -> None:
    (used.programs / "opencode2").symlink_to("opencode")
    with served() as (pid, port):
        registered(used, pid, port, password="another")
        one = used.finding("opencode.server")
        assert (one.mark, one.mend) == (
            Mark.PROBLEM,
            f"{used.programs}/opencode2 service restart",
        )
        registered(used, pid, port)
        os.kill(pid, signal.SIGSTOP)
        assert used.finding("opencode.server").mark is Mark.PROBLEM


def test_without_one_nothing_is_said(used: Patient) -> None:
    assert "opencode.server" not in {one.check for one in findings(used.examined())}
    write(used.home.root / "state" / "opencode" / "service.json", "{")
    assert "opencode.server" not in {one.check for one in findings(used.examined())}


def test_a_file_for_opencode_1_alone_is_told(used: Patient) -> None:
    comment, _ = used.shim().read_text().splitlines()
    code = f'import {{ connect }} from "{BRIDGE}"; '
    code += f'export const BackgroundAgents = connect({{ python: "{sys.executable}" }})'
    used.shim().write_text(f"{comment}\n{code}\n")
    one = used.finding("plugin.file")
    assert (one.mark, one.mend) == (Mark.WARNING, "background-agents install")
    assert "OpenCode 2 does not load it" in one.says
    assert used.finding("plugin.python").mark is Mark.OK


def test_a_folder_that_takes_the_place_of_ours_is_told(used: Patient) -> None:
    used.env["OPENCODE_CONFIG_DIR"] = str(used.home.root / "another")
    one = used.finding("plugin.loaded")
    assert (one.mark, one.mend) == (Mark.WARNING, "unset OPENCODE_CONFIG_DIR")
