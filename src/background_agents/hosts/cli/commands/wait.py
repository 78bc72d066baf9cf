"""``background-agents wait``: return when delegations have ended."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import add_ids, add_place, client_of, found_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.typed import seconds
from background_agents.views.json import RequestSheet, Sheet

LONGEST_S = 7 * 24 * 3600.0
"""As long as a delegation may take: a week."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take what for, and for how long."""
    add_ids(parser, "what to wait for; without any, all that are active", active=True)
    parser.add_argument("--any", action="store_true", help="until one of them has ended, not all")
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, default=LONGEST_S, dest="limit_s",
        help="at most so long, such as 90s, 10m or 1h; exit code 4 when it is over",
    )  # fmt: skip
    parser.add_argument(
        "--bell", action="store_true", help="ring the terminal's bell when it is over, or one asks"
    )
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Wait, saying meanwhile who asks for something, and show how each ended."""
    if given.ids:
        given.directory = found_of(given, given.ids[0])[0].directory

    def asks(delegation: str, requests: Sequence[RequestSheet]) -> None:
        say_who_asks(delegation, requests)
        ring(given.bell)

    ended = client_of(given).wait(
        given.ids or None, timeout_s=given.limit_s, for_any=given.any, asks=asks
    )
    ring(given.bell)
    if given.json:
        write_json(ended)
    else:
        for one in ended:
            print(status_text.ended(one))
    return code_of_all(ended, for_any=given.any)


def ring(wanted: bool) -> None:
    """Ring the terminal's bell, where there is one, past the stream that would keep us from it."""
    if wanted and sys.stderr.isatty():
        sys.stderr.flush()
        sys.stderr.buffer.write(b"\a")
        sys.stderr.buffer.flush()


def code_of_all(ended: Sequence[Sheet], *, for_any: bool) -> Exit:
    """Return what the ends of delegations mean for a script."""
    over = [one for one in ended if one.ended_at is not None]
    if (not over and ended) or (not for_any and len(over) < len(ended)):
        return Exit.TIME_OVER
    return Exit.DONE if all(one.state == "completed" for one in over) else Exit.NOT_WELL


def say_who_asks(delegation: str, requests: Sequence[RequestSheet]) -> None:
    """Tell whoever waits what a delegation waits for itself, and how to answer."""
    for request in requests:
        print(
            f"{delegation} waits for a {request.kind}, {printable(request.text)}; answer with "
            f"`background-agents answer {delegation} REPLY`.",
            file=sys.stderr,
        )
