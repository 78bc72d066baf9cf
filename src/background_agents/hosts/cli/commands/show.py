"""``background-agents show``: all that is known of a delegation, and what happened to it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from background_agents.client.results import shown
from background_agents.domain.text import printable
from background_agents.hosts.cli import output, pager
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.text import show as show_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take an id."""
    add_id(parser)
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> None:
    """Show the record, the history and the notices of a delegation."""
    place, one = found_of(given)
    found = shown(one.id, place)
    if given.json:
        output.write_json(found)
        return
    told, begins = list[str](), True
    has_artifact = Path(found.artifact or "").is_file()
    lines = show_text.lines(found, datetime.now(UTC), has_artifact=has_artifact)
    for line in map(printable, lines):
        told.append(painted(line, Colour.STRONG) if begins else line)
        begins = not line
    pager.show(told)
