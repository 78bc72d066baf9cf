"""A user whose background-agents is examined, and ways in which it may not be well."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from stored import claim, database_of

from background_agents.adapters.system.processes import boot_id, process_name
from background_agents.hosts.cli.diagnosis.findings import Finding, Report
from background_agents.hosts.cli.installing import panel, plugin_files
from background_agents.hosts.cli.installing.panel import Config
from background_agents.hosts.cli.installing.plugin_files import Places, Scope
from background_agents.ports.storage import Lease
from lab.harness.home import Home, find_binary

OPENCODE = """#!/bin/sh
[ "$*" = --version ] && exec echo {version}
exec {path} "$@"
"""
"""The real one, but for its version, which takes it a second to say: each doctor asks for it."""


@dataclass
class Patient:
    """Somebody with an OpenCode, a project, and a doctor to ask."""

    home: Home
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def healthy(cls, root: Path) -> Patient:
        """Return one with everything in its place: OpenCode, git, a project, our plugin."""
        binary = find_binary()
        home = Home(root, binary.version)
        home.create("http://127.0.0.1:9/v1")
        home.install_plugin()
        panel.install(Config(home.config / "tui.json"))
        programs = root / "bin"
        programs.mkdir()
        program = programs / "opencode"
        program.write_text(OPENCODE.format(path=binary.path, version=binary.version))
        program.chmod(0o755)
        path = f"{programs}:{os.environ['PATH']}"
        return cls(home, {**home.environment(), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"})

    @property
    def project(self) -> Path:
        return self.home.project

    @property
    def programs(self) -> Path:
        return self.home.root / "bin"

    @property
    def data(self) -> Path:
        return self.home.data / "delegations"

    @property
    def database(self) -> Path:
        return database_of(self.project, self.env)

    @property
    def settings(self) -> Path:
        return self.home.config.parent / "background-agents" / "config.toml"

    def shim(self, scope: Scope = Scope.GLOBAL) -> Path:
        return Places.of(self.project, self.env).file(scope)

    def install(self, scope: Scope) -> None:
        """Write our file, whatever else is there."""
        file = self.shim(scope)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(plugin_files.shim(scope))

    def run(
        self,
        *args: str,
        cwd: Path | None = None,
        before: Sequence[str] = (),
        user: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Call ``doctor``, with something ``before`` the command if need be."""
        command = [*before, sys.executable, "-m", "background_agents", "doctor", *args]
        return subprocess.run(
            command, cwd=cwd or self.project, env=self.env, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip

    def examined(self, *args: str, before: Sequence[str] = ()) -> Report:
        """Return what the doctor finds; its exit code says the same."""
        cwd = self.home.root if "-C" in args else None
        done = self.run("--json", *args, cwd=cwd, before=before)
        assert done.returncode in (0, 1), done.stderr
        assert done.stderr == ""
        report = msgspec.json.decode(done.stdout, type=Report)
        assert report.well is (done.returncode == 0)
        return report

    def finding(self, check: str, *args: str, before: Sequence[str] = ()) -> Finding:
        """Return the only finding of a check."""
        found = findings(self.examined(*args, before=before))
        (one,) = [one for one in found if one.check == check] or [None]
        assert one is not None, [f"{one.check}: {one.says}" for one in found]
        return one

    def tree(self) -> dict[str, tuple[int, int, str]]:
        """Return every file with its mode, the time of its last change, and a hash of it.

        The temporary folder may be used, so of itself it does not count; what stays in it does.
        """
        files = [one for one in sorted(self.home.root.rglob("*")) if one != self.home.scratch]
        return {str(one.relative_to(self.home.root)): _look(one) for one in files}


def _look(path: Path) -> tuple[int, int, str]:
    about = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return about.st_mode, about.st_mtime_ns, hashlib.sha256(content).hexdigest()


def findings(report: Report) -> list[Finding]:
    return [one for section in report.sections for one in section.findings]


@contextmanager
def process(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run something that waits; it is killed on the way out."""
    running = subprocess.Popen(command or ("sleep", "600"), cwd=cwd)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def dead() -> str:
    """Return the name of a process that lived and was killed."""
    with process() as running:
        return process_name(running.pid)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def lease(
    patient: Patient, owner: str, *, host: str | None = None, boot: str | None = None
) -> None:
    host = process_name() if host is None else host
    boot = boot_id() if boot is None else boot
    claim(patient.database, Lease(owner=owner, host=host, boot=boot, renewed_s=1.0))


def crash(path: Path, sql: str) -> None:
    """Write to a database and die before anything is tidied up."""
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.executescript(sys.argv[2])\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), sql], check=True)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 6000)
