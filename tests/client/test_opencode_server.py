"""Of which line a server is, and who is let in: by servers that answer as the two lines do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from background_agents.client.managed_server import environment_for, registered
from background_agents.client.opencode_program import Line
from background_agents.client.opencode_server import line_at, load_instance
from background_agents.domain.errors import NotServed

ONE = {"/global/health": {"healthy": True, "version": "1.18.33"}, "/api/health": {"healthy": True}}
"""What OpenCode 1 answers: it serves a part of OpenCode 2's paths (seen on 1.17.19 and 1.18.33)."""

TWO = {"/api/health": {"healthy": True, "version": "0.0.0-next-16350", "pid": 7}}

NEWER = {"/api/info": {"version": "2.2.0", "pid": 7, "urls": []}}
"""As the newest public source of OpenCode 2 has it."""

LOADS = {Line.ONE: "/agent?directory=", Line.TWO: "/api/agent?location[directory]="}


@contextmanager
def serving(answers: dict[str, dict[str, object]], secret: str) -> Iterator[tuple[str, list[str]]]:
    """Run a server with a password; yield its address, and what was asked of it and granted."""
    granted: list[str] = []
    key = f"Basic {base64.b64encode(f'opencode:{secret}'.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("authorization") != key:
                self.send_response(401)
                self.end_headers()
                return
            granted.append(self.path)
            self.send_response(200)
            self.end_headers()
            # What it does not know is its web page's.
            answer = answers.get(self.path)
            self.wfile.write(json.dumps(answer).encode() if answer else b"<!doctype html>")

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", granted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("answers", "name", "line"),
    [
        (ONE, "OPENCODE_SERVER_PASSWORD", Line.ONE),
        (TWO, "OPENCODE_SERVER_PASSWORD", Line.TWO),
        (TWO, "OPENCODE_PASSWORD", Line.TWO),
        (NEWER, "OPENCODE_PASSWORD", Line.TWO),
    ],
)
def test_each_line_is_known_by_its_answers_and_opens_a_directory(
    answers: dict[str, dict[str, object]], name: str, line: Line
) -> None:
    with serving(answers, "secret") as (url, granted):
        assert line_at(url, {name: "secret"}, 5) is line
        load_instance(f"{url}/", Path("/the project"), {name: "secret"})
    assert granted[-1] == f"{LOADS[line]}/the%20project"


def test_opencode_1_does_not_know_the_password_of_opencode_2() -> None:
    with serving(ONE, "secret") as (url, _):
        assert line_at(url, {"OPENCODE_PASSWORD": "secret"}, 5) is None


@pytest.mark.parametrize("answers", [ONE, TWO])
def test_a_refusal_names_what_to_set(answers: dict[str, dict[str, object]]) -> None:
    with (
        serving(answers, "secret") as (url, _),
        pytest.raises(NotServed, match="answers 401; set OPENCODE_SERVER_PASSWORD"),
    ):
        load_instance(url, Path("/project"), {})


def test_the_managed_server_needs_no_password_of_its_user(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    about = {"url": "http://127.0.0.1:49374", "pid": 1, "version": "2.0.0", "password": "theirs"}
    file = tmp_path / "state" / "opencode" / "service.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(about))

    assert environment_for("http://localhost:49374", env)["OPENCODE_PASSWORD"] == "theirs"
    assert environment_for("http://127.0.0.1:4096", env) == env
    given = {**env, "OPENCODE_PASSWORD": "mine"}
    assert environment_for("http://127.0.0.1:49374", given) == given


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"url": "http://x:1", "pid": "no"}'])
def test_a_file_that_says_nothing_is_no_server(tmp_path: Path, text: str) -> None:
    file = tmp_path / "opencode" / "service.json"
    file.parent.mkdir()
    file.write_text(text)
    assert registered({"XDG_STATE_HOME": str(tmp_path)}) is None


def test_one_of_a_channel_that_lives_counts_before_one_that_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "opencode"
    folder.mkdir()
    about = {"version": "2", "password": "x"}
    dead = {**about, "url": "http://127.0.0.1:1", "pid": 2**22 + 1}
    (folder / "service.json").write_text(json.dumps(dead))
    found = registered({"XDG_STATE_HOME": str(tmp_path)})
    assert found is not None
    assert (found.url, found.is_there) == ("http://127.0.0.1:1", False)

    living = {**about, "url": "http://127.0.0.1:2", "pid": 1}
    (folder / "service-beta.json").write_text(json.dumps(living))
    found = registered({"XDG_STATE_HOME": str(tmp_path)})
    assert found is not None
    assert (found.url, found.is_there) == ("http://127.0.0.1:2", True)
