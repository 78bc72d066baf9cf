"""The demo, run as its user runs it: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from rich.console import Console

from lab.demo.model import StoryModel
from lab.demo.screen import Screen
from lab.demo.timeline import Entry, Kind, Timeline
from lab.harness.home import find_binary, lines_under_test, settle
from lab.harness.line import Line

pytestmark = pytest.mark.opencode

LIMIT_S = 90


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@dataclass
class Demo:
    """Runs the demo in a folder of its own, with a temporary folder of its own."""

    root: Path
    env: Mapping[str, str]

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def kept(self) -> Path:
        return self.root / "build" / "demo"

    async def start(self, *arguments: str, **env: str) -> Process:
        self.temporary.mkdir(exist_ok=True)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lab.demo", *arguments),
            cwd=self.root,
            env={**self.env, "TMPDIR": str(self.temporary), **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def run(self, *arguments: str, **env: str) -> Outcome:
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    def left_behind(self) -> list[str]:
        """Return what runs with the demo's temporary folder, or is still in it."""
        mark = f"TMPDIR={self.temporary}".encode()
        running = [
            process.name
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and mark in _environment(process)
        ]
        return running + [path.name for path in self.temporary.iterdir()]


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""  # It has ended, or it is somebody else's.


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return Demo(tmp_path, {**env, "PYTHONIOENCODING": "utf-8"})


def _ids(text: str, pattern: str) -> list[str]:
    return re.findall(pattern + r"([a-z]+-[a-z]+-[a-z]+)", text)


@pytest.mark.parametrize("line", lines_under_test(), ids=lambda line: f"line{line}")
async def test_it_shows_three_delegations_and_proves_what_it_shows(demo: Demo, line: Line) -> None:
    outcome = await demo.run("--line", line)

    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out, "a pipe gets no control codes"
    assert max(map(len, outcome.out.splitlines())) <= 80
    delegated = _ids(outcome.out, "delegate → ")
    artifacts = {file.stem: file.read_text() for file in demo.kept.glob("*.md")}
    assert len(delegated) == 3
    assert set(delegated) == set(_ids(outcome.out, "notice ← ")) == set(artifacts)
    # OpenCode 2 says first what kind of an error it was.
    failed = re.compile(r"^\[FAILED\] .*Insufficient credits", re.MULTILINE)
    assert sum(failed.search(text) is not None for text in artifacts.values()) == 1
    proof = outcome.out.partition("what was seen")[2]
    assert "The last one said all-complete" in proof
    assert (proof.count(" ✓ "), proof.count(" ✗ ")) == (6, 0)
    assert all(f"build/demo/{id_}.md" in outcome.out for id_ in delegated)
    assert demo.left_behind() == []


async def test_what_does_not_happen_in_time_is_said_in_one_line(demo: Demo) -> None:
    outcome = await demo.run("--limit", "0.3")

    assert outcome.code == 1
    said, end = outcome.err.split("\n")
    assert said.startswith("After 0.3 s the supervisor has not delegated anything")
    assert str(demo.kept / "opencode.log") in said
    assert end == ""
    assert demo.left_behind() == []


async def test_a_missing_opencode_is_said_in_one_line(demo: Demo) -> None:
    outcome = await demo.run(OPENCODE_BIN=str(demo.root / "none"))

    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "make setup" in outcome.err


async def test_ctrl_c_ends_it_with_all_that_it_started(demo: Demo) -> None:
    process = await demo.start()
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        async for line in process.stdout:
            if "delegate →".encode() in line:
                break
        assert len(demo.left_behind()) > 2, "OpenCode and our service are running"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode() == "Stopped; nothing is left running.\n"
    assert demo.left_behind() == []


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "✗"), ("ascii", "x")])
def test_what_agents_write_is_shown_and_never_obeyed(encoding: str, mark: str) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding), width=80, force_terminal=False)
    said = Entry(1.5, "sly-red-fox", Kind.FAILED, "gone \x1b[2J\x07\x9b5m [bold]away[/]")

    Screen(console, 3).show(said, Timeline("ses_1", 0.0))
    console.file.flush()

    shown = raw.getvalue().decode(encoding)
    assert f"{mark}" in shown
    assert "failed: gone  [2J 5m [bold]away[/]" in shown
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}


# --- with the user's own configuration --------------------------------------


@dataclass
class KeyedModel(StoryModel):
    """A provider that notes the keys it was called with."""

    keys: set[str | None] = field(default_factory=set)

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        self.keys.add(http.headers.get("authorization"))
        return await super()._answer(http)


@pytest.fixture
async def provider() -> AsyncIterator[KeyedModel]:
    async with KeyedModel() as model:
        yield model


@pytest.fixture
def user(demo: Demo, provider: KeyedModel) -> Demo:
    """The demo for somebody who has a provider configured and a key stored."""
    config, data = (demo.root / kind / "opencode" for kind in ("config", "data"))
    for folder in (config, data):
        folder.mkdir(parents=True)
    entry = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": provider.base_url},
        "models": {"one": {"name": "one", "limit": {"context": 200_000, "output": 32_000}}},
    }
    (config / "opencode.json").write_bytes(msgspec.json.encode({"provider": {"mine": entry}}))
    # As every configuration that OpenCode was once started with.
    settle(config, find_binary().version)
    (config / ".gitignore").write_text("node_modules\n")
    key = {"mine": {"type": "api", "key": "sesame"}}
    (data / "auth.json").write_bytes(msgspec.json.encode(key))
    env = {
        **demo.env,
        "OPENCODE_BIN": str(find_binary().path),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(demo.root),
        **{f"XDG_{kind.upper()}_HOME": str(demo.root / kind) for kind in ("config", "data")},
    }
    return Demo(demo.root, env)


async def test_a_model_of_the_user_is_called_with_the_users_key(
    user: Demo, provider: KeyedModel
) -> None:
    before = _files(user.root)

    outcome = await user.run("--model", "mine/one")

    assert (outcome.code, outcome.err) == (0, "")
    assert provider.keys == {"Bearer sesame"}
    assert "The model is mine/one" in outcome.out
    assert len(_ids(outcome.out, "notice ← ")) == 3
    artifacts = {f"build/demo/{path.name}" for path in user.kept.glob("*.md")}
    assert len(artifacts) == 3
    assert _files(user.root) - before == artifacts, "nothing else was written for good"
    # `opencode --version` leaves an empty folder of that name.
    assert set(user.left_behind()) <= {"opencode"}


def _files(root: Path) -> set[str]:
    """Return the files of a home, without what OpenCode keeps to be faster next time."""
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(".cache/")}


async def test_a_model_that_is_not_there_is_said_in_one_line(user: Demo) -> None:
    outcome = await user.run("--model", "mine/none")

    assert outcome.code == 1
    assert outcome.err.startswith("Your OpenCode has no model mine/none: ")
    assert outcome.err.count("\n") == 1
