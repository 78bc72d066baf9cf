"""Results as people's programs read them, and the note that somebody has."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from background_agents import config
from background_agents.adapters.files.artifacts import MarkdownArtifacts, body
from background_agents.client.owners import sheets
from background_agents.client.place import Place
from background_agents.domain.annotation import Annotation
from background_agents.domain.delegation import Delegation
from background_agents.views.json import ShowSheet, show_sheet


def artifacts(folder: Path) -> MarkdownArtifacts:
    """Return the files of the results of the project in ``folder``."""
    return MarkdownArtifacts(folder)


def result(one: Delegation, folder: Path) -> str:
    """Return what a delegation of the project in ``folder`` left. Raises ``StoreUnavailable``."""
    return body(artifacts(folder).content(one))


def shown(given: str, place: Place) -> ShowSheet:
    """Return all that is known of a delegation, by its id or enough of it.

    Raises:
        InvalidRequest: there is none, or there are several.
        StoreUnavailable: the records cannot be read.
    """
    with place.records() as records:
        one = records.resolve(given)
        history, notices = records.history(one.id), records.notices([one.id])[one.id]
    (known,) = sheets(place.folder, [one])
    path = artifacts(place.folder).path(one)
    return show_sheet(one, known, artifact=path, history=history, notices=notices)


def note_read(one: Delegation, place: Place) -> None:
    """Note that somebody has read a result, if that is a person, and a person had delegated it.

    Raises:
        StoreUnavailable: it is not noted.
    """
    if one.supervisor_agent or one.read_at is not None:
        return
    from background_agents.adapters.sqlite.amending import mark_read
    from background_agents.control import shells

    if shells.starter_of() is shells.Starter.PERSON:  # else a model looks into it, by a shell
        mark_read(place.folder / config.DATABASE, one.id, datetime.now(UTC))


def annotate(one: Delegation, place: Place, change: Annotation) -> Delegation:
    """Give a delegation that has ended labels or a note, in its record and in its file.

    Raises:
        InvalidRequest: a label or the note cannot be meant.
        StoreUnavailable: it cannot be stored now.
    """
    from background_agents.adapters.sqlite.amending import annotate as amend

    after = amend(place.folder / config.DATABASE, one, change, datetime.now(UTC))
    files = artifacts(place.folder)
    if files.path(after).exists():  # else the record alone has it
        files.rewrite(after)
    return after
