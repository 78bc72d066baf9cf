"""``background-agents answer``: answer what a delegation waits for."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import active_of, add_id, add_place
from background_agents.hosts.cli.typed import add_text, text


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, and the answer."""
    add_id(parser, active=True)
    about = 'once, always or reject ("reject: why") for a permission; words for a question'
    add_text(parser, "reply", about)
    add_place(parser)


def run(given: Namespace) -> None:
    """Answer its oldest open request, and say which that was."""
    one = active_of(given, "nothing is asked any more")
    answered = one.answer(text(given.reply))
    print(f"Answered: {printable(answered.asked)}")
    left = answered.delegation.requests
    print(f"{one.id} still asks: {printable(left[0].text)}" if left else f"{one.id} goes on.")
