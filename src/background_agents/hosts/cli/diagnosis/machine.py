"""Does the machine have what we need: git, and an SQLite that can do enough?"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, quoted

_OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables, which the schema has."""

_NEW_PYTHON = "uv tool install --python 3.13 --reinstall background-agents"
"""SQLite comes with Python; uv brings one that has a new one."""


def check_sqlite(_scene: Scene) -> Iterator[Finding]:
    """Look at the SQLite of this Python, and whether it can search texts."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        why = f"SQLite {version} of {sys.executable} is too old: it must be 3.37 or newer."
        yield problem("machine.sqlite", why, _NEW_PYTHON)
        return
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    except sqlite3.Error as error:
        why = f"SQLite {version} of {sys.executable} cannot search texts ({error})"
        yield warning("machine.search", f"{why}; `list` finds no words.", _NEW_PYTHON)
    else:
        yield ok("machine.sqlite", f"SQLite {version}, with full text search.")


def check_git(scene: Scene) -> Iterator[Finding]:
    """Look for git, by which a project is told from others."""
    directory = scene.place.directory
    if shutil.which("git", path=scene.env.get("PATH")) is None:
        yield problem(
            "machine.git",
            "git is not in PATH, so that records are kept by folder: those of the repository are "
            "not found, and worktrees do not share them.",
            "sudo apt-get install git" if sys.platform == "linux" else "xcode-select --install",
        )
        return
    answer = scene.ask(["git", "rev-parse", "--show-toplevel"], {"LC_ALL": "C"})
    if "dubious ownership" in answer.complaint:
        top = scene.places.project.parent
        yield problem(
            "machine.git",
            f"git refuses to look into {top}, which belongs to another user, so that records are "
            "kept by folder and those of the repository are not found.",
            f"git config --global --add safe.directory {quoted(top)}",
        )
    elif answer.code == 0:
        yield ok("machine.git", f"{directory} belongs to the repository {answer.out}.")
    else:
        said = f"{directory} is in no repository; its records are kept by the folder's path."
        yield ok("machine.git", said)


_FELT = ("PYTHONPATH", "PYTHONHOME", "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONOPTIMIZE")
"""What changes how a Python program runs, and is meant for others than us."""


def check_python(scene: Scene) -> Iterator[Finding]:
    """Name what the shell says to every Python; the service does not listen, commands must."""
    found = [name for name in _FELT if scene.env.get(name)]
    if found:
        said = ", ".join(f"{name}={scene.env[name]}" for name in found)
        yield warning(
            "machine.python",
            f"The shell sets {said}. The service in OpenCode takes no notice; `bga` itself is "
            "started with it, and may fail where the service works.",
            f"unset {' '.join(found)}",
        )
