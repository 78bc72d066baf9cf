"""``background-agents delegate``: hand a task to a background agent, without a conversation."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from msgspec.structs import replace

from background_agents.client.place import Place
from background_agents.client.results import result
from background_agents.client.synchronous import Client
from background_agents.domain.isolation import ISOLATIONS
from background_agents.domain.order import Order
from background_agents.domain.text import printable
from background_agents.hosts.cli import complete, tries
from background_agents.hosts.cli.arguments import add_place, completed, place_of
from background_agents.hosts.cli.commands.read import try_to_note
from background_agents.hosts.cli.commands.wait import LONGEST_S, code_of_all, say_who_asks
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.typed import add_text, seconds, text
from background_agents.views.json import Sheet

_LIMITS = (
    ("max-turns", int, "end it at so many calls of its model; 0 = no limit (default: as set)"),
    ("max-tokens", int, "end it at so many tokens, those from a cache not counted"),
    ("max-cost-usd", float, "end it at so many US dollars, where the price of its model is known"),
)


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, what, and how."""
    agent = parser.add_argument("agent", metavar="AGENT", help="name of the agent that does it")
    completed(agent, complete.agents)
    add_text(parser, "prompt", "the whole task: the agent knows nothing else")
    add_options(parser, usual="as configured")
    before = parser.add_argument(
        "--continue", metavar="ID", dest="continue_id",
        help="an ended delegation in whose session it goes on, with all it knows",
    )  # fmt: skip
    completed(before, complete.ids)
    tries.add_arguments(parser)
    add_place(parser)


def add_options(parser: ArgumentParser, *, usual: str) -> None:
    """Take how it is done and shown; ``usual`` says what holds by default."""
    parser.add_argument("--model", metavar="PROVIDER/MODEL", help="for this task alone")
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, dest="timeout_s",
        help=f"its time limit, such as 90s, 10m or 1h; 0 = none (default: {usual})",
    )  # fmt: skip
    parser.add_argument(
        "--isolation", choices=ISOLATIONS,
        help="worktree: in a copy of the project, from which `apply` takes over what it changes "
        f"(default: {usual})",
    )  # fmt: skip
    for name, kind, about in _LIMITS:
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=about)
    parser.add_argument("--wait", action="store_true", help="wait for the result, and print it")
    parser.add_argument(
        "--url", help="the running `opencode serve` that is to do it (default: one that has the "
        "project open; else OpenCode 2's managed server; else one is started and ends when it is "
        "idle)",
    )  # fmt: skip
    add_json(parser)


def with_options(order: Order, given: Namespace) -> Order:
    """Return an order with what ``add_options`` has taken."""
    return replace(
        order,
        model=given.model,
        timeout_minutes=None if given.timeout_s is None else given.timeout_s / 60,
        max_turns=given.max_turns,
        max_tokens=given.max_tokens,
        max_cost_usd=given.max_cost_usd,
        isolation=given.isolation,
    )


def run(given: Namespace) -> int:
    """Delegate it; print its id, or with ``--wait`` its result."""
    order = Order(text(given.prompt), given.agent, continue_id=given.continue_id)
    order = with_options(order, given)
    models = tries.models_of(given)
    if models:
        client = Client(place_of(given), url=given.url, takeover_s=0)
        return tries.run(client, order, models, as_json=given.json)
    return finish(order, given)


def finish(order: Order, given: Namespace) -> int:
    """Delegate what an order says; print its id, or with ``--wait`` its result."""
    place = place_of(given)
    client = Client(place, url=given.url, takeover_s=0)
    made = client.order(order)
    if given.wait:
        return _result(client, made, place, as_json=given.json)
    if given.json:
        write_json(made)
    else:
        print(made.id)
    return Exit.DONE


def _result(client: Client, made: Sheet, place: Place, *, as_json: bool) -> int:
    print(f"{made.id} is at work; Ctrl-C leaves it running.", file=sys.stderr)
    (ended,) = client.wait([made.id], timeout_s=LONGEST_S, asks=say_who_asks)
    if as_json:
        write_json(ended)
    else:
        print(status_text.ended(ended), file=sys.stderr)
        with place.records() as records:
            one = records.resolve(made.id)
        left = result(one, place.folder)
        print(printable(left) if sys.stdout.isatty() else left, flush=True)
        try_to_note(one, place)
    return code_of_all([ended], for_any=False)
