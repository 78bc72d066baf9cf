"""A picture of a working tree: an index and objects of our own, kept by git beside the journals.

The first one is made from a copy of the tree's own index and reads the objects that this names from
where they are, so that only what differs is ever read and stored. Nothing is written where the tree
is, and nothing runs that its configuration names. Files are taken as their bytes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from background_agents.adapters.changes.own_repository import Entry, OwnRepository
from background_agents.adapters.changes.source import ignored_everywhere, source_of
from background_agents.adapters.files.private import private_folder
from background_agents.domain.errors import GitFailed, NotIsolated, NotSeen

GIT_LIMIT_S = 60.0
"""At 50,000 files git answers within a second, from a disk that slept in some more."""

# Names are no patterns. What a power cut takes of a picture is made anew.
OPTIONS = ("--literal-pathspecs", "-c", "core.fsync=none", "-c", "core.preloadIndex=true")

MOST_NAMED = 500
"""Of paths in one command; of more, all entries are listed and chosen from."""

CLOCK_LAG_NS = 50_000_000
"""By which the clocks of file systems are behind at most: a tick, of 10 ms, and some more."""


class Picture:
    """The picture of the tree at ``top``, kept in ``folder``."""

    def __init__(self, folder: Path, top: Path) -> None:
        self.folder = folder
        self._top = top

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def renew(self) -> None:
        """Begin anew from the tree's own index; what differs from that is seen by the next look."""
        for name in ("objects", "info", "index"):
            one = self.folder / name
            shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink(missing_ok=True)
        private_folder(self.folder)
        with self._seen():
            try:
                source = source_of(self._top)
            except NotIsolated:
                source = None  # in no repository, or in one that git does not read
            self._store.make(source)
            if source is not None:
                self._store.seed(source.index, self.index)

    def differing(self) -> list[bytes]:
        """Return the paths of files that may be other than in the picture, or are new, or gone.

        Of some only the time is another one.
        """
        # Side by side: the one asks for the state of each file, on all cores, and the other goes
        # through the folders. ``ls-files -m -d -o``, which does both, takes half as long again.
        with ThreadPoolExecutor(1) as beside:
            new = beside.submit(self._git, "ls-files", "-z", "-o", "--exclude-standard")
            asked = ("diff-files", "-z", "--name-only", "--no-renames", "--ignore-submodules=all")
            known = self._git(*asked)
        listed = (known + new.result()).split(b"\0")[:-1]
        return list(dict.fromkeys(listed))

    def entries(self, paths: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return what the picture has of paths."""
        if not paths:
            return {}
        named = [os.fsdecode(one) for one in paths] if len(paths) <= MOST_NAMED else []
        wanted = set(paths)
        with self._seen():
            found = self._store.entries(self._top, self.index, named)
            return {path: entry for path, entry in found if path in wanted}

    def update(self, there: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Take files into the picture as they are now, and take out others."""
        began_ns = time.time_ns() - CLOCK_LAG_NS
        added, removed = list(there), list(gone)
        with self._seen():
            self._store.update(self._top, self.index, added, removed)
        if added or removed:
            # Git reads again what is as young as its index. What was written while it read, twice
            # in one second, would pass for what it read if the index were of the next second.
            os.utime(self.index, ns=(began_ns, began_ns))

    def blobs(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of blobs; none of one that is not there any more."""
        wanted = list(dict.fromkeys(names))
        with self._seen():
            pairs = zip(wanted, self._store.contents(wanted), strict=True)
            return {one: content for one, content in pairs if content is not None}

    def _git(self, *command: str) -> bytes:
        with self._seen():
            return self._store.git(*command, tree=self._top, index=self.index)

    @cached_property
    def _store(self) -> OwnRepository:
        """Ignores what its user ignores everywhere, as that is in this process."""
        try:
            ignored = ignored_everywhere(self._top)
        except GitFailed:
            ignored = ""
        options = (*OPTIONS, *(("-c", f"core.excludesFile={ignored}") if ignored else ()))
        return OwnRepository(self.folder, options, GIT_LIMIT_S)

    @contextmanager
    def _seen(self) -> Iterator[None]:
        try:
            yield
        except GitFailed as error:
            raise NotSeen(str(self._top), error.why) from error
