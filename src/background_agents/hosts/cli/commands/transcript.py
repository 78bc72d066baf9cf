"""``background-agents transcript``: all that was said and done in a run, also after its end."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.client.place import Place
from background_agents.client.results import result
from background_agents.client.synchronous import Client, Handle
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError, NotServed
from background_agents.domain.text import printable
from background_agents.hosts.cli import pager
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.hosts.cli.commands.peek import follow
from background_agents.hosts.cli.exits import Exit
from background_agents.views.errors import for_people


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and whether to stay."""
    parser.epilog = (
        "What the agent was told stands behind `>`, tool calls in square brackets. While it runs "
        "its service tells; afterwards OpenCode, which keeps its session: where none has the "
        "project open, one is started and ends by itself. Where the session is gone there is "
        "the result, and that is said."
    )
    add_id(parser)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until it has ended; Ctrl-C leaves it"
    )
    add_place(parser)


def run(given: Namespace) -> int:
    """Show it from the prompt on; of one that has ended, following changes nothing."""
    place, one = found_of(given)
    handle = Handle(Client(place, takeover_s=0), one.id)
    if given.follow and not one.is_terminal:
        return follow(handle, from_prompt=True)
    try:
        told = _told(handle) if one.is_terminal else handle.transcript()
    except DelegationError as error:
        if not one.is_terminal:
            raise
        return _instead(one, place, error)
    pager.show(printable(told).splitlines())
    return Exit.DONE


def _told(handle: Handle) -> str:
    try:
        return handle.transcript(start=False)
    except NotServed as error:
        print(f"{for_people(error)} One is started to read the session …", file=sys.stderr)
        return handle.transcript()


def _instead(one: Delegation, place: Place, why: DelegationError) -> int:
    """Show the result alone, and say so."""
    left = result(one, place.folder)
    print(f"There is no transcript: {for_people(why)} This is its result:\n", file=sys.stderr)
    pager.show(printable(left).splitlines())
    return Exit.NOT_WELL
