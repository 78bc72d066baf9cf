"""``background-agents open``: open the folder that a delegation works in."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from argparse import ArgumentParser, Namespace
from pathlib import Path

from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.hosts.cli.exits import Exit

_DESKTOPS = ("xdg-open", "open")
"""What a desktop opens a folder with, on Linux and on macOS."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and whether its folder is only printed."""
    parser.epilog = (
        "It is opened with $VISUAL or $EDITOR, or else as your desktop opens folders. Of one that "
        "works in a copy of the project it is that copy, as long as it is not discarded."
    )
    add_id(parser)
    parser.add_argument("--print", action="store_true", help="print the folder, as for `cd`")
    add_place(parser)


def run(given: Namespace) -> int:
    """Open it; exit 1 where what opens it says no."""
    folder = _folder(*found_of(given))
    if given.print:
        print(folder)
        return Exit.DONE
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "")
    command = command or [name for name in _DESKTOPS if shutil.which(name)][:1]
    if not command:
        raise InvalidRequest(
            f"There is nothing to open {folder} with; set EDITOR, or use it with --print."
        )
    try:
        return Exit.NOT_WELL if subprocess.run([*command, folder]).returncode else Exit.DONE
    except OSError as error:
        why = f"{command[0]} cannot be run ({error.strerror})"
        raise InvalidRequest(f"{why}; set EDITOR to another program, or use --print.") from error


def _folder(place: Place, one: Delegation) -> Path:
    from background_agents.adapters.isolation.folder import IsolatedFolder

    tree = IsolatedFolder(place.folder).find(one.tree) if one.tree else None
    folder = Path(tree.directory if tree else one.directory)
    if not folder.is_dir():
        raise InvalidRequest(f"{folder}, where {one.id} worked, is gone.")
    return folder
