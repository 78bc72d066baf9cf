"""``background-agents stop``: end delegations, and keep what they wrote."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.arguments import add_ids, add_place, client_of, place_of
from background_agents.hosts.cli.exits import Exit, code_of
from background_agents.views.errors import for_people
from background_agents.views.json import Sheet


def add_arguments(parser: ArgumentParser) -> None:
    """Take which."""
    add_ids(parser, "an id, or enough of it", active=True)
    parser.add_argument("--all", action="store_true", help="all that are active in the project")
    add_place(parser)


def run(given: Namespace) -> int:
    """Stop them in one act, of which their supervisor is told once; all are quiet when named."""
    worst = Exit.DONE
    meant = _meant(given)
    for one in meant:
        if one.is_terminal:
            print(f"{one.id} had ended already ({one.status}).", flush=True)
    active = [one.id for one in meant if not one.is_terminal]
    for after in client_of(given).stop_all(active):
        if isinstance(after, Sheet):
            print(_told(after), flush=True)
        else:
            # The others are stopped all the same.
            print(for_people(after), file=sys.stderr)
            worst = max(worst, code_of(after))
    return worst


def _meant(given: Namespace) -> list[Delegation]:
    ids: list[str] = given.ids
    if bool(ids) == given.all:
        raise InvalidRequest("Name what to stop, or say --all; not both.")
    with place_of(given).records() as records:
        found = records.active() if given.all else [records.resolve(one) for one in ids]
    if not found:
        print("Nothing is active.")
    return found


def _told(after: Sheet) -> str:
    if after.state != "stopped":
        return f"{after.id} had just ended ({after.state})."
    return f"{after.id} is stopped; {after.result_chars:,} characters of partial output are kept."
