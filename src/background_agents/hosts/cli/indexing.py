"""Bringing the full-text index up to date before a search, and saying so where it takes long.

Put together here, since the index reads results, and the database's adapter knows no files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from background_agents import config
from background_agents.adapters.files.artifacts import MarkdownArtifacts, parse
from background_agents.adapters.sqlite.records import Records
from background_agents.adapters.sqlite.search import SearchIndex
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable

WORTH_TELLING = 2_000
"""Delegations that take more than a second to index."""


class Results:
    """The results of a project's delegations, by their artifacts."""

    def __init__(self, folder: Path) -> None:
        self._artifacts = MarkdownArtifacts(folder)

    def __call__(self, delegation: Delegation) -> str:
        """Return a result; what cannot be read counts as empty."""
        try:
            text = self._artifacts.content(delegation)
        except (StoreUnavailable, InvalidRequest):
            return ""
        return body(text)


def body(artifact: str) -> str:
    """Return the result in an artifact; of one that another program wrote, all of it."""
    try:
        return parse(artifact)[1]
    except ValueError:
        return artifact


def index_of(folder: Path) -> SearchIndex:
    """Return the index of the project in ``folder``."""
    return SearchIndex(folder / config.DATABASE, Results(folder))


def attach(folder: Path, records: Records) -> None:
    """Bring the index up to date and let ``records`` search in it."""
    index = index_of(folder)
    progress = _Progress()
    index.catch_up(progress)
    progress.end()
    records.attach_index(index.path)


def attach_anew(folder: Path, records: Records) -> None:
    """Make the index anew; the one that was attached is damaged."""
    records.detach_index()
    index_of(folder).discard()
    attach(folder, records)


class _Progress:
    """Tells people how far the indexing is; programs need not know."""

    def __init__(self) -> None:
        self._has_told = False

    def __call__(self, done: int, total: int) -> None:
        if (self._has_told or total - done >= WORTH_TELLING) and sys.stderr.isatty():
            self._has_told = True
            told = f"\rIndexing for search, once: {done:,} of {total:,} (Ctrl-C loses nothing) "
            _draw(told)

    def end(self) -> None:
        """Leave the line to what follows."""
        if self._has_told:
            _draw("\r\033[K")


def _draw(line: str) -> None:
    """Write over the line that a terminal shows, past the stream that would keep us from it."""
    sys.stderr.flush()
    sys.stderr.buffer.write(line.encode("ascii"))
    sys.stderr.buffer.flush()
