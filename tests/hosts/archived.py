"""Somebody whose project has a past, and a shell to run our commands in."""

from __future__ import annotations

import os
import pty
import resource
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from background_agents import config
from background_agents.adapters.files.artifacts import MarkdownArtifacts, render
from background_agents.adapters.files.private import private_folder
from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import connect
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation, replay
from background_agents.ports.storage import Change
from lab.harness.archive import Plan, fill

LIMIT_S = 60.0

COMMAND = (sys.executable, "-m", "background_agents")


@dataclass
class Reader:
    """A user with a home, a project and what was delegated there."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        path = self.root / "project"
        path.mkdir(exist_ok=True)
        return path

    @property
    def data(self) -> Path:
        return config.data_root(self._env())

    @property
    def folder(self) -> Path:
        return self.data / project_id(self.project, self.data)

    @property
    def database(self) -> Path:
        return self.folder / config.DATABASE

    def fill(self, plan: Plan) -> list[str]:
        return fill(self.folder, plan)

    def add(self, first: ev.Registered, *later: ev.Event, result: str = "") -> Delegation:
        """Store one more delegation, and its artifact if it has ended."""
        private_folder(self.folder)
        after = replay(first, later)
        with closing(connect(self.database)) as connection:
            rows.register(connection, first)
            if later:
                rows.commit(connection, Change(after=after, events=later))
        if after.is_terminal:
            path = MarkdownArtifacts(self.folder).path(after)
            private_folder(path.parent)
            path.write_text(render(after, result), "utf-8")
        return after

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with pipes at its ends."""
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.project,
            env=self._env(env),
            input=given,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    def out(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Return what a command that works prints, and that it complains of nothing."""
        done = self.run(*words, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def lines(self, *words: str) -> list[str]:
        return self.run(*words).stdout.splitlines()

    def refused(self, *words: str, given: str = "") -> str:
        """Return the one line by which a command refuses what it was asked."""
        done = self.run(*words, given=given)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        return line

    def at_terminal(
        self, *words: str, columns: int = 80, env: Mapping[str, str] | None = None, types: str = ""
    ) -> tuple[int, str]:
        """Run a command in a terminal; return its exit code and all that it wrote."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            ["sh", "-c", f'stty cols {columns} rows 24; exec "$@"', "sh", *COMMAND, *words],
            cwd=self.project,
            env={"PAGER": "cat"} | self._env(env) | {"TERM": "xterm"},
            stdin=its,
            stdout=its,
            stderr=its,
        )
        os.close(its)
        os.write(ours, types.encode())
        wrote = _all_of(ours)
        os.close(ours)
        return process.wait(LIMIT_S), wrote.decode(errors="replace")

    def cpu_s(self, *words: str) -> float:
        """Return the processor time that a command takes, with all that it starts."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert self.run(*words).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)

    def _env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        base = {"XDG_DATA_HOME": str(self.root / "data"), "TZ": "UTC", "PYTHONUTF8": "1"}
        return kept | base | self.env | dict(more or {})


def ids(lines: Sequence[str]) -> list[str]:
    """Return the first word of each line of a list."""
    return [line.split()[0] for line in lines]


def _all_of(descriptor: int) -> bytes:
    """Return all that a terminal shows until its program has ended."""
    content, deadline = b"", time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([descriptor], [], [], 1.0)
        if not ready:
            continue
        try:
            some = os.read(descriptor, 65536)
        except OSError:  # so Linux says that nobody is at the other end
            return content
        if not some:
            return content
        content += some
    raise AssertionError(f"it has not ended: {content[-500:]!r}")
