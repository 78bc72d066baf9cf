"""``background-agents delegate``: hand a task to a background agent, without a conversation."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.adapters.files.artifacts import MarkdownArtifacts, parse
from background_agents.client.on_demand import service_for
from background_agents.client.place import Place
from background_agents.domain.order import Order
from background_agents.domain.text import printable
from background_agents.hosts.cli import complete
from background_agents.hosts.cli.arguments import add_place, completed, place_of
from background_agents.hosts.cli.commands.read import note_read
from background_agents.hosts.cli.commands.wait import LONGEST_S, code_of_all, wait_for
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.typed import add_text, seconds, text
from background_agents.views.json import Sheet


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, what, and how."""
    agent = parser.add_argument("agent", metavar="AGENT", help="name of the agent that does it")
    completed(agent, complete.agents)
    add_text(parser, "prompt", "the whole task: the agent knows nothing else")
    parser.add_argument("--model", metavar="PROVIDER/MODEL", help="for this task alone")
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, dest="timeout_s",
        help="its time limit, such as 90s, 10m or 1h; 0 = none (default: as configured)",
    )  # fmt: skip
    before = parser.add_argument(
        "--continue", metavar="ID", dest="continue_id",
        help="an ended delegation in whose session it goes on, with all it knows",
    )  # fmt: skip
    completed(before, complete.ids)
    parser.add_argument("--wait", action="store_true", help="wait for the result, and print it")
    parser.add_argument(
        "--url", help="the running `opencode serve` that is to do it (default: one that has the "
        "project open; else one is started and ends when it is idle)",
    )  # fmt: skip
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Delegate it; print its id, or with ``--wait`` its result."""
    place = place_of(given)
    prompt = text(given.prompt)
    continue_id = given.continue_id
    if continue_id:
        with place.records() as records:
            continue_id = records.resolve(continue_id).id
    client, directory = service_for(place, given.url)
    with client:
        made = client.delegate(
            directory,
            Order(
                prompt=prompt,
                agent=given.agent,
                model=given.model,
                timeout_minutes=None if given.timeout_s is None else given.timeout_s / 60,
                continue_id=continue_id,
            ),
        )
    if given.wait:
        return _result(made, place, as_json=given.json)
    if given.json:
        write_json(made)
    else:
        print(made.id)
    return Exit.DONE


def _result(made: Sheet, place: Place, *, as_json: bool) -> int:
    print(f"{made.id} is at work; Ctrl-C leaves it running.", file=sys.stderr)
    with place.records() as records:
        one = records.resolve(made.id)
    (ended,) = wait_for([one], place, LONGEST_S)
    if as_json:
        write_json(ended)
    else:
        print(status_text.ended(ended), file=sys.stderr)
        _, body = parse(MarkdownArtifacts(place.folder).content(one))
        print(printable(body) if sys.stdout.isatty() else body, flush=True)
        note_read(one, place)
    return code_of_all([ended], for_any=False)
