"""Files that are about to be deleted: out of sight first, so that a crash leaves no half.

A file under a delegation's name is taken in again when the database does not know it. So it is
set aside before its row goes, and deleted after. What a crash left set aside is put back where
the row is still there, and deleted where it is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.files.private import sync_folder

_ENDS = (".md", ".state.json")
"""The artifact; and what the npm plugin had begun, which would be taken over without it."""

_ASIDE = ".pruned"


class Aside(NamedTuple):
    """A file that is set aside, or may be."""

    delegation: str
    path: Path
    """Where it belongs."""

    @property
    def hidden(self) -> Path:
        """Where it is meanwhile."""
        return self.path.with_name(f".{self.path.name}{_ASIDE}")

    def put_back(self) -> None:
        """Make it what it was, unless there is another one in its place."""
        if self.path.exists():
            self.delete()
        else:
            with suppress(FileNotFoundError):  # it was not set aside
                os.rename(self.hidden, self.path)

    def delete(self) -> None:
        """Delete it for good."""
        self.hidden.unlink(missing_ok=True)


def files_of(artifacts: Iterable[Path]) -> list[Aside]:
    """Return what can be set aside of delegations, whether it exists or not."""
    return [
        Aside(artifact.stem, artifact.with_name(f"{artifact.stem}{end}"))
        for artifact in artifacts
        for end in _ENDS
    ]


def set_aside(files: Iterable[Aside]) -> None:
    """Set aside what there is of files, past any power cut."""
    folders = set()
    for one in files:
        with suppress(FileNotFoundError):
            os.rename(one.path, one.hidden)
            folders.add(one.path.parent)
    for folder in folders:
        sync_folder(folder)


def settle(asides: Iterable[Aside], is_there: Callable[[str], bool]) -> None:
    """Put back the files of delegations that are still there, and delete the others."""
    for one in asides:
        if is_there(one.delegation):
            one.put_back()
        else:
            one.delete()


def left_over(root: Path) -> Iterator[Aside]:
    """Yield what a crash left set aside in a project's folder."""
    for hidden in root.glob(f"*/.*{_ASIDE}"):
        name = hidden.name.removeprefix(".").removesuffix(_ASIDE)
        for end in _ENDS:
            if name.endswith(end) and not hidden.parent.is_symlink():
                yield Aside(name.removesuffix(end), hidden.with_name(name))
