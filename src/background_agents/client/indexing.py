"""Bringing the full-text index up to date before a search.

Put together here, since the index reads results, and the database's adapter knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from background_agents import config
from background_agents.adapters.sqlite.records import Records
from background_agents.adapters.sqlite.search import SearchIndex
from background_agents.client.results import result
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable


def index_of(folder: Path) -> SearchIndex:
    """Return the index of the project in ``folder``."""

    def text(one: Delegation) -> str:
        try:
            return result(one, folder)
        except (StoreUnavailable, InvalidRequest):
            return ""  # what cannot be read counts as empty

    return SearchIndex(folder / config.DATABASE, text)


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
