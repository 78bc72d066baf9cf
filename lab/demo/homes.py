"""Where the demo's OpenCode lives: in a home of its own, or with its user's own settings.

Either way its sessions and data are in a temporary folder, which is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from background_agents.hosts.cli.installing import plugin_conflicts, plugin_files
from background_agents.hosts.cli.installing.plugin_files import Places, Scope
from lab.demo import story
from lab.harness.home import Binary, Home, OpenCodeMissing, find_binary, settle
from lab.harness.line import Line

CREDENTIALS = ("auth.json", "mcp-auth.json")
"""What OpenCode keeps of its user's keys beside its data."""

PERMISSIONS = {
    "edit": "allow",
    **dict.fromkeys(
        ("bash", "webfetch", "websearch", "external_directory", "doom_loop", "question"),
        "deny",
    ),
}
"""A real model may write into the demo's folder, do nothing else, and ask nobody. A rule against
``task`` would hold for ``delegate`` as well; the plugin refuses ``task`` itself."""


def scripted_home(root: Path, base_url: str, line: Line) -> tuple[Binary, Home]:
    """Make a home that holds nothing of the user's, with the scripted model and our plugin.

    Raises:
        OpenCodeMissing: There is no OpenCode.
    """
    binary = find_binary(line)
    home = Home(root, binary.version)
    home.create(base_url)
    story.write_project(home.project)
    home.install_plugin()
    return binary, home


@dataclass(frozen=True)
class UserHome(Home):
    """The user's own configuration and keys, with data and project in a temporary folder."""

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the user's environment, but for where data is written."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENCODE_SERVER_", "OPENCODE_PASSWORD"))
        }
        places = {f"XDG_{kind.upper()}_HOME": str(self.root / kind) for kind in ("data", "state")}
        return {
            **own,
            **places,
            "TMPDIR": str(self.scratch),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            **(extra or {}),
        }


def user_home(root: Path, model: str) -> tuple[Binary, UserHome]:
    """Make a home for ``model`` out of the configuration that the user has.

    Raises:
        OpenCodeMissing: There is no OpenCode.
        InvalidRequest: The user's OpenCode loads another delegation plugin.
    """
    binary = find_user_binary()
    home = UserHome(root, binary.version)
    for folder in (home.project, home.data, home.scratch):
        folder.mkdir(parents=True)
    story.write_project(home.project)
    _link_credentials(home)
    settings = {"model": model, "share": "disabled", "permission": PERMISSIONS}
    (home.project / "opencode.json").write_bytes(msgspec.json.encode(settings))
    _install(home)
    # Its own work tree, so that OpenCode takes no folder above it for the project.
    git = ["git", "-c", "init.defaultBranch=main", "init", "-q"]
    subprocess.run(git, cwd=home.project, check=True, timeout=30)
    return binary, home


def find_user_binary(environ: Mapping[str, str] = os.environ) -> Binary:
    """Return the OpenCode that the user runs, else the one of the checkout.

    The user's own is the one that the configuration was made for, and that does not change
    the packages beside it.
    """
    found = environ.get("OPENCODE_BIN") or shutil.which("opencode", path=environ.get("PATH"))
    return find_binary(environ={**environ, "OPENCODE_BIN": found or ""})


def line_of_user(environ: Mapping[str, str] = os.environ) -> Line:
    """Return the line of the OpenCode that the user runs; OpenCode 1 where there is none."""
    try:
        return find_user_binary(environ).line
    except (OpenCodeMissing, OSError, subprocess.SubprocessError):
        return Line.ONE


def _link_credentials(home: Home) -> None:
    # Links, not copies: a token that is renewed meanwhile has to reach its owner.
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    for name in CREDENTIALS:
        own = Path(base) / "opencode" / name
        if own.exists():
            (home.data / name).symlink_to(own)


def _install(home: Home) -> None:
    """Install the plugin in the demo's project, unless the user has it for all projects."""
    places = Places.of(home.project, home.environment())
    own = places.file(Scope.GLOBAL)
    if own.exists() and plugin_conflicts.is_ours(own.read_text("utf-8")):
        return
    plugin_files.install(places, Scope.PROJECT)
    if home.line is Line.ONE:
        settle(home.project / ".opencode", home.version)
