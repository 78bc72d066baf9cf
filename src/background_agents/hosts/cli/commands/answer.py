"""``background-agents answer``: answer what a delegation waits for."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NothingAsked
from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import active_of, add_id, add_place, found_of
from background_agents.hosts.cli.typed import add_text, text
from background_agents.views.model import how_to_answer


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, and the answer."""
    add_id(parser, active=True)
    about = 'once, always or reject ("reject: why") for a permission; words for a question'
    add_text(parser, "reply", f"{about}; none shows what is asked", nargs="*")
    add_place(parser)


def run(given: Namespace) -> None:
    """Answer its oldest open request, and say which that was."""
    if not given.reply:
        _show(found_of(given)[1])
        return
    one = active_of(given, "nothing is asked any more")
    answered = one.answer(text(given.reply))
    print(f"Answered: {printable(answered.asked)}")
    left = answered.delegation.requests
    print(f"{one.id} still asks: {printable(left[0].text)}" if left else f"{one.id} goes on.")


def _show(one: Delegation) -> None:
    """Print what it asks, the oldest first, whole and with the replies that there are."""
    if not one.requests:
        raise NothingAsked(one.id, one.status)
    for ask in (request.ask for request in one.requests):
        print(f"{one.id} asks for a {ask.kind}:")
        lines = [ask.permission, *ask.patterns] if ask.permission else []
        for question in ask.questions:
            lines += [question.text, *(f"  - {option}" for option in question.options)]
        for line in lines:
            print(f"  {printable(line)}")
        print(f"To answer, {how_to_answer(ask)}.")
