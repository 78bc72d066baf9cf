"""Commands that are handed something: real ones, by the machine's own shell."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from background_agents.adapters.system.processes import MARK, hand

LIMIT = timedelta(seconds=10)

SHORT = timedelta(seconds=0.3)


def shell(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def test_it_gets_the_content_and_runs_at_home(home: Path) -> None:
    """As a person: the mark of a model's shell is not inherited, should we bear one."""
    os.environ[MARK] = "background x"
    try:
        line = f'cat > got; pwd > where; echo "[${MARK}]" > mark'
        assert await hand(shell(line), b'{"title": "$(evil)"}\n', LIMIT) == ""
    finally:
        del os.environ[MARK]
    assert (home / "got").read_bytes() == b'{"title": "$(evil)"}\n'
    assert (home / "where").read_text().strip() == str(home)
    assert (home / "mark").read_text() == "[]\n"


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (shell("exit 3"), "ended with 3"),
        (shell("kill -9 $$"), "ended with -9"),
        (shell("no-such-program-here"), "ended with 127"),
        (("no-such-program-here",), "cannot be run: "),
    ],
)
async def test_why_it_failed_is_said(command: tuple[str, ...], failure: str) -> None:
    assert (await hand(command, b"x" * 300_000, LIMIT)).startswith(failure)


async def test_one_that_reads_nothing_and_writes_a_lot_is_no_trouble() -> None:
    line = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"
    assert await hand(shell(line), b"x" * 3_000_000, LIMIT) == ""


async def test_after_its_time_it_is_killed_with_what_it_has_started(home: Path) -> None:
    line = "sleep 60 & echo $! > child; wait"
    assert await hand(shell(line), b"", SHORT) == "was killed after 0.3 seconds"
    await _is_gone(int(await asyncio.to_thread((home / "child").read_text)))


async def test_when_the_service_ends_it_is_killed(home: Path) -> None:
    os.mkfifo(home / "begun")
    running = asyncio.create_task(hand(shell("echo $$ > begun; sleep 60"), b"", LIMIT))
    pid = int(await asyncio.to_thread((home / "begun").read_text))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await _is_gone(pid)


async def _is_gone(pid: int) -> None:
    """Return once a process has ended; what kills it returns before that."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(process, over.set)
    try:
        async with asyncio.timeout(5):
            await over.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)
