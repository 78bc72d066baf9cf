"""``background-agents peek``: see what a delegation writes, while it writes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.client.synchronous import Handle
from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import active_of, add_id, add_place
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text


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
    one = active_of(given, "`background-agents read {id}` shows what it left")
    if given.follow:
        return follow(one)
    found = one.peek()
    if given.json:
        write_json(found)
    else:
        print(status_text.peek(found))
    return Exit.DONE


def follow(one: Handle, *, from_prompt: bool = False) -> int:
    """Print what it writes until it has ended; return the code that tells how."""
    for text in one.follow(from_prompt=from_prompt):
        print(printable(text), end="", flush=True)
    ended = one.status()
    print()
    print(status_text.ended(ended), file=sys.stderr)
    return Exit.DONE if ended.state == "completed" else Exit.NOT_WELL
