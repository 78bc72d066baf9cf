"""What git says of a working tree of somebody's, which is only read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from background_agents.adapters.projects.git import repository_of, run
from background_agents.domain.errors import GitFailed, NotIsolated


@dataclass(frozen=True)
class Source:
    """A working tree of somebody's, and the repository that it belongs to."""

    top: Path
    git_dir: Path
    common: Path

    @property
    def objects(self) -> Path:
        return self.common / "objects"

    @property
    def index(self) -> Path:
        return self.git_dir / "index"


def source_of(directory: Path) -> Source:
    """Return the working tree that a directory is in.

    Raises:
        NotIsolated: it is in none, or there is no git.
    """

    def told(what: str) -> Path:
        return Path(asked(directory, "rev-parse", "--path-format=absolute", what, fine=(0,)))

    try:
        return Source(told("--show-toplevel"), told("--git-dir"), told("--git-common-dir"))
    except GitFailed as error:
        if repository_of(directory) is not None:
            raise
        raise NotIsolated(f"{directory} is in no working tree of Git") from error


def asked(directory: Path, *what: str, fine: Sequence[int] = (0, 1)) -> str:
    """Return what git says of a working tree; nothing where it says nothing, which is ``fine``.

    Raises:
        GitFailed: it cannot be asked.
    """
    return os.fsdecode(run(what, directory, fine=fine).removesuffix(b"\n"))


def ignored_everywhere(top: Path) -> str:
    """Return the file in which a tree's user says what to ignore in all repositories."""
    return asked(top, "config", "--type=path", "core.excludesFile")
