"""``background-agents status``: what runs now."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.hosts.cli.arguments import add_place, client_of, nothing_in, place_of
from background_agents.hosts.cli.output import add_json, width, write_json
from background_agents.hosts.cli.text import status as status_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take no more than where to look."""
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> None:
    """Show every active delegation of the project, as its owner tells of it."""
    shown = client_of(given).active()
    if given.json:
        write_json(shown)
    elif not shown:
        place = place_of(given)
        there_was = "Nothing is active. `background-agents list` shows what there was."
        print(nothing_in(place) if place.is_fresh else there_was)
    else:
        print("\n".join(status_text.active(one, width()) for one in shown))
