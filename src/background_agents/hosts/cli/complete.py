"""What a shell offers when Tab is pressed: commands, options, ids, states, agents, folders.

A shell that completes runs the program anew for each press of the key. So of all commands only
the one that is being typed is imported, the records are opened only where an id or an agent is
due, and argcomplete is imported by nobody else. Whoever presses Tab asked for words: what goes
wrong here is no message, but no words.
"""

from __future__ import annotations

import os
import sys
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from background_agents.domain.errors import DelegationError
from background_agents.domain.text import one_line
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.registry import COMMANDS, load

if TYPE_CHECKING:
    from background_agents.adapters.sqlite.records import Records

OFFERED = 200
"""Of ids the newest; nobody looks through more, and more would be late."""

_ABOUT_CHARS = 60
"""Of what stands beside a word, in shells that show it."""

Offers = Mapping[str, str]
"""Words, and what each is."""


class Completer(Protocol):
    """Finds the words that fit an argument; argcomplete's own form."""

    def __call__(
        self, prefix: str, *, action: Action, parser: ArgumentParser, parsed_args: Namespace
    ) -> Offers:
        """Return what may stand where ``prefix`` is being typed."""
        ...


def answer(program: str) -> None:
    """Tell the shell what may stand where its cursor is, as its variables say, and exit."""
    import gc

    gc.disable()  # what ends in a tenth of a second has nothing to collect
    import argcomplete
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    *_, words, _ = split_line(line, point)
    chosen = words[1] if len(words) > 1 else ""
    if chosen not in ("", "help", *COMMANDS) and not chosen.startswith("-"):
        raise SystemExit(Exit.DONE)
    argcomplete.autocomplete(_parser(program, chosen), always_complete_options=False)


def _parser(program: str, chosen: str) -> ArgumentParser:
    """Return a parser that knows all commands by name, and the arguments of the chosen one."""
    parser = ArgumentParser(prog=program)
    parser.add_argument("-V", "--version", action="store_true", help="show the version")
    commands = parser.add_subparsers()
    for name, about in COMMANDS.items():
        one = commands.add_parser(name, help=about)
        if name == chosen:
            load(name, program).command.add_arguments(one)
    explained = commands.add_parser("help", help="say what a command takes")
    explained.add_argument("command", choices=list(COMMANDS))
    return parser


def ids(prefix: str, *, action: Action, parsed_args: Namespace, **_: object) -> Offers:
    """Offer the newest delegations of the project, but none that stands there already."""
    records = _records(parsed_args)
    if records is None:
        return {}
    with records:
        return _offered(records.beginning_with(prefix, OFFERED), action, parsed_args)


def active_ids(prefix: str, *, action: Action, parsed_args: Namespace, **_: object) -> Offers:
    """Offer the delegations that have not ended, but none that stands there already."""
    records = _records(parsed_args)
    if records is None:
        return {}
    with records:
        active = [one for one in records.active() if one.id.startswith(prefix)]
    newest_first = [(one.id, one.status, one.title) for one in reversed(active)]
    return _offered(newest_first, action, parsed_args)


def _offered(
    found: Sequence[tuple[str, str, str]], action: Action, parsed_args: Namespace
) -> Offers:
    """Return ids with status and title, but none that an argument of several has already."""
    given = getattr(parsed_args, action.dest, None)
    there = given if isinstance(given, list) else []
    return {
        name: f"{status}: {one_line(title, _ABOUT_CHARS)}"
        for name, status, title in found
        if name not in there
    }


def changed_paths(prefix: str, *, parsed_args: Namespace, **_: object) -> Offers:
    """Offer the files that the delegation which is named has changed."""
    records = _records(parsed_args)
    if records is None:
        return {}
    from background_agents.client.changes import changed
    from background_agents.client.place import place_of

    with records:
        one = records.resolve(parsed_args.id)
    found = changed(place_of(parsed_args.directory), one).segments
    return dict.fromkeys(sorted({one.path for one in found if one.path.startswith(prefix)}), "")


def states(prefix: str, **_: object) -> Offers:
    """Offer the states that a delegation can have."""
    from background_agents.domain.status import Status  # which takes a third of a start to load

    return {one.value: "" for one in Status if one.value.startswith(prefix)}


def agents(prefix: str, *, parsed_args: Namespace, **_: object) -> Offers:
    """Offer the agents that have been delegated to in the project."""
    records = _records(parsed_args)
    if records is None:
        return {}
    with records:
        return {name: "" for name in records.agents() if name.startswith(prefix)}


def folders(prefix: str, **_: object) -> Offers:
    """Offer folders, for arguments that name one."""
    begun = Path(prefix).expanduser()
    inside, start = (
        (begun, "") if prefix.endswith("/") or not prefix else (begun.parent, begun.name)
    )
    shown = prefix.removesuffix(start)
    try:
        found = [one.name for one in os.scandir(inside) if one.is_dir()]
    except OSError:
        return {}
    hidden = start.startswith(".")
    return {
        f"{shown}{name}/": ""
        for name in sorted(found)
        if name.startswith(start) and (hidden or not name.startswith("."))
    }


def _records(parsed_args: Namespace) -> Records | None:
    # Here, since most presses of the key ask for no record.
    from background_agents.client.place import place_of

    try:
        return place_of(parsed_args.directory).records()
    except DelegationError as error:
        from background_agents.views.errors import for_people

        # Shells throw this away, unless _ARC_DEBUG is set to find out why nothing is offered.
        print(for_people(error), file=sys.stderr)
        return None
