"""``background-agents extend``: give a running delegation more time."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.domain.text import span
from background_agents.hosts.cli.arguments import active_of, add_id, add_place
from background_agents.hosts.cli.typed import minutes


def add_arguments(parser: ArgumentParser) -> None:
    """Take whom, and how much."""
    parser.epilog = (
        "It comes on top of what is left; a delegation that waits for an answer, or for its turn, "
        "uses none of it. One that has ended is gone on with by `delegate --continue`."
    )
    add_id(parser, active=True)
    parser.add_argument(
        "minutes", metavar="MINUTES", type=minutes,
        help="how many more; also 90s, 10m or 2h; 0 = it has no time limit from now on",
    )  # fmt: skip
    add_place(parser)


def run(given: Namespace) -> None:
    """Extend it, and say what it has now."""
    one = active_of(given, "go on in its session with `background-agents delegate --continue`")
    limit = one.extend(given.minutes).timeout_s
    told = f"has {span(limit)} in all" if limit else "has no time limit"
    print(f"{one.id} {told} now.")
