"""``background-agents show``: all that is known of a delegation, and what happened to it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from background_agents.client.owners import sheets
from background_agents.client.results import artifacts
from background_agents.domain.text import printable
from background_agents.hosts.cli import output
from background_agents.hosts.cli.arguments import add_id, add_place, place_of
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.text import show as show_text
from background_agents.views.json import show_sheet


def add_arguments(parser: ArgumentParser) -> None:
    """Take an id."""
    add_id(parser)
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> None:
    """Show the record, the history and the notices of a delegation."""
    place = place_of(given)
    with place.records() as records:
        one = records.resolve(given.id)
        history, notices = records.history(one.id), records.notices([one.id])[one.id]
    (known,) = sheets(place.folder, [one])
    artifact = artifacts(place.folder).path(one)
    shown = show_sheet(one, known, artifact=artifact, history=history, notices=notices)
    if given.json:
        output.write_json(shown)
        return
    begins = True
    lines = show_text.lines(shown, datetime.now(UTC), has_artifact=artifact.is_file())
    for line in map(printable, lines):
        output.show(painted(line, Colour.STRONG) if begins else line)
        begins = not line
