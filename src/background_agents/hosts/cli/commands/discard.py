"""``background-agents discard``: delete the tree of its own that a delegation has worked in."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.tries import Try
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.isolation import State
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.hosts.cli.asking import confirm
from background_agents.views.changes import brief


def add_arguments(parser: ArgumentParser) -> None:
    """Take which."""
    parser.epilog = "Its result and its record stay. There is no way back."
    add_id(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_place(parser)


def run(given: Namespace) -> None:
    """Delete it once that is confirmed."""
    place, one = found_of(given)
    found = Try(place, one)
    state = found.state
    if state is State.DISCARDED:
        raise InvalidRequest(f"The tree of {found.one.id} was discarded before.")
    changes = brief(found.one.changes)
    what = f"what {found.one.id} has changed" + (f" ({changes})" if changes else "")
    confirm(f"Delete {found.folder} with {what}, for good?", given, "Nothing was deleted.")
    found.discard()
    print(f"Discarded {found.one.id}.")
