"""``background-agents peek``: see what a delegation writes, while it writes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

import msgspec

from background_agents.client.connection import Client
from background_agents.client.owners import client_of, refuse_ended
from background_agents.client.place import Place
from background_agents.control import protocol
from background_agents.domain.delegation import Delegation
from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import add_id, add_place, one_of, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text
from background_agents.views.json import Sheet


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and whether to stay."""
    add_id(parser, active=True)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until it has ended; Ctrl-C leaves it"
    )
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Show the newest part, or everything from the beginning on as it comes."""
    place = place_of(given)
    one = one_of(given, place)
    refuse_ended(one, f"`background-agents read {one.id}` shows what it left")
    with client_of(one, place) as client:
        if given.follow:
            return _follow(client, place, one)
        found = client.peek(place.project, one.id)
    if given.json:
        write_json(found)
    else:
        print(status_text.peek(found))
    return Exit.DONE


def _follow(client: Client, place: Place, one: Delegation) -> int:
    def write(method: str, params: msgspec.Raw) -> None:
        if method == protocol.WROTE:
            print(
                printable(msgspec.json.decode(params, type=protocol.Wrote).text), end="", flush=True
            )

    ended = client.follow(place.project, one.id, write)
    print()
    print(status_text.ended(ended), file=sys.stderr)
    return Exit.DONE if _is_well(ended) else Exit.NOT_WELL


def _is_well(ended: Sheet) -> bool:
    return ended.state == "completed"
