"""``background-agents steer``: put an instruction into a running delegation."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.owners import client_of, refuse_ended
from background_agents.hosts.cli.arguments import add_id, add_place, one_of, place_of
from background_agents.hosts.cli.typed import add_text, text


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, and what."""
    add_id(parser, active=True)
    add_text(parser, "message", "what the agent is to do differently")
    add_place(parser)


def run(given: Namespace) -> None:
    """Send it; the receipt shows later, in ``status`` and ``peek``."""
    place = place_of(given)
    one = one_of(given, place)
    refuse_ended(one, "go on in its session with `background-agents delegate --continue`")
    message = text(given.message)
    with client_of(one, place) as client:
        client.steer(place.project, one.id, message)
    print(f"Sent to {one.id}; `peek` shows when the agent has taken it up.")
