"""Arguments that several commands take, each with what a shell offers for it.

Knows how they are written and completed, not what they are for; that is said by each command.
"""

from __future__ import annotations

import sys
from argparse import Action, ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from background_agents.client import place
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, NoSuchRecord
from background_agents.hosts.cli import complete
from background_agents.hosts.cli.complete import Completer

if TYPE_CHECKING:
    from background_agents.client.synchronous import Client, Handle

_HERE = Path()
"""The folder that is meant where none is named."""


def add_id(parser: ArgumentParser, *, active: bool = False) -> None:
    """Take the id of a delegation, as ``id``; ``active`` offers only those that have not ended."""
    action = parser.add_argument(
        "id", metavar="ID", help="its id, or enough of it to be unambiguous"
    )
    completed(action, complete.active_ids if active else complete.ids)


def add_ids(parser: ArgumentParser, help_text: str, *, active: bool = False) -> None:
    """Take any number of ids, as the list ``ids``."""
    action = parser.add_argument("ids", metavar="ID", nargs="*", help=help_text)
    completed(action, complete.active_ids if active else complete.ids)


def add_paths(parser: ArgumentParser, help_text: str) -> None:
    """Take any number of files that a delegation has changed, as the list ``paths``."""
    action = parser.add_argument("paths", metavar="PATH", nargs="*", default=(), help=help_text)
    completed(action, complete.changed_paths)


def add_place(parser: ArgumentParser) -> None:
    """Let a command be told which project it is about."""
    action = parser.add_argument(
        "-C", "--directory", metavar="DIR", type=Path, default=_HERE,
        help="a folder of the project that is meant (default: the current one)",
    )  # fmt: skip
    completed(action, complete.folders)


def place_of(given: Namespace, *, keep: bool = True) -> Place:
    """Return the project that the arguments mean. Raises ``InvalidRequest``."""
    return place.place_of(given.directory, keep=keep)


def nothing_in(where: Place) -> str:
    """Return what is said of a project in which nothing was ever delegated."""
    return (
        f"Nothing has been delegated in the project of {where.directory} yet; another one is "
        "named with --directory."
    )


def found_of(given: Namespace, name: str = "") -> tuple[Place, Delegation]:
    """Return the delegation that an id means, by default the argument ``id``, and its project.

    One that is written out is found in any project, unless one was named; it is told which.

    Raises:
        InvalidRequest: there is none, or there are several.
    """
    where, name = place_of(given), name or given.id
    try:
        with where.records() as records:
            return where, records.resolve(name)
    except NoSuchRecord:
        if given.directory != _HERE:
            raise
        from background_agents.client.projects import in_all
        from background_agents.views.errors import for_people

        found = in_all(name, lambda error: print(for_people(error), file=sys.stderr))
        if not found:
            raise
    if len(found) > 1:
        places = ", ".join(sorted(str(there.directory) for there in found))
        raise InvalidRequest(f"{name} is in {places}; say which with --directory.")
    ((there, one),) = found.items()
    print(f"{one.id} is of another project, {there.directory}.", file=sys.stderr)
    return there, one


def client_of(given: Namespace) -> Client:
    """Return the delegations of the project that the arguments mean. Raises ``InvalidRequest``."""
    # Here, since many commands ask no service.
    from background_agents.client.synchronous import Client

    # Whoever types commands sees at once that nobody runs something, and can mend it.
    return Client(place_of(given), takeover_s=0)


def active_of(given: Namespace, instead: str) -> Handle:
    """Return the delegation that the argument ``id`` means.

    Raises:
        InvalidRequest: there is none, or it has ended, and what to do ``instead``.
    """
    from background_agents.client.owners import refuse_ended
    from background_agents.client.synchronous import Client, Handle

    where, one = found_of(given)
    refuse_ended(one, instead.format(id=one.id))
    return Handle(Client(where, takeover_s=0), one.id)


def completed(action: Action, completer: Completer) -> None:
    """Let a shell offer what ``completer`` finds for an argument."""
    action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks for it
