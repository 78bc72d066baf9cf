"""What delegations changed, read from their journals; works with no service, and while they run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.changes.images import name_in, top_of
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.client.place import Place
from background_agents.domain.change_sums import Content
from background_agents.domain.changes import Segment
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import ChangesGone, ContentGone, InvalidRequest
from background_agents.domain.isolation import difference


class Changed(NamedTuple):
    """What one delegation changed."""

    segments: Sequence[Segment]
    content: Content


def changed(place: Place, one: Delegation) -> Changed:
    """Return what a delegation has changed so far.

    Raises:
        ChangesGone: it has changed something, and that is kept no more.
        StoreUnavailable: it cannot be read.
    """
    journal = FileJournal(place.folder / FOLDER)
    segments: Sequence[Segment]
    if one.tree:
        # Here, since git and its threads take a third of a start to load, and most need none.
        from background_agents.adapters.isolation.applying import IsolatedWorktrees

        segments, journal = IsolatedWorktrees(place.folder).seen(one.tree, one.id)
    else:
        segments = journal.segments(one.id)
    if one.changes.files and not segments:
        raise ChangesGone(one.id)
    return Changed(segments, journal.content)


def between(place: Place, first: Delegation, second: Delegation) -> Changed:
    """Return what leads from the result of one isolated try to that of another.

    Raises:
        ChangesGone: one of them was discarded.
        StoreUnavailable: they cannot be read.
    """
    mine, theirs = changed(place, first), changed(place, second)

    def content(digest: str) -> bytes:
        try:
            return theirs.content(digest)
        except ContentGone:
            return mine.content(digest)

    return Changed(difference(mine.segments, theirs.segments), content)


def names_for(given: str, one: Delegation) -> tuple[str, ...]:
    """Return what a path that somebody types may be called in a journal, the likeliest first.

    That is from where they are, and as a list of changes shows it.

    Raises:
        InvalidRequest: nothing was typed, as by a script with an empty variable.
    """
    if not given.strip():
        raise InvalidRequest("A path is empty; name a file or a folder, or leave it out for all.")
    top = top_of(Path(one.directory))
    here = name_in(top, Path(os.path.abspath(given)))
    return tuple(dict.fromkeys((here, os.path.normpath(given))))
