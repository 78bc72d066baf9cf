"""``background-agents steer``: put an instruction into a running delegation."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.hosts.cli.arguments import active_of, add_id, add_place
from background_agents.hosts.cli.typed import add_text, text


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, and what."""
    add_id(parser, active=True)
    add_text(parser, "message", "what the agent is to do differently")
    add_place(parser)


def run(given: Namespace) -> None:
    """Send it; the receipt shows later, in ``status`` and ``peek``."""
    one = active_of(given, "go on in its session with `background-agents delegate --continue`")
    one.steer(text(given.message))
    print(f"Sent to {one.id}; `peek` shows when the agent has taken it up.")
