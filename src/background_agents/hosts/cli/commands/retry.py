"""``background-agents retry``: do once more what a delegation that has ended was to do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.order import Order
from background_agents.hosts.cli import complete
from background_agents.hosts.cli.arguments import add_id, add_place, completed, found_of
from background_agents.hosts.cli.commands.delegate import add_options, finish, with_options


def add_arguments(parser: ArgumentParser) -> None:
    """Take which one, and what is to be other than it was."""
    add_id(parser)
    agent = parser.add_argument("--agent", help="another agent than then")
    completed(agent, complete.agents)
    add_options(parser, usual="as then")
    add_place(parser)


def run(given: Namespace) -> int:
    """Delegate it once more; print the new id, or with ``--wait`` the result."""
    place, before = found_of(given)
    given.directory = place.directory
    order = Order(agent=given.agent or "", retry_id=before.id)
    return finish(with_options(order, given), given)
