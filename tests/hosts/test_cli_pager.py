"""Long output at a terminal goes through its user's pager; short output and pipes do not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PROGRAM = """
from background_agents.hosts.cli import output, pager
output.make_safe()
pager.show(f"line {number} \\x1b[31mred\\x1b[0m \\x1b]0;title\\x07" for number in range(%d))
"""

ROWS = 10


def shown(count: int, env: Mapping[str, str]) -> str:
    """Return what a terminal of ten rows is sent."""
    ours, theirs = pty.openpty()
    os.set_inheritable(theirs, True)
    subprocess.run(["stty", "rows", str(ROWS), "columns", "80"], stdin=theirs, check=True)
    program = [sys.executable, "-c", PROGRAM % count]
    base = {"PATH": os.environ["PATH"], "TERM": "xterm", "PYTHONUTF8": "1"}
    running = subprocess.Popen(program, stdin=theirs, stdout=theirs, env={**base, **env})
    os.close(theirs)
    told = b""
    try:
        while some := os.read(ours, 65536):
            told += some
    except OSError:
        pass  # the other end was closed
    assert running.wait(20) == 0
    os.close(ours)
    return told.decode()


@pytest.fixture
def page(tmp_path: Path) -> Mapping[str, str]:
    script = tmp_path / "a pager"
    script.write_text('#!/bin/sh\necho "PAGED $LESS"\ncat\n')
    script.chmod(0o755)
    return {"PAGER": f"'{script}'"}


def test_what_is_long_is_paged(page: Mapping[str, str]) -> None:
    told = shown(100, page)
    assert told.startswith("PAGED FRX")
    assert "line 99 \x1b[31mred\x1b[0m" in told
    assert "\x1b]0;" not in told


def test_what_fits_is_printed(page: Mapping[str, str]) -> None:
    told = shown(ROWS - 1, page)
    assert "PAGED" not in told
    assert "line 8" in told


@pytest.mark.parametrize("command", ["", "/nowhere/at all"])
def test_without_a_pager_all_is_printed(command: str) -> None:
    told = shown(100, {"PAGER": command})
    assert "line 0" in told
    assert "line 99" in told
    assert "\x1b]0;" not in told


def test_whoever_has_seen_enough_may_leave(tmp_path: Path) -> None:
    script = tmp_path / "first"
    script.write_text('#!/bin/sh\nread -r line\necho "$line"\n')
    script.chmod(0o755)
    assert "line 0" in shown(100_000, {"PAGER": str(script)})


def test_a_pipe_gets_all() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % 100], capture_output=True, check=True,
        env={**os.environ, "PAGER": "false"},
    )  # fmt: skip
    assert done.stdout.count(b"\n") == 100
