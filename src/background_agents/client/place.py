"""Which project a folder belongs to, and where its records are.

A project is what OpenCode's own plugin side would call so: the repository of a folder, or the
folder itself. Worktrees of a repository are one project.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from background_agents import config
from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite.records import Records
from background_agents.domain.errors import InvalidRequest


@dataclass(frozen=True)
class Place:
    """A project, seen from one of its folders."""

    directory: Path
    data_root: Path
    project: str

    @property
    def folder(self) -> Path:
        """Where the project's database and artifacts are, whether they exist or not."""
        return self.data_root / self.project

    def records(self) -> Records:
        """Open the project's records; there are none where nothing was ever delegated.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        return Records.open(self.folder / config.DATABASE) or Records.of_nothing()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was ever delegated in the project."""
        return not (self.folder / config.DATABASE).exists()


def place_of(directory: Path, *, keep: bool = True) -> Place:
    """Return the project of a folder; nothing is written about it if ``keep`` is false.

    Raises:
        InvalidRequest: it is no folder.
    """
    whole = directory.absolute()
    if not whole.is_dir():
        raise InvalidRequest(f"{whole} is not a folder; name one of the project that is meant.")
    root = config.data_root(os.environ)
    return Place(whole, root, project_id(whole, root, keep=keep))
