"""``background-agents note``: write a note to a delegation, for people."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.synchronous import Client, Handle
from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.hosts.cli.typed import add_text, text


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and what is noted."""
    parser.epilog = "`show` has it, too. It goes with the result's file; no model is told of it."
    add_id(parser)
    add_text(parser, "text", "in place of the one before; none shows it", nargs="*")
    parser.add_argument("--remove", action="store_true", help="take it away")
    add_place(parser)


def run(given: Namespace) -> None:
    """Note it, or show what is noted."""
    place, one = found_of(given)
    note = one.note
    if given.text or given.remove:
        said = "" if given.remove else text(given.text)
        note = Handle(Client(place, takeover_s=0), one.id).annotate(note=said).note
    print(printable(note) if note else f"{one.id} has no note.")
