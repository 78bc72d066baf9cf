"""A working tree with a delegation that has changed it, as its journal tells."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from background_agents.adapters.changes.images import image_of, name_in, top_of
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.changes.writer import MOST_BYTES
from background_agents.client.place import Place
from background_agents.client.undoing import Undoing
from background_agents.domain.changes import REDO, UNDO, Certainty, Segment
from background_agents.domain.undoing import Asked, Plan, Reason
from background_agents.testing.contracts.samples import finished

OTTER = "brave-amber-otter"

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def snapshot(folder: Path, *, git: bool = False) -> dict[str, tuple[int, bytes]]:
    """Return the mode and content of all that is in a folder; of its ``.git`` alone, or without."""
    found = {}
    for here, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(here) / name
            inside = str(path.relative_to(folder))
            if (inside.split("/")[0] == ".git") is not git:
                continue
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[inside] = (mode, os.fsencode(os.readlink(path)))
            elif stat.S_ISREG(mode):
                found[inside] = (mode, path.read_bytes())
            else:
                found[inside] = (mode, b"")
    return found


class Tree:
    """A repository, or a folder without one, and what a delegation does there."""

    def __init__(
        self,
        folder: Path,
        *,
        repository: bool = True,
        commit: bool = True,
        data: Path | None = None,
    ) -> None:
        self.top = folder / "project"
        self.top.mkdir()
        self.data = data or folder / "data"
        self.write("f", b"one\ntwo\nthree\nfour\nfive\n")
        if repository:
            self.git("init", "-q")
        if repository and commit:
            self.git("add", "-A")
            self.git("commit", "-q", "-m", "first")
        self.place = Place(self.top, self.data, "p1")
        self.journal = FileJournal(self.place.folder / FOLDER)
        self.one = replace(finished(), directory=str(self.top), id=OTTER)

    def git(self, *words: str) -> str:
        done = subprocess.run([*GIT, *words], cwd=self.top, capture_output=True, check=True)
        return done.stdout.decode()

    def write(self, path: str, content: bytes) -> None:
        whole = self.top / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(content)

    def read(self, path: str) -> bytes:
        return (self.top / path).read_bytes()

    def agent(
        self,
        path: str,
        work: bytes | Callable[[Path], object],
        certainty: Certainty = Certainty.SURE,
        limit: int = MOST_BYTES,
        name: str = OTTER,
    ) -> None:
        """Let the delegation write a file, or do something with it."""
        whole = self.top / path
        before = image_of(whole, self.journal.keep, limit)
        if isinstance(work, bytes):
            self.write(path, work)
        else:
            work(whole)
        after = image_of(whole, self.journal.keep, limit)
        segment = Segment(
            at=datetime.now(UTC),
            path=name_in(top_of(self.top), whole),
            before=before,
            after=after,
            certainty=certainty,
            by="write",
        )
        self.journal.add(name, [segment])

    @property
    def undoing(self) -> Undoing:
        return Undoing(self.place, self.one)

    def do(self, by: str, *paths: str, likely: bool = False) -> dict[str, Reason]:
        """Undo or redo; return what was left alone, and why."""
        it = self.undoing
        done = it.do(by, it.plan(by, Asked(paths, likely)))
        return {one.path: one.reason for one in done.left}

    def undo(self, *paths: str, likely: bool = False) -> dict[str, Reason]:
        return self.do(UNDO, *paths, likely=likely)

    def redo(self, *paths: str) -> dict[str, Reason]:
        return self.do(REDO, *paths)

    def plan(self) -> Plan:
        return self.undoing.plan(UNDO, Asked())
