"""Can OpenCode take the snapshots that its own undo works by?

It takes them of the whole work tree by git, and says only in its log when it cannot. No git is run
in a nested repository, which may be anybody's: its files are read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from background_agents.adapters.projects.git import ALONE, HARMLESS
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, edit, quoted
from background_agents.hosts.cli.installing import plugin_conflicts

MOST_FOLDERS = 20_000
"""Read in about a second; a larger tree is looked at in part, which is said."""

_LIMIT_S = 5.0
"""For the same on a slow disk."""

_MAX_POINTER_BYTES = 4096
"""A ``HEAD`` or a ``.git`` file holds one name."""


def check_setting(scene: Scene) -> Iterator[Finding]:
    """Say where OpenCode is told to take none."""
    for file in plugin_conflicts.config_files(scene.places.all, scene.places.configs):
        try:
            is_off = plugin_conflicts.read_config(file).get("snapshot") is False
        except InvalidRequest:
            continue  # plugin.configuration says so
        if is_off:
            yield warning(
                "snapshots.off",
                f'"snapshot": false in {file}: OpenCode keeps no snapshots, so that its `/undo` '
                "takes back messages, and no change of a file.",
                edit(file),
            )


def check_nested(scene: Scene) -> Iterator[Finding]:
    """Find repositories without a commit in the work tree: git cannot add them to a snapshot."""
    top = scene.places.project.parent
    if not (top / ".git").exists():
        return
    walk = _Walk(top)
    for folder in sorted(walk.unborn()):
        if _is_ignored(folder, top, scene):
            continue
        yield warning(
            "snapshots.nested",
            f"{folder} is a repository without a commit inside of {top}. While it is there "
            "OpenCode can take no snapshot: `/undo` brings back no file, and to take an undo back "
            "can undo work of yours. Commit in it, let .gitignore name it, or remove its .git.",
            f"git -C {quoted(folder)} commit --allow-empty -m Begin",
        )
    if walk.is_cut_off:
        said = (
            f"{walk.folders:,} folders of {top} were looked at for repositories without a commit; "
            "there are more, of which nothing is known."
        )
        yield ok("snapshots.nested", said)


def _is_ignored(folder: Path, top: Path, scene: Scene) -> bool:
    """Ask git of the project whether it leaves a folder out."""
    asked = ["git", *HARMLESS, "-C", str(top), "check-ignore", "-q", "--", str(folder)]
    return scene.ask(asked, ALONE).code == 0


class _Walk:
    """A bounded walk through a work tree."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self.folders = 0
        self.is_cut_off = False

    def unborn(self) -> Iterator[Path]:
        """Yield each nested repository whose branch has no commit."""
        ends = time.monotonic() + _LIMIT_S
        for name, folders, files in os.walk(self._top):
            if self.folders >= MOST_FOLDERS or time.monotonic() >= ends:
                self.is_cut_off = True
                return
            self.folders += 1
            if name != str(self._top) and ".git" in (*folders, *files):
                if _is_unborn(Path(name, ".git")):
                    yield Path(name)
                folders.clear()  # what is in it is no part of our tree
            folders[:] = [one for one in folders if one not in (".git", "node_modules")]


def _is_unborn(git: Path) -> bool:
    """Return whether a repository's HEAD names a branch that has no commit."""
    if git.is_file():
        pointer = _read(git).removeprefix("gitdir: ")
        git = git.parent / pointer
    head = _read(git / "HEAD")
    if not head.startswith("ref: "):
        return False  # a commit by itself; or no repository at all
    shared = git / (_read(git / "commondir") or ".")
    branch = head.removeprefix("ref: ")
    if (shared / "reftable").exists():
        return False  # its names are in a database of git's
    return not _read(shared / branch) and branch not in _packed(shared / "packed-refs")


def _packed(file: Path) -> set[str]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    return {line.partition(" ")[2] for line in lines}


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return os.fsdecode(opened.read(_MAX_POINTER_BYTES)).strip()
    except OSError:
        return ""
