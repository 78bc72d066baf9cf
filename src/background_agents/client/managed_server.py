"""OpenCode 2's managed server, which a user's terminals share: found, never started or ended.

It writes where it serves, and its password, into a file that only its user can read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from background_agents.adapters.system.processes import is_alive, process_name
from background_agents.client.opencode_program import Line
from background_agents.client.opencode_server import PASSWORD, line_at, same_server

ANSWER_LIMIT_S = 3.0
"""It answers within milliseconds, unless it is frozen or the machine is very busy."""


@dataclass(frozen=True)
class ManagedServer:
    """A server as its file describes it, whether it lives or not."""

    file: Path
    log: Path
    url: str
    version: str
    pid: int
    password: str

    @property
    def env(self) -> Mapping[str, str]:
        """The environment in which a client of it is let in."""
        return {**os.environ, PASSWORD: self.password}

    @property
    def is_there(self) -> bool:
        """Whether its process lives."""
        return is_alive(process_name(self.pid))

    def answers(self) -> bool:
        """Return whether it says that it is well."""
        return self.is_there and line_at(self.url, self.env, ANSWER_LIMIT_S) is Line.TWO

    def has_ended(self, within_s: float) -> bool:
        """Wait so long, and return whether it is gone; it is no child of ours, so it is looked."""
        time.sleep(within_s)
        return not self.is_there

    def end(self) -> None:
        """Leave it to those who use it."""


def registered(env: Mapping[str, str]) -> ManagedServer | None:
    """Return the user's managed server; None if there is no file, or one that says nothing."""
    home = Path(env.get("HOME") or Path.home())
    folder = Path(env.get("XDG_STATE_HOME") or home / ".local/state") / "opencode"
    log = Path(env.get("XDG_DATA_HOME") or home / ".local/share") / "opencode/log/opencode.log"
    # Releases from before 2.0 put the name of their channel behind a hyphen.
    files = [folder / "service.json", *sorted(folder.glob("service-*.json"))]
    found = [one for file in files if (one := _read(file, log)) is not None]
    return next((one for one in found if one.is_there), found[0] if found else None)


def _read(file: Path, log: Path) -> ManagedServer | None:
    try:
        about = json.loads(file.read_text("utf-8"))
        url, version, pid = str(about["url"]), str(about.get("version")), int(about["pid"])
        return ManagedServer(file, log, url, version, pid, str(about.get("password") or ""))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def environment_for(url: str, env: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment in which a client of ``url`` is let in, without asking the user.

    Whoever names the address of the managed server need not name its password.
    """
    managed = registered(env)
    if managed is None or PASSWORD in env or not same_server(managed.url, url):
        return env
    return {**env, PASSWORD: managed.password}
