"""A repository as people have them, and what a tree tells of it between two looks."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from background_agents.adapters.changes.journal import FileJournal
from background_agents.adapters.changes.tree import FileTree, FileTrees
from background_agents.domain.changes import Delta, Image, Kind

LIMIT = 100_000
"""In bytes: a larger file is huge here."""


def git(top: Path, *command: str) -> str:
    """Run git as the human does."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *identity, *command], cwd=top, env=env, capture_output=True, check=True, timeout=30
    )
    return done.stdout.decode()


def repository(top: Path, **files: bytes) -> Path:
    """Make a repository with one commit, of files whose names have ``_`` for a dot."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "-q")
    for name, content in files.items():
        (top / name.replace("_", ".")).write_bytes(content)
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", "Start")
    return top


def prints(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return every file below a folder with its mode, its time and a digest of its bytes."""
    found = {}
    for one in sorted(folder.rglob("*")):
        at = one.lstat()
        content = one.read_bytes() if one.is_file() and not one.is_symlink() else b""
        digest = hashlib.sha256(content).hexdigest()
        found[str(one.relative_to(folder))] = (at.st_mode, at.st_mtime_ns, digest)
    return found


class Main:
    """A repository of somebody's, in which git runs as it does for them."""

    def __init__(self, folder: Path, *, commit: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "trunk")
        self.git("config", "user.email", "human@example.org")
        self.git("config", "user.name", "Human")
        if commit:
            self.write("kept.txt", "one\ntwo\nthree\nfour\nfive\nsix\n")
            self.commit("The first")

    def git(self, *command: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *command], cwd=at or self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, words: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", words)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def repository(self) -> dict[str, tuple[int, bytes, int]]:
        """Return every file of ``.git`` with mode, content and, but for objects, its time."""
        found = {}
        for path in (self.folder / ".git").rglob("*"):
            if path.is_file():
                about = path.stat()
                name = str(path.relative_to(self.folder))
                time = 0 if name.startswith(".git/objects/") else about.st_mtime_ns
                found[name] = (about.st_mode, path.read_bytes(), time)
        return found


class Watcher:
    """A tree that is looked at, and the journal that has the contents."""

    def __init__(self, top: Path, folder: Path) -> None:
        self.journal = FileJournal(folder / "project" / "changes")
        trees = FileTrees(self.journal.folder, self.journal.keep, LIMIT)
        self.tree: FileTree = trees.of(str(top))
        self.tree.look(keep=False)

    def changed(self) -> dict[str, tuple[object, object]]:
        """Return what a look finds, by path: contents, or in brackets why there is none."""
        return {one.path: self.told(one) for one in self.tree.look(keep=True)}

    def told(self, delta: Delta) -> tuple[object, object]:
        return self.shown(delta.before), self.shown(delta.after)

    def shown(self, image: Image) -> object:
        if image.kind is Kind.ABSENT:
            return None
        if image.kind is Kind.OPAQUE:
            return [image.why]
        content = self.journal.content(image.digest)
        return ("->", content) if image.kind is Kind.LINK else content
