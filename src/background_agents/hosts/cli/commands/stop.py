"""``background-agents stop``: end delegations, and keep what they wrote."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError, InvalidRequest
from background_agents.hosts.cli.arguments import add_ids
from background_agents.hosts.cli.exits import Exit, code_of
from background_agents.hosts.cli.place import Place, add_place, place_of
from background_agents.hosts.cli.reach import client_of


def add_arguments(parser: ArgumentParser) -> None:
    """Take which."""
    add_ids(parser, "an id, or enough of it", active=True)
    parser.add_argument("--all", action="store_true", help="all that are active in the project")
    add_place(parser)


def run(given: Namespace) -> int:
    """Stop them one after the other; each is quiet when it is named."""
    place = place_of(given)
    worst = Exit.DONE
    for one in _meant(given, place):
        try:
            print(_stopped(one, place), flush=True)
        except DelegationError as error:
            # The others are to be stopped all the same.
            print(error, file=sys.stderr)
            worst = max(worst, code_of(error))
    return worst


def _meant(given: Namespace, place: Place) -> list[Delegation]:
    ids: list[str] = given.ids
    if bool(ids) == given.all:
        raise InvalidRequest("Name what to stop, or say --all; not both.")
    with place.records() as records:
        found = records.active() if given.all else [records.resolve(one) for one in ids]
    if not found:
        print("Nothing is active.")
    return found


def _stopped(one: Delegation, place: Place) -> str:
    if one.is_terminal:
        return f"{one.id} had ended already ({one.status})."
    with client_of(one, place) as client:
        after = client.stop(place.project, one.id)
    if after.state != "stopped":
        return f"{one.id} had just ended ({after.state})."
    return f"{one.id} is stopped; {after.result_chars:,} characters of partial output are kept."
