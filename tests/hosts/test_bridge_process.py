"""The service as a process of its own, with this test in the place of the bridge."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from background_agents.hosts.opencode.server import ends_with_turn

LIMIT_S = 20
"""The process answers within a quarter of a second of its start."""

COMMAND = [sys.executable, "-m", "background_agents", "bridge"]


@contextmanager
def bridged(home: Path, **env: str) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """Start the service with one end of a socket as its descriptor 3."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    places = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs.fileno()}', "bash", *COMMAND],
        pass_fds=(theirs.fileno(),),
        env={**os.environ, **places, **env},
    )
    theirs.close()
    try:
        yield ours, process
    finally:
        ours.close()
        process.kill()
        process.wait(LIMIT_S)


def ask(end: socket.socket, method: str, params: dict[str, object]) -> dict[str, object]:
    """Send a request and return the answer to it; whatever OpenCode is asked exists."""
    tell(end, {"id": 1, "method": method, "params": params})
    with end.makefile("rb") as lines:
        while "method" in (answer := json.loads(lines.readline())):
            found = {"status": 200, "body": '{"id": "ses_1"}'}
            if "id" in answer:
                tell(end, {"id": answer["id"], "result": found})
    result: dict[str, object] = answer
    return result


def tell(end: socket.socket, message: dict[str, object]) -> None:
    end.sendall(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def test_by_hand_it_says_that_the_plugin_starts_it() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "started by the plugin, not by hand" in done.stderr


@pytest.mark.parametrize(
    ("argv", "ends"),
    [
        (["run", "Fix the tests"], True),
        (["--print-logs", "--log-level", "DEBUG", "run"], True),
        (["run", "--interactive"], False),
        (["run", "-i", "Fix it"], False),
        (["serve", "--port", "0"], False),
        (["--prompt", "run"], False),
        (["../run"], False),
        ([], False),
    ],
)
def test_a_run_of_one_turn_is_known_by_its_command_line(argv: list[str], ends: bool) -> None:
    assert ends_with_turn(argv) is ends


def test_a_bad_setting_is_what_every_tool_answers(tmp_path: Path) -> None:
    with bridged(tmp_path, BACKGROUND_AGENTS_MAX_CONCURRENT="many") as (end, _):
        call = {"instance": 1, "tool": "delegation_list", "session": "ses_1", "args": {}}
        error = ask(end, "tool", call)["error"]
    assert isinstance(error, dict)
    assert error["message"] == (
        "BACKGROUND_AGENTS_MAX_CONCURRENT is 'many', but must be a whole number from 1 to 1000."
    )


def test_a_tool_for_a_project_that_is_not_open_is_refused(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, _):
        call = {"instance": 7, "tool": "delegation_list", "session": "ses_1", "args": {}}
        error = ask(end, "tool", call)["error"]
    assert isinstance(error, dict)
    assert error["message"] == "This project was closed; try again."


HOOK: dict[str, object] = {
    "instance": 1,
    "hook": "system",
    "session": "ses_1",
    "system": "You are opencode.",
}


def test_a_hook_for_a_project_that_is_not_open_says_nothing(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, _):
        assert ask(end, "hook", HOOK)["result"] is None


def test_a_hook_that_cannot_find_out_says_nothing(tmp_path: Path) -> None:
    about = {"instance": 1, "directory": str(tmp_path), "base_url": "http://localhost:4096"}
    with bridged(tmp_path) as (end, _):
        tell(end, {"method": "attach", "params": about})
        # What OpenCode answers here is no list of agents.
        assert ask(end, "hook", HOOK)["result"] is None
        log = (tmp_path / "opencode" / "delegations" / "service.log").read_text()
    assert "the hook system said nothing for ses_1: OpenCode's answer to /agent" in log


def test_an_unknown_hook_says_nothing(tmp_path: Path) -> None:
    about = {"instance": 1, "directory": str(tmp_path), "base_url": "http://localhost:4096"}
    with bridged(tmp_path) as (end, _):
        tell(end, {"method": "attach", "params": about})
        assert ask(end, "hook", {**HOOK, "hook": "future"})["result"] is None


def test_a_frame_that_is_no_json_is_answered_and_the_next_one_served(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, _):
        end.sendall(b"{no json\n")
        with end.makefile("rb") as lines:
            assert json.loads(lines.readline())["error"]["code"] == -32700
        assert "error" in ask(end, "nothing", {})


def test_it_ends_when_its_socket_does(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, process):
        ask(end, "nothing", {})
        end.shutdown(socket.SHUT_RDWR)
        assert process.wait(LIMIT_S) == 0


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, process):
        ask(end, "nothing", {})
        process.terminate()
        assert process.wait(LIMIT_S) == 0


def test_a_data_folder_that_cannot_be_used_is_said_and_tried_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "opencode" / "delegations"
    in_the_way.parent.mkdir()
    in_the_way.write_text("a file")
    call = {"instance": 1, "tool": "delegation_list", "session": "ses_1", "args": {}}
    about = {"instance": 1, "directory": str(tmp_path), "base_url": "http://localhost:4096"}
    with bridged(tmp_path) as (end, _):
        tell(end, {"method": "attach", "params": about})
        error = ask(end, "tool", call)["error"]
        assert isinstance(error, dict)
        assert "cannot be used" in error["message"]
        in_the_way.unlink()
        result = ask(end, "tool", call)["result"]
    assert isinstance(result, dict)
    assert result["output"] == "Nothing has been delegated in this session yet."


def test_the_log_file_is_private(tmp_path: Path) -> None:
    with bridged(tmp_path) as (end, _):
        ask(end, "nothing", {})
        log = tmp_path / "opencode" / "delegations" / "service.log"
        assert log.stat().st_mode & 0o777 == 0o600
