"""What is examined: one project of one user, and what several checks want to know of it.

Everything is looked up once, when the first check asks, and nothing is changed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from background_agents import config
from background_agents.adapters.projects.scattered import is_fresh
from background_agents.adapters.sqlite.inspection import Inspection, inspect
from background_agents.adapters.system import processes
from background_agents.client.managed_server import ManagedServer, registered
from background_agents.client.opencode_program import NAMES, programs, thrown_away
from background_agents.client.place import Place
from background_agents.hosts.cli.installing.panel import Config, all_of
from background_agents.hosts.cli.installing.plugin_conflicts import Found, find
from background_agents.hosts.cli.installing.plugin_files import Places
from background_agents.ports.processes import Fate
from background_agents.ports.storage import Lease
from background_agents.service.ownership.leases import fate_of_owner

_LIMIT_S = 20.0
"""For another program's answer; on a machine that sleeps half, Python may take seconds."""


class Answer(NamedTuple):
    """What another program said."""

    code: int | None
    """Its exit code; None if it could not be run, or did not end in time."""
    out: str
    complaint: str
    """What it wrote on stderr, or why it could not be run."""

    @property
    def last_words(self) -> str:
        """The last line of its complaint, where programs say what it comes down to."""
        lines = self.complaint.splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


@dataclass(frozen=True)
class Scene:
    """A project of the user whose environment it is."""

    place: Place
    env: Mapping[str, str]

    @cached_property
    def places(self) -> Places:
        """The folders that OpenCode reads."""
        return Places.of(self.place.directory, self.env)

    @cached_property
    def plugins(self) -> list[Found]:
        """The delegation plugins that OpenCode would load, and what cannot be read."""
        return find(self.places.all, self.places.configs)

    @cached_property
    def opencodes(self) -> Mapping[Path, Answer]:
        """The OpenCodes in PATH, and what each says when it is asked for its version."""
        return {program: self._asked_for_version(program) for program in programs(self.env)}

    def _asked_for_version(self, program: Path) -> Answer:
        """Ask it. OpenCode makes folders for that, so it gets a place to throw away."""
        with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
            answer = self.ask([str(program), "--version"], thrown_away(folder))
        if answer.code == 0:
            return answer
        # Some version managers look for programs where XDG says.
        return self.ask([str(program), "--version"])

    @cached_property
    def panels(self) -> list[Config]:
        """The configuration files of OpenCode's terminal."""
        return all_of(self.places, self.env)

    @cached_property
    def managed(self) -> ManagedServer | None:
        """OpenCode 2's managed server, whether it lives or not."""
        return registered(self.env)

    @property
    def managed_by(self) -> Path:
        """The program that starts and stops it; in PATH, OpenCode 2 may have either name."""
        found = programs(self.env)
        return next((one for one in found if one.name == NAMES[1]), Path(NAMES[0]))

    @property
    def database(self) -> Path:
        return self.place.folder / config.DATABASE

    @cached_property
    def inspection(self) -> Inspection:
        """What a look into the database found."""
        return inspect(self.database)

    @cached_property
    def living(self) -> tuple[Lease, ...]:
        """The claims of services that live."""
        return self._claims_of(Fate.ALIVE)

    @cached_property
    def elsewhere(self) -> tuple[Lease, ...]:
        """The claims of other containers and machines, which may live, while they are renewed."""
        return self._claims_of(Fate.ELSEWHERE) if is_fresh(self.place.folder) else ()

    def _claims_of(self, fate: Fate) -> tuple[Lease, ...]:
        boot, now_s = processes.boot_id(), time.monotonic()
        claims = self.inspection.leases
        return tuple(one for one in claims if fate_of_owner(one, boot, now_s, processes) is fate)

    def is_set(self, switch: str) -> bool:
        """Return whether the environment switches something on, as OpenCode understands it."""
        return self.env.get(switch, "").lower() in ("1", "true")

    def owns(self, owner: str) -> bool:
        """Return whether the process that owns a delegation lives."""
        claims = [one for one in self.inspection.leases if one.owner == owner]
        held = self.living + self.elsewhere
        return any(one in held for one in claims) if claims else not processes.has_ended(owner)

    def here(self, command: str) -> str:
        """Return a command as it is typed where we are, for one that needs the project's folder."""
        if self.place.directory == Path.cwd():
            return command
        return f"cd {quoted(self.place.directory)} && {command}"

    def ask(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> Answer:
        """Run another program in the project's folder, and wait for a bounded time."""
        try:
            done = subprocess.run(
                command, cwd=self.place.directory, env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Answer(None, "", f"no answer within {_LIMIT_S:.0f} s")
        except OSError as error:
            return Answer(None, "", error.strerror or str(error))
        out, complaint = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return Answer(done.returncode, out.strip(), complaint.strip())


def pid_of(owner: str) -> str:
    """Return the number of the process that has a name of ours."""
    return owner.partition(":")[0]


def upgrade(prefix: str = sys.prefix) -> str:
    """Return the command that upgrades background-agents as it was installed."""
    parts = Path(prefix).parts
    if "uv" in parts and "tools" in parts:
        return "uv tool upgrade background-agents"
    if "pipx" in parts:
        return "pipx upgrade background-agents"
    return f"{shlex.quote(sys.executable)} -m pip install --upgrade background-agents"


def quoted(file: os.PathLike[str]) -> str:
    """Return a file's path as a shell takes it."""
    return shlex.quote(str(file))


def edit(file: os.PathLike[str]) -> str:
    """Return the command that opens a file in the user's editor."""
    return f"${{EDITOR:-vi}} {quoted(file)}"
