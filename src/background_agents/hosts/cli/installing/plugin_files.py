"""The file that makes OpenCode load us: where it belongs, what it says, and its removal.

It holds one line of code, which imports the bridge by its absolute path, so nothing is
copied and an upgrade of the package is an upgrade of the plugin. OpenCode 1 and 2 read the
same folders and would each complain about a file that is only for the other, so there is one
file for both, and it need not be written anew when OpenCode is upgraded. Knows OpenCode's
folders, and nothing of its API.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import background_agents
from background_agents.adapters.files.private import FILE_MODE, private_root
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.installing.plugin_conflicts import (
    OURS,
    Kind,
    find,
    is_ours,
    read_text,
)

_NAME = "background-agents.js"

ASIDE = "plugin-for-serve"
"""In the data root, beside the projects' folders, whose names are hashes or ids."""

BRIDGE = Path(background_agents.__file__).parent / "hosts" / "opencode" / "bridge.js"


class Scope(StrEnum):
    """For whom OpenCode loads the plugin."""

    GLOBAL = "global"
    """Every project of this user."""
    PROJECT = "project"
    """This project only."""

    @property
    def flag(self) -> str:
        return " --project" if self is Scope.PROJECT else ""


class Change(StrEnum):
    """What became of the file."""

    WRITTEN = "written"
    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Places:
    """The configuration directories that OpenCode reads when it is started in some folder."""

    user: Path
    """``$XDG_CONFIG_HOME/opencode``."""
    project: Path
    """``.opencode`` at the top of the git work tree, or in the folder itself."""
    others: tuple[Path, ...] = ()
    """Further directories that OpenCode reads; nothing is ever written there."""
    configs: tuple[Path, ...] = ()
    """Further configuration files that it reads."""

    @classmethod
    def of(cls, folder: Path, environ: Mapping[str, str]) -> Places:
        """Return the places for OpenCode started in ``folder``."""
        home = Path(environ.get("HOME") or Path.home())
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        between = _up_to_git_top(folder.absolute())
        # OpenCode 1 stops at the top of the work tree, OpenCode 2 goes on to the root.
        others = [step / ".opencode" for step in (*between[:-1], *between[-1].parents)]
        others.append(home / ".opencode")
        if custom := environ.get("OPENCODE_CONFIG_DIR"):
            others.append(Path(custom).absolute())
        named = environ.get("OPENCODE_CONFIG")
        configs = (Path(named).absolute(),) if named else ()
        return cls(config / "opencode", between[-1] / ".opencode", tuple(others), configs)

    def file(self, scope: Scope) -> Path:
        """Return where our file belongs."""
        return (self.project if scope is Scope.PROJECT else self.user) / "plugin" / _NAME

    @property
    def all(self) -> tuple[Path, ...]:
        """Every directory that OpenCode reads, each once."""
        return tuple(dict.fromkeys((self.user, self.project, *self.others)))


def _up_to_git_top(folder: Path) -> list[Path]:
    """Return ``folder`` and its parents up to the git work tree; alone outside of one."""
    steps = [folder, *folder.parents]
    top = next((index for index, step in enumerate(steps) if (step / ".git").exists()), 0)
    return steps[: top + 1]


def shim(scope: Scope) -> str:
    """Return the text of the file that OpenCode loads."""
    bridge, python = json.dumps(str(BRIDGE)), json.dumps(sys.executable)
    userbase = _userbase()
    more = f", userbase: {json.dumps(userbase)}" if userbase else ""
    return (
        f"{OURS}{scope.flag}`; `background-agents uninstall{scope.flag}` removes it.\n"
        f"import {{ plugin }} from {bridge}; "
        f"export default plugin({{ python: {python}{more} }})\n"
    )


def _userbase() -> str | None:
    """Return where ``pip install --user`` has put us, if it has; ``PYTHONUSERBASE`` may say so."""
    if site.ENABLE_USER_SITE and BRIDGE.is_relative_to(site.getusersitepackages()):
        return site.getuserbase()
    return None


class Shim(NamedTuple):
    """What our file says."""

    bridge: Path
    python: str
    """The interpreter that OpenCode starts."""
    userbase: str | None = None
    """Where its user's own packages are, if background-agents is one of them."""
    is_for_both: bool = True
    """Whether OpenCode 2 takes it, too; files of earlier versions are for OpenCode 1 alone."""


_SHIM = re.compile(
    r'import \{ (?:connect|plugin) \} from (?P<bridge>"(?:[^"\\]|\\.)*"); '
    r"export (?:const \w+ = connect|(?P<both>default plugin))"
    r'\(\{ python: (?P<python>"(?:[^"\\]|\\.)*")'
    r'(?:, userbase: (?P<userbase>"(?:[^"\\]|\\.)*"))? \}\)'
)


def read_shim(text: str) -> Shim | None:
    """Return what a file of ours says; None if it was changed so that it cannot be told."""
    found = _SHIM.search(text)
    if found is None:
        return None
    userbase = found["userbase"] and json.loads(found["userbase"])
    bridge, python = Path(json.loads(found["bridge"])), json.loads(found["python"])
    return Shim(bridge, python, userbase, found["both"] is not None)


def refuse_what_vanishes(prefix: str = sys.prefix) -> None:
    """Refuse a Python in a cache, which OpenCode would not find any more when that is cleared.

    ``uvx``, ``uv run`` and ``pipx run`` mark theirs as caches are marked; a Python that stays may
    bear such a mark itself, but does not stand in a folder that does.

    Raises:
        InvalidRequest: this Python is in one.
    """
    cache = next((one for one in Path(prefix).parents if (one / "CACHEDIR.TAG").exists()), None)
    if cache is not None:
        raise InvalidRequest(
            f"The Python that runs this is in a cache ({cache}), and will be gone one day: install "
            "background-agents by `uv tool install` or `pipx install`, and run `background-agents "
            "install` as that gives it to you."
        )


def install(places: Places, scope: Scope) -> Change:
    """Write our file, or refresh it when Python or the package has moved.

    Raises:
        InvalidRequest: OpenCode would load two plugins with the same tools, or the
            file's name is taken.
    """
    file = places.file(scope)
    old = _ours(file)
    for one in find(places.all, places.configs):
        is_own = one.kind is Kind.OURS and file.exists() and one.file.samefile(file)
        if not is_own:
            raise InvalidRequest(one.why)
    new = shim(scope)
    if old == new:
        return Change.UNCHANGED
    put(file, new)
    return Change.WRITTEN if old is None else Change.REFRESHED


def put(file: Path, text: str) -> None:
    """Write a file whole, or not at all; where a link stands, what it leads to.

    Raises:
        InvalidRequest: it cannot be written.
    """
    real = file.resolve()
    draft = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8", newline="")
        if real.exists():
            shutil.copymode(real, draft)
        # At once, so that an OpenCode that starts now never loads half a file.
        draft.replace(real)
    except OSError as error:
        with suppress(OSError):  # it may be what could not be written
            draft.unlink()
        raise InvalidRequest(f"{file} cannot be written ({error.strerror}).") from error


def uninstall(places: Places, scope: Scope) -> bool:
    """Remove our file, if there is one. Raises ``InvalidRequest`` when it is not ours."""
    file = places.file(scope)
    is_there = _ours(file) is not None
    if is_there:
        file.unlink()
        with suppress(OSError):  # somebody else's files are in there
            file.parent.rmdir()
    return is_there


def is_installed(places: Places, scope: Scope) -> bool:
    """Return whether OpenCode loads us already."""
    file = places.file(scope)
    return file.exists() and is_ours(read_text(file))


def write_aside(folder: Path) -> Path:
    """Write our plugin where OpenCode does not look by itself, and return the folder to name to it.

    A folder, since OpenCode 2 takes no file by its name; OpenCode 1 takes either.
    """
    aside = folder / ASIDE
    private_root(aside)
    file = aside / "index.js"
    put(file, shim(Scope.GLOBAL))
    file.chmod(FILE_MODE)
    return aside


def remove_aside(folder: Path) -> Path | None:
    """Remove what ``write_aside`` has left, and return where that was; None if there is nothing."""
    aside = folder / ASIDE
    if not aside.is_dir() or aside.is_symlink():
        return None
    shutil.rmtree(aside)
    return aside


def _ours(file: Path) -> str | None:
    """Return the text of our file, or None when there is none."""
    if not file.exists() and not file.is_symlink():
        return None
    text = read_text(file)
    if not is_ours(text):
        raise InvalidRequest(
            f"{file} was not written by `background-agents install`; "
            "move or remove that file first."
        )
    return text
