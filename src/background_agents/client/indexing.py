"""Bringing the full-text index up to date before a search.

Put together here, since the index reads results, and the database's adapter knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from background_agents import config
from background_agents.adapters.files.artifacts import MarkdownArtifacts, parse
from background_agents.adapters.sqlite.records import Records
from background_agents.adapters.sqlite.search import SearchIndex
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable


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


def attach(folder: Path, records: Records, progress: Callable[[int, int], None]) -> None:
    """Bring the index up to date and let ``records`` search in it."""
    index = index_of(folder)
    index.catch_up(progress)
    progress(0, 0)
    records.attach_index(index.path)


def attach_anew(folder: Path, records: Records, progress: Callable[[int, int], None]) -> None:
    """Make the index anew; the one that was attached is damaged."""
    records.detach_index()
    index_of(folder).discard()
    attach(folder, records, progress)
