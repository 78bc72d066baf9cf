"""Repositories of others: where one lies, read from files, and where its history begins.

Nothing that a repository's own configuration names is ever run, since a folder may be anybody's.
Whatever else asks git for something does so by ``run``, which sees to that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from background_agents.domain.errors import GitFailed

log = logging.getLogger(__name__)

GIT_LIMIT_S = 60.0
"""Git answers in milliseconds; 400,000 commits take 2 s, and a sleeping network disk some more. It
is asked once for each repository."""

MAX_POINTER_BYTES = 64 * 1024
"""A ``.git`` file, or ``commondir``, holds one path."""

HARMLESS = (
    "--no-replace-objects",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
)
"""Neither hooks nor a file system monitor run, and history is what it was made as."""

ALONE = {
    # A partial clone would fetch what is missing, by the program that its configuration names:
    # `remote.*.uploadpack` ran. Git before 2.39.4 does not know the first of these.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_GRAFT_FILE": os.devnull,
    "LC_ALL": "C",
}
"""What keeps git from starting anything, and from making up a history."""

ELSEWHERE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_PREFIX"),
)
"""By these git is led to another repository than the folder's own, as it is inside of a hook."""

UNCONFIGURED = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""No setting of anybody's counts where this is in the environment."""


def run(
    command: Sequence[str],
    directory: Path,
    env: Mapping[str, str] | None = None,
    given: bytes = b"",
    *,
    options: Sequence[str] = (),
    limit_s: float = GIT_LIMIT_S,
    fine: Sequence[int] = (0,),
) -> bytes:
    """Run git and return what it prints; ``options`` stand before the command.

    Raises:
        GitFailed: it cannot be run, takes too long, or ends with another code than is ``fine``.
    """
    import subprocess  # most callers know the answer, and have no need of it

    usual = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(
            ["git", *HARMLESS, *options, *command], cwd=directory,
            env={**usual, **ALONE, **(env or {})}, input=given, capture_output=True,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        why = "git is not installed" if directory.is_dir() else f"{directory} is gone"
        raise GitFailed(command[0], why) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(command[0], str(error)) from error
    if done.returncode not in fine:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        words = lines[-1] if lines else f"exit code {done.returncode}"
        raise GitFailed(command[0], words, done.returncode)
    return done.stdout


@dataclass(frozen=True)
class Repository:
    """A repository with all its worktrees."""

    common: Path
    """Where its objects and branches are, the same for all worktrees."""

    @property
    def top(self) -> Path:
        """The folder that people know it by."""
        return self.common.parent if self.common.name == ".git" else self.common

    @property
    def is_shallow(self) -> bool:
        """Whether its history is cut off, so that where it seems to begin is no beginning."""
        return (self.common / "shallow").exists()

    @property
    def made(self) -> str:
        """What tells this repository from one that takes its place; empty if it is gone."""
        try:
            folder = self.common.stat().st_ino
        except OSError:
            return ""
        try:
            # Git writes it once, when it makes the repository.
            written = (self.common / "description").stat().st_mtime_ns
        except OSError:
            written = 0
        return f"{folder}-{written}"

    @property
    def place(self) -> int:
        """What tells the folder that it lies in from another one of that name; 0 if it is gone."""
        try:
            return self.top.stat().st_ino
        except OSError:
            return 0


def repository_of(directory: Path) -> Repository | None:
    """Return the repository that a directory is in; None if it is in none.

    Worktrees lead to the repository that they are of, a submodule to its own. No program is run,
    and git's variables in the environment change nothing: the directory alone counts.
    """
    here = Path(os.path.realpath(directory))
    for step in _up(here):
        common = _common(step / ".git") or _common(step)
        if common is not None:
            return Repository(common)
    return None


def _up(here: Path) -> Iterator[Path]:
    """Yield a folder and those above it, up to the border of its file system, as git does."""
    device = None
    for step in (here, *here.parents):
        try:
            on = step.stat().st_dev
        except OSError:
            continue  # it is gone; what it was in may be there
        if device not in (None, on):
            return
        device = on
        yield step


def _common(git: Path) -> Path | None:
    """Return the folder that a ``.git``, be it folder or file, shares with all worktrees."""
    if git.name == ".git" and git.is_file():
        target = _pointer(git)
        if not target.startswith("gitdir: "):
            return None
        git = Path(os.path.realpath(git.parent / target.removeprefix("gitdir: ")))
    if not (git / "HEAD").is_file():
        return None
    shared = _pointer(git / "commondir")
    common = Path(os.path.realpath(git / shared)) if shared else git
    is_one = (common / "objects").is_dir() and (common / "refs").is_dir()
    return common if is_one else None


def _pointer(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return os.fsdecode(opened.read(MAX_POINTER_BYTES)).rstrip("\r\n")
    except OSError:
        return ""


def beginnings(directory: Path) -> list[str]:
    """Return the commits with which the branches of a directory's repository begin.

    That of HEAD comes first. What was merged from elsewhere, stashes and notes have beginnings of
    their own, which are not the repository's. Where the history is shallow its ends count. Blocks
    while git walks the whole history.
    """
    trunk = ("--first-parent", "--branches")
    found = _roots(directory, *trunk, "HEAD") or _roots(directory, *trunk)  # HEAD may be unborn
    if len(found) > 1:
        found = list(dict.fromkeys((*_roots(directory, "--first-parent", "HEAD"), *sorted(found))))
    return found


def all_beginnings(directory: Path) -> list[str]:
    """Return every commit without a parent: by the first of them projects were once named."""
    return sorted(_roots(directory, "--all"))


def _roots(directory: Path, *of: str) -> list[str]:
    try:
        return run(("rev-list", "--max-parents=0", *of, "--"), directory).decode().split()
    except GitFailed as error:
        if error.code is None:
            log.warning("git could not be asked about %s: %s", directory, error.why)
        return []
