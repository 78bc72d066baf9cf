"""``background-agents label``: give a delegation labels, for people."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.synchronous import Client, Handle
from background_agents.hosts.cli.arguments import add_id, add_place, found_of


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and what it is called."""
    parser.epilog = (
        "`list label:NAME` finds what has one, `list --columns id,labels,title` shows them. They "
        "go with the result's file; no model is told of them."
    )
    add_id(parser)
    parser.add_argument("labels", metavar="NAME", nargs="*", help="one word each; none shows them")
    parser.add_argument("--remove", action="store_true", help="take them away")
    add_place(parser)


def run(given: Namespace) -> None:
    """Label it, and say what it has then."""
    place, one = found_of(given)
    labels, names = one.labels, given.labels
    if names:
        handle = Handle(Client(place, takeover_s=0), one.id)
        after = handle.annotate(without=names) if given.remove else handle.annotate(names)
        labels = after.labels
    print(f"{one.id} is labelled {' '.join(labels)}." if labels else f"{one.id} has no label.")
