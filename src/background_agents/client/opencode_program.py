"""Which OpenCode a user has: its program, its version, and of which line that is.

OpenCode 1 and 2 share a name, and most of what is told apart by it; whoever needs more asks the
server that runs (``opencode_server.py``).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

NAMES = ("opencode", "opencode2")
"""OpenCode 2 is called by the second where it is installed beside OpenCode 1, and as a preview."""

ANSWER_LIMIT_S = 20.0
"""Its version takes OpenCode a second, and longer on a machine that sleeps half."""

_VERSION = re.compile(r"(?<![\d.])(\d+)\.(\d+)\.\d+\S*")


class Line(IntEnum):
    """The major version of OpenCode, with all that differs by it."""

    ONE = 1
    TWO = 2


class Version(NamedTuple):
    """What a program says of itself."""

    text: str
    """As it says it, such as ``1.18.33`` or ``0.0.0-next-16350``."""
    major: int
    minor: int

    @property
    def line(self) -> Line:
        """The line; previews of OpenCode 2 are numbered 0.0.0."""
        return Line.ONE if self.major == 1 else Line.TWO

    @property
    def is_preview(self) -> bool:
        """Whether it is from before OpenCode 2.0."""
        return self.major == 0


def version_in(text: str) -> Version | None:
    """Return the first version that a text has, as ``--version`` prints it."""
    found = _VERSION.search(text)
    return Version(found[0], int(found[1]), int(found[2])) if found else None


def programs(env: Mapping[str, str]) -> list[Path]:
    """Return the OpenCodes on the path, the one that is started first; ``OPENCODE_BIN`` is it."""
    named = env.get("OPENCODE_BIN")
    found = [shutil.which(name, path=env.get("PATH")) for name in NAMES]
    return [Path(one) for one in dict.fromkeys((named, *found)) if one]


def version_of(program: Path, env: Mapping[str, str]) -> Version | None:
    """Return a program's version; None if it does not tell.

    A package says it in a file beside the program, which is read in no time.
    """
    return _packaged(program) or version_in(asked(program, env))


def _packaged(program: Path) -> Version | None:
    try:
        manifest = program.resolve().parent.parent / "package.json"
        about = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    is_its_own = isinstance(about, dict) and "opencode" in str(about.get("name"))
    return version_in(str(about.get("version"))) if is_its_own else None


def asked(program: Path, env: Mapping[str, str]) -> str:
    """Return what ``--version`` prints, and nothing if that fails.

    OpenCode makes folders for it, so it gets a place to throw away.
    """
    with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
        try:
            done = subprocess.run(
                [program, "--version"], env={**env, **thrown_away(folder)}, text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_LIMIT_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return done.stdout if done.returncode == 0 else ""


def thrown_away(folder: str) -> dict[str, str]:
    """Return the environment in which OpenCode keeps everything in one folder."""
    kinds = ("CONFIG", "DATA", "STATE", "CACHE")
    return {f"XDG_{kind}_HOME": folder for kind in kinds} | {"TMPDIR": folder}
