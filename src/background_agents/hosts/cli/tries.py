"""The same task several times, apart from each other, and what came of each beside the others."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from msgspec.structs import replace

from background_agents.client.synchronous import Client
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.isolation import WORKTREE
from background_agents.domain.order import Order
from background_agents.hosts.cli import output, table
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.commands.wait import LONGEST_S, code_of_all, say_who_asks
from background_agents.hosts.cli.text import tries as tries_text

MOST_TRIES = 16
"""Twice as many as run at once by default; each costs what the task costs."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take how many, and by which models."""
    parser.add_argument(
        "--tries", metavar="N", type=int,
        help="do it so many times, each apart in a copy of the project; wait, and compare "
        "(--json as `wait` has it)",
    )  # fmt: skip
    parser.add_argument(
        "--models", metavar="A,B,C", help="models that the tries use in turn (default: a try each)"
    )


def models_of(given: Namespace) -> Sequence[str | None]:
    """Return the model of each try; nothing where the task is to be done once.

    Raises:
        InvalidRequest: so many cannot be meant.
    """
    if given.tries is None and given.models is None:
        return ()
    named = [one.strip() for one in (given.models or "").split(",")]
    models = [one for one in named if one] or [given.model]
    count = len(models) if given.tries is None else given.tries
    if not max(2, len(models)) <= count <= MOST_TRIES:
        least = f"{max(2, len(models))} to {MOST_TRIES}"
        raise InvalidRequest(
            f"{count} tries cannot be compared; give --tries a number from {least}."
        )
    if given.continue_id:
        raise InvalidRequest("Tries begin anew, each for itself; leave --continue out.")
    return [models[at % len(models)] for at in range(count)]


def run(client: Client, order: Order, models: Sequence[str | None], *, as_json: bool) -> int:
    """Delegate an order once for each model, wait for all, and show them side by side."""
    made: list[str] = []
    for model in models:
        apart = replace(order, model=model, isolation=WORKTREE)
        made.append(client.order(apart).id)
        print(f"{made[-1]} is at work; Ctrl-C leaves it running.", file=sys.stderr)
    by_id = {one.id: one for one in client.wait(made, timeout_s=LONGEST_S, asks=say_who_asks)}
    ended = [by_id[one] for one in made]
    if as_json:
        output.write_json(ended)
        return code_of_all(ended, for_any=False)
    is_cut = output.is_terminal() or "COLUMNS" in os.environ
    cells = [tries_text.HEAD, *map(tries_text.cells, ended)]
    rows = table.fit(cells, output.width() if is_cut else None, last=5, right=(3, 4))
    output.show(table.line(rows[0], dict.fromkeys(range(6), Colour.FAINT)))
    for one, row in zip(ended, rows[1:], strict=True):
        output.show(table.line(row, {1: OF_STATUS.get(one.state, Colour.FAINT)}))
    sys.stdout.flush()  # the table stands first, also where both are one terminal
    print(tries_text.NEXT, file=sys.stderr)
    return code_of_all(ended, for_any=False)
