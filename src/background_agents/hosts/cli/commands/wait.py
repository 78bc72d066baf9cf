"""``background-agents wait``: return when delegations have ended."""

from __future__ import annotations

import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from queue import SimpleQueue

import msgspec

from background_agents.client.owners import by_owner, client_of
from background_agents.client.place import Place
from background_agents.control import protocol
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import add_ids, add_place, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, write_json
from background_agents.hosts.cli.text import status as status_text
from background_agents.hosts.cli.typed import seconds
from background_agents.views.json import Sheet, sheet

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
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Wait, saying meanwhile who asks for something, and show how each ended."""
    place = place_of(given)
    found = _meant(given.ids, place)
    ended = wait_for(found, place, given.limit_s, for_any=given.any)
    if given.json:
        write_json(ended)
    else:
        for one in ended:
            print(status_text.ended(one))
    return code_of_all(ended, for_any=given.any)


def wait_for(
    found: Sequence[Delegation], place: Place, limit_s: float, *, for_any: bool = False
) -> list[Sheet]:
    """Return the delegations as they are once one or all have ended, or ``limit_s`` is over.

    Raises:
        NotServed: it cannot come about, since processes have ended that ran them.
    """
    now = datetime.now(UTC)
    sheets = {one.id: sheet(one, now) for one in found}
    open_ = [one for one in found if not one.is_terminal]
    if not open_ or (for_any and len(open_) < len(found)):
        return list(sheets.values())
    told: SimpleQueue[list[Sheet] | Exception] = SimpleQueue()
    groups = by_owner(open_)
    for group in groups.values():
        # A thread for each process that is waited for; they end with this program.
        watch = threading.Thread(
            target=_watch, args=(group, place, limit_s, for_any, told), daemon=True
        )
        watch.start()
    for left in reversed(range(len(groups))):
        answer = told.get()
        if isinstance(answer, Exception):
            if for_any and left and isinstance(answer, DelegationError):
                continue  # another process may still bring one to its end
            raise answer
        sheets |= {one.id: one for one in answer}
        if for_any and any(has_ended(one) for one in sheets.values()):
            break
    return list(sheets.values())


def has_ended(one: Sheet) -> bool:
    """Return whether nothing more happens to a delegation."""
    return one.ended_at is not None


def code_of_all(ended: Sequence[Sheet], *, for_any: bool) -> Exit:
    """Return what the ends of delegations mean for a script."""
    over = [one for one in ended if has_ended(one)]
    if (not over and ended) or (not for_any and len(over) < len(ended)):
        return Exit.TIME_OVER
    return Exit.DONE if all(one.state == "completed" for one in over) else Exit.NOT_WELL


def _meant(ids: Sequence[str], place: Place) -> list[Delegation]:
    with place.records() as records:
        return [records.resolve(one) for one in ids] if ids else records.active()


def _watch(
    group: Sequence[Delegation],
    place: Place,
    limit_s: float,
    for_any: bool,
    told: SimpleQueue[list[Sheet] | Exception],
) -> None:
    ids = tuple(one.id for one in group)
    awaited = protocol.Awaited(project=place.project, ids=ids, limit_s=limit_s, for_any=for_any)
    try:
        with client_of(group[0], place) as client:
            told.put(client.wait(awaited, _say_who_asks))
    except Exception as error:  # whoever waits for the answer raises it
        told.put(error)


def _say_who_asks(method: str, params: msgspec.Raw) -> None:
    if method != protocol.ASKS:
        return
    asks = msgspec.json.decode(params, type=protocol.Asks)
    for request in asks.requests:
        print(
            f"{asks.id} waits for a {request.kind}, {printable(request.text)}; answer with "
            f"`background-agents answer {asks.id} REPLY`.",
            file=sys.stderr,
        )
