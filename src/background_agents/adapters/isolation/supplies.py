"""What a copy of a working tree gets besides what its repository knows of.

Ignored files that `.worktreeinclude` names as `.gitignore` would, and what OpenCode keeps in
folders of its own, which it would otherwise install there anew, and be waited for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from background_agents.adapters.changes.own_repository import OwnRepository

INCLUDE = ".worktreeinclude"
"""The file in which people name ignored files that a copy needs; other programs read it too."""

OPENCODE = (".opencode", "opencode.json", "opencode.jsonc")
"""From here OpenCode takes agents, plugins and settings, in each folder up to the top; many people
ignore them, and it puts a package of its own there."""


def supply(store: OwnRepository, index: Path, main: Path, tree: Path, inside: Path) -> list[str]:
    """Copy what is missing; return the files that ``INCLUDE`` named.

    ``inside`` is where sessions work, below the top. What the copy has already stays as it is.
    """
    for level in (inside, *inside.parents):
        for name in OPENCODE:
            for found in _missing(main / level / name, tree / level / name):
                _copy(found, tree / found.relative_to(main))
    wanted = main / INCLUDE
    if not wanted.is_file():
        return []
    asked = ("ls-files", "-z", "-o", "-i", f"--exclude-from={wanted}")
    told = store.git(*asked, tree=main, index=index).split(b"\0")
    named = [os.fsdecode(one) for one in told if one and not one.endswith(b"/")]
    return [one for one in named if _copy(main / one, tree / one)]


def _missing(there: Path, here: Path) -> Iterator[Path]:
    """Yield the files of a folder, or the one file, that the other place lacks."""
    if there.is_symlink() or not there.is_dir():
        if there.exists() and not os.path.lexists(here):
            yield there
        return
    for folder, below, names in os.walk(there):
        links = [one for one in below if (Path(folder) / one).is_symlink()]
        for name in (*names, *links):
            found = Path(folder) / name
            if not os.path.lexists(here / found.relative_to(there)):
                yield found


def _copy(there: Path, here: Path) -> bool:
    """Copy a file or a link; return whether it was one, and could be read."""
    if not there.is_symlink() and not there.is_file():
        return False
    here.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # it is gone by now, or is not theirs to read
        if there.is_symlink():
            here.symlink_to(there.readlink())
        else:
            shutil.copy2(there, here)
        return True
    return False
