"""Git repositories of our own beside a working tree: its files as they are, byte for byte.

Objects of the repository that the tree is of are read by alternates; nothing is ever written there,
and nothing runs that its configuration or its user's names. Files are taken as they lie on disk,
so that line ends, encodings and large-file pointers stay what they are. Everything here blocks.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from background_agents.adapters.changes.source import Source, asked
from background_agents.adapters.projects.git import UNCONFIGURED, run

GIT_LIMIT_S = 300.0
"""50,000 files are checked out in 5 to 15 s on a slow disk; a network disk takes some more."""

RAW = "* -text -filter -ident -eol -working-tree-encoding\n"
"""As ``info/attributes``: what a file holds is its bytes."""

MAX_UNTRACKED_BYTES = 64 * 2**20
"""Larger files that git does not track are data rather than source, and would be stored with
every try."""

SETTINGS = (
    *("-c", "core.autocrlf=false"),
    *("-c", "core.safecrlf=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "gc.auto=0"),
)

OWN = {
    **UNCONFIGURED,
    "GIT_AUTHOR_NAME": "background-agents",
    "GIT_AUTHOR_EMAIL": "background-agents@localhost",
    "GIT_COMMITTER_NAME": "background-agents",
    "GIT_COMMITTER_EMAIL": "background-agents@localhost",
}
"""No setting of anybody's counts in a repository of ours, and nobody's name is needed."""

_ENTRY = re.compile(
    rb"(\d{6}) ([0-9a-f]+) (\d)\t([^\0]*)\0"
    rb"  ctime: [^\n]*\n  mtime: [^\n]*\n  dev: [^\n]*\n  uid: [^\n]*\n  size: (\d+)\t[^\n]*\n"
)
"""An entry of an index, as ``ls-files --stage --debug -z`` shows it."""

LINK, REPOSITORY = 0o120000, 0o160000
"""What git has as modes of entries beside 0o100644 and, of what can be run, 0o100755."""


class Entry(NamedTuple):
    """What an index has of a file."""

    mode: int
    blob: str
    size: int
    """Of the file as it was when git looked at it; 0 where git did not note it."""


class Difference(NamedTuple):
    """A path in a difference of two trees; zeros where it is not there."""

    path: str
    before_mode: int
    before: str
    after_mode: int
    after: str


class OwnRepository:
    """A bare repository of ours, which may see the objects of others."""

    def __init__(
        self, folder: Path, options: Sequence[str] = (), limit_s: float = GIT_LIMIT_S
    ) -> None:
        """``options`` are git's own, for each command."""
        self.folder = folder
        self._options = (*SETTINGS, *options)
        self._limit_s = limit_s

    def make(self, source: Source | None) -> None:
        """Create it; beside a working tree it sees its objects and ignores what that ignores."""
        format_ = asked(source.top, "rev-parse", "--show-object-format") if source else "sha1"
        init = ("init", "-q", "--bare", "--template=", f"--object-format={format_}")
        run((*init, str(self.folder)), self.folder.parent, OWN)
        sees = alternate(source.objects) if source else b""
        furnish(self.folder, sees, source.common if source else None)

    def git(
        self,
        *command: str,
        tree: Path | None = None,
        index: Path | None = None,
        given: bytes = b"",
        fine: Sequence[int] = (0,),
    ) -> bytes:
        """Run git here, about a working tree and with an index where these are named."""
        env = {**OWN, "GIT_DIR": str(self.folder)}
        if tree is not None:
            env["GIT_WORK_TREE"] = str(tree)
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        return run(
            command, tree or self.folder, env, given,
            options=self._options, limit_s=self._limit_s, fine=fine,
        )  # fmt: skip

    def commit(self, tree: str, *parents: str) -> str:
        """Return a commit of a tree."""
        above = [word for one in parents for word in ("-p", one)]
        return self.git("commit-tree", *above, "-m", "As it was", tree).decode().strip()

    def snapshot(
        self, top: Path, seed: Path, index: Path, *, is_raw: bool = False
    ) -> tuple[str, list[str]]:
        """Return the tree of a folder as it is, and which untracked files it leaves out.

        ``seed`` is an index that knows most of it, and is copied to ``index``: what it says to be
        unchanged is not read; if it ``is_raw``, one of ours, files were never converted for it.
        Ignored files are no part of the tree, nor are repositories in it.
        """
        self.seed(seed, index)
        gone, there, left_out = self._differing(top, index)
        self.update(top, index, (), gone)
        if not is_raw:
            there += self._converted(top, index)
        self.update(top, index, there, ())
        return self.git("write-tree", index=index).decode().strip(), left_out

    def seed(self, seed: Path, index: Path) -> None:
        """Begin an index as another one is, or as none where there is no other."""
        index.unlink(missing_ok=True)
        with suppress(OSError):
            # With its time: by it git knows which files may have changed in the same moment.
            shutil.copy2(seed, index)
            for part in seed.parent.glob("sharedindex.*"):
                shutil.copy2(part, self.folder)

    def _differing(self, top: Path, index: Path) -> tuple[list[bytes], list[bytes], list[str]]:
        """Return what is gone, what is new or changed, and what is not taken."""
        asked = ("ls-files", "-z", "-t", "-m", "-d", "-o", "--exclude-standard")
        told = self.git(*asked, tree=top, index=index).split(b"\0")
        found = [(one[:1], one[2:]) for one in told if one]
        gone = {path for tag, path in found if tag == b"R" or _made_room(top, path)}
        there, left_out = dict[bytes, None](), list[str]()
        for tag, path in found:
            # A folder is a repository of its own, which git looks into no further.
            is_left = path.endswith(b"/") or _size(top, path) > MAX_UNTRACKED_BYTES
            if tag == b"?" and is_left:
                left_out.append(os.fsdecode(path))
            elif path not in gone:
                there[path] = None
        return list(gone), list(there), left_out

    def _converted(self, top: Path, index: Path) -> list[bytes]:
        """Return the files that git stores otherwise than they lie on disk; forget them.

        Where nobody has asked for that there are none. Else size tells: an entry has that of the
        file, and its blob has another one.
        """
        asks = ("ls-files", "-z", "--", ":(glob)**/.gitattributes")
        if not self.git(*asks, tree=top, index=index) and not self._converts_all(top):
            return []
        found = [
            (path, one)
            for path, one in self.entries(top, index)
            if one.mode not in (LINK, REPOSITORY)
        ]
        asked = "".join(f"{one.blob}\n" for _, one in found).encode()
        sizes = self.git("cat-file", "--batch-check=%(objectsize)", given=asked).split(b"\n")
        other = [path for (path, one), blob in zip(found, sizes, strict=False)
                 if one.size and blob != b"%d" % one.size]  # fmt: skip
        self.update(top, index, (), other)
        return other

    def entries(
        self, top: Path, index: Path, paths: Sequence[str] = ()
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield what an index has of paths, or of all; nothing of what is not merged."""
        told = self.git("ls-files", "-z", "--stage", "--debug", "--", *paths, tree=top, index=index)
        for mode, blob, stage, path, size in _ENTRY.findall(told):
            if stage == b"0":
                yield path, Entry(int(mode, 8), blob.decode(), int(size))

    def update(self, top: Path, index: Path, there: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Take files of a tree into an index as they are now, and take out others."""
        taken = ("--add", "--remove", "--replace")
        for how, paths in ((("--force-remove",), gone), (taken, there)):
            if listed := b"".join(path + b"\0" for path in paths):
                command = ("update-index", "-z", *how, "--stdin")
                self.git(*command, tree=top, index=index, given=listed)

    def submodules(self, index: Path) -> list[str]:
        """Return the folders of an index that are repositories of their own."""
        told = self.git("ls-files", "-z", "--stage", index=index).split(b"\0")
        return [os.fsdecode(one.partition(b"\t")[2]) for one in told if one.startswith(b"160000")]

    def _converts_all(self, top: Path) -> bool:
        """Whether the user's own settings have git convert files, whatever the tree says."""
        asked = ("config", "--get-regexp", r"^core\.(autocrlf|eol|attributesfile)$")
        return bool(run(asked, top, fine=(0, 1)))

    def differences(self, before: str, after: str) -> list[Difference]:
        """Return in which files two trees differ. Renames are not looked for."""
        told = self.git("diff-tree", "-r", "-z", "--no-renames", "--raw", before, after)
        words = told.split(b"\0")
        pairs = zip(words[::2], words[1::2], strict=False)
        return [_difference(about, path) for about, path in pairs]

    def contents(self, blobs: Iterable[str]) -> Iterator[bytes | None]:
        """Yield what blobs hold, in their order; None of one that is not there any more."""
        wanted = "".join(f"{one}\n" for one in blobs).encode()
        told, at = self.git("cat-file", "--batch", given=wanted) if wanted else b"", 0
        while at < len(told):
            begin = told.index(b"\n", at) + 1
            about = told[at:begin].split()
            if len(about) == 3:
                at = begin + int(about[2]) + 1
                yield told[begin : at - 1]
            else:
                at = begin
                yield None


def _difference(about: bytes, path: bytes) -> Difference:
    before_mode, after_mode, before, after, _ = about.decode().lstrip(":").split()
    return Difference(os.fsdecode(path), int(before_mode, 8), before, int(after_mode, 8), after)


def furnish(git: Path, sees: bytes, like: Path | None) -> None:
    """Let a new repository take files as their bytes, see objects, and ignore what another does."""
    info, alternates = git / "info", git / "objects" / "info" / "alternates"
    for folder in (info, alternates.parent):
        folder.mkdir(exist_ok=True)
    (info / "attributes").write_text(RAW)
    alternates.write_bytes(sees)
    for name in ("info/exclude", "shallow"):
        if like and (like / name).is_file():
            shutil.copyfile(like / name, git / name)


def alternate(objects: Path) -> bytes:
    """Return the line by which git finds other objects; a path may have any characters."""
    path = os.fsencode(objects)
    if path.startswith((b'"', b"#")) or b"\n" in path:
        path = b'"' + re.sub(rb'(["\\])', rb"\\\1", path).replace(b"\n", rb"\n") + b'"'
    return path + b"\n"


def _made_room(top: Path, path: bytes) -> bool:
    """Whether a folder is where a file was; one that is a repository is a submodule."""
    now = top / os.fsdecode(path)
    is_folder = now.is_dir() and not now.is_symlink() and not path.endswith(b"/")
    return is_folder and not (now / ".git").exists()


def _size(top: Path, path: bytes) -> int:
    try:
        return (top / os.fsdecode(path)).lstat().st_size
    except OSError:
        return 0


def shown(path: str) -> str:
    """Return a path as far as it is text; what is not stands as its bytes."""
    return os.fsencode(path).decode(errors="backslashreplace")
