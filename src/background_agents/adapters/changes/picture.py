"""A picture of a working tree: an index and objects of our own, kept by git beside the journals.

The first one is made from a copy of the tree's own index and reads the objects that this names from
where they are, so that only what differs is ever read and stored. Nothing is written where the tree
is, and nothing runs that its configuration names. Files are taken as their bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.files.private import private_folder
from background_agents.adapters.projects.git import ALONE, ELSEWHERE, HARMLESS
from background_agents.domain.errors import NotSeen

GIT_LIMIT_S = 60.0
"""At 50,000 files git answers within a second, from a disk that slept in some more."""

RAW = "* -text -filter -ident -eol -working-tree-encoding\n"
"""As ``info/attributes``: what a file holds is its bytes."""

OWN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""No setting of anybody's counts for a picture."""

SETTINGS = (
    *("-c", "core.autocrlf=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "core.safecrlf=false"),
    # What a power cut takes of a picture is made anew.
    *("-c", "core.fsync=none"),
)

MOST_NAMED = 500
"""Of paths in one command; of more, all entries are listed and chosen from."""

_ENTRY = re.compile(
    rb"(\d{6}) ([0-9a-f]+) (\d)\t([^\0]*)\0"
    rb"  ctime: [^\n]*\n  mtime: [^\n]*\n  dev: [^\n]*\n  uid: [^\n]*\n  size: (\d+)\t[^\n]*\n"
)
"""One of ``ls-files --stage --debug -z``."""


class Entry(NamedTuple):
    """What a picture has of a file."""

    mode: int
    """As git has it: 0o100644, 0o100755, 0o120000 (a link) or 0o160000 (a repository)."""
    blob: str
    size: int
    """Of the file as it was when git looked at it; 0 where git did not note it."""


class Picture:
    """The picture of the tree at ``top``, kept in ``folder``."""

    def __init__(self, folder: Path, top: Path) -> None:
        self.folder = folder
        self._top = top
        self._ignored: tuple[str, ...] | None = None
        """What git is told of files that its user ignores everywhere."""

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def renew(self) -> None:
        """Begin anew from the tree's own index; what differs from that is seen by the next look."""
        for name in ("objects", "info", "index"):
            one = self.folder / name
            shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink(missing_ok=True)
        told = self._their("rev-parse", "--show-object-format", "--path-format=absolute",
                           "--git-path", "index", "--git-path", "objects", "--git-path",
                           "info/exclude")  # fmt: skip
        kind, index, objects, exclude = told.splitlines() if told else ("sha1", "", "", "")
        private_folder(self.folder)
        init = ("init", "-q", "--bare", "--template=", f"--object-format={kind}")
        self._run("git", *init, str(self.folder), env=OWN)
        info = self.folder / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(RAW)
        if objects:
            alternates = self.folder / "objects" / "info" / "alternates"
            alternates.write_bytes(os.fsencode(objects) + b"\n")
        with suppress(OSError):
            shutil.copyfile(exclude, info / "exclude")
        with suppress(OSError):
            # With its time: by it git knows which files may have changed in the same moment.
            shutil.copy2(index, self.index)
            for part in Path(index).parent.glob("sharedindex.*"):
                shutil.copy2(part, self.folder)

    def differing(self) -> list[bytes]:
        """Return the paths of files that are other than in the picture, or new, or gone."""
        listed = self._git("ls-files", "-z", "-m", "-d", "-o", "--exclude-standard")
        return list(dict.fromkeys(listed.split(b"\0")[:-1]))

    def entries(self, paths: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return what the picture has of paths."""
        if not paths:
            return {}
        named = [os.fsdecode(one) for one in paths] if len(paths) <= MOST_NAMED else []
        listed = self._git("ls-files", "-z", "--stage", "--debug", "--", *named)
        wanted = set(paths)
        return {
            path: Entry(int(mode, 8), blob.decode(), int(size))
            for mode, blob, stage, path, size in _ENTRY.findall(listed)
            if stage == b"0" and path in wanted
        }

    def update(self, there: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Take files into the picture as they are now, and take out others."""
        removed = b"".join(one + b"\0" for one in gone)
        if removed:
            self._git("update-index", "-z", "--force-remove", "--stdin", given=removed)
        added = b"".join(one + b"\0" for one in there)
        if added:
            options = ("-z", "--add", "--remove", "--replace", "--stdin")
            self._git("update-index", *options, given=added)

    def blobs(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of blobs; none of one that is not there any more."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        found: dict[str, bytes] = {}
        printed = self._git("cat-file", "--batch", given="\n".join(wanted).encode() + b"\n")
        at = 0
        for one in wanted:
            begin = printed.index(b"\n", at) + 1
            head, at = printed[at:begin].split(), begin
            if head[1] == b"blob":
                at = begin + int(head[2]) + 1
                found[one] = printed[begin : at - 1]
        return found

    def _git(self, *command: str, given: bytes = b"") -> bytes:
        """Run git on the picture."""
        if self._ignored is None:
            path = self._their("config", "--type=path", "--get", "core.excludesFile").rstrip("\n")
            self._ignored = ("-c", f"core.excludesFile={path}") if path else ()
        where = {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(self._top)}
        env = {**OWN, **where, "GIT_LITERAL_PATHSPECS": "1"}
        options = (*HARMLESS, *SETTINGS, *self._ignored)
        return self._run("git", *options, *command, env=env, given=given)

    def _their(self, *command: str) -> str:
        """Ask git about the repository that the tree is of; empty if there is none."""
        try:
            return os.fsdecode(self._run("git", *HARMLESS, *command, env={}))
        except NotSeen:
            return ""

    def _run(self, *command: str, env: dict[str, str], given: bytes = b"") -> bytes:
        usual = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        try:
            done = subprocess.run(
                command, cwd=self._top, env={**usual, **ALONE, **env}, input=given,
                capture_output=True, timeout=GIT_LIMIT_S, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            why = "git is not installed" if self._top.is_dir() else "it is gone"
            raise NotSeen(str(self._top), why) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotSeen(str(self._top), f"git did not answer ({error})") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise NotSeen(str(self._top), f"git said: {lines[-1] if lines else 'nothing'}")
        return done.stdout
