"""Which commands there are, in the order in which help shows them.

Names and one line each, so that help imports none of them. Knows no command's arguments.
"""

from __future__ import annotations

import gc
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import NamedTuple, NoReturn, Protocol

from background_agents.domain.errors import InvalidRequest

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Look": {
        "status": "show what runs now",
        "watch": "watch everything live, and act on it by keys",
        "list": "list and search delegations, newest first",
        "show": "show all that is stored of a delegation, and what happened to it",
        "read": "read a result",
        "peek": "see what a delegation writes, while it writes",
        "transcript": "see all that was said and done in a run, also after its end",
        "diff": "see which files a delegation changed, and how",
        "stats": "count delegations, how long they ran and what they used",
        "open": "open the folder that a delegation works in, or its copy of the project",
    },
    "Act": {
        "delegate": "hand a task to a background agent",
        "retry": "do once more what a delegation was to do",
        "wait": "return when delegations have ended",
        "steer": "put an instruction into a running delegation",
        "answer": "answer what a delegation waits for",
        "extend": "give a running delegation more time",
        "stop": "end delegations, and keep what they wrote",
    },
    "Take over, or back": {
        "apply": "take over what a delegation has changed in a tree of its own",
        "discard": "delete the tree of its own that a delegation has worked in",
        "undo": "take back what a delegation changed, and nothing of what others wrote",
        "redo": "do again what was undone",
    },
    "Keep house": {
        "label": "give a delegation labels, for yourself",
        "note": "write a note to a delegation, for yourself",
        "export": "write delegations with their results as JSON, CSV or markdown",
        "prune": "delete old delegations",
        "recover": "go on with what a process that died has left behind",
        "doctor": "find out what does not work, and say how to mend it",
    },
    "Set up": {
        "install": "make OpenCode load background-agents",
        "uninstall": "take background-agents out of OpenCode again",
        "config": "show the settings, and where each comes from",
        "completion": "print what makes a shell complete our commands",
        "serve": "run an OpenCode without a screen, with the service in it",
    },
}
"""Name and what it does, by what one is about; the file of a command has its name."""

COMMANDS = {name: about for group in GROUPS.values() for name, about in group.items()}

ACTS = frozenset(
    (
        *("undo", "redo", "apply", "discard", "steer", "answer", "extend", "label", "note", "stop"),
        *("delegate", "retry", "recover", "serve", "prune", "install", "uninstall"),
    )
)
"""What changes something; the rest only reads, for background agents as well."""


class Command(Protocol):
    """What each file in ``commands`` offers."""

    __doc__: str | None

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say what the command takes."""
        ...

    def run(self, given: Namespace) -> int | None:
        """Do it and return the exit code; None is 0."""
        ...


class Parser(ArgumentParser):
    """Takes a command's arguments; says in one sentence what cannot be meant."""

    def error(self, message: str) -> NoReturn:
        """Raise ``InvalidRequest``, where argparse would print how the command is used."""
        said = message.removeprefix("argument ")
        raise InvalidRequest(
            f"{said[0].upper()}{said[1:]}; `{self.prog} --help` says what it takes."
        )


class Loaded(NamedTuple):
    """A command and the parser of its arguments."""

    command: Command
    parser: ArgumentParser


def load(name: str, program: str) -> Loaded:
    """Import the command ``name`` of ``program`` and make its parser."""
    command: Command = _module(f"background_agents.hosts.cli.commands.{name.replace('-', '_')}")
    about = COMMANDS[name]
    parser = Parser(
        prog=f"{program} {name}", description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
    )
    command.add_arguments(parser)
    return Loaded(command, parser)


def _module(name: str) -> ModuleType:
    """Import a module; looking for garbage meanwhile, where there is none, would take 6 ms."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.enable()
