"""Results as markdown files that people can read and grep, complete without the database.

One file per delegation: front matter, a blank line, the result. Names are checked as
names before they touch a path, and symbolic links are not followed. Knows nothing of the
database or of who reads. People's programs read here too, without a loop: what only a service
needs is imported where it is used.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from background_agents.adapters.files.private import (
    FILE_MODE,
    private_folder,
    read_file,
    refuse_link,
    sync_folder,
)
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable, quote
from background_agents.domain.ids import READABLE, is_readable_id

if TYPE_CHECKING:
    from background_agents.adapters.files.together import Together

PROMPT_CHARS = 2000
"""How much of the prompt the front matter repeats; enough to tell what was asked."""

MAX_BYTES = 64 * 1024 * 1024
"""More than the longest result has in UTF-8 (8 million characters are kept of a session); bounds
what a file that somebody else put there can make us hold."""

_PEOPLES = re.compile(r"(?<=\n)(?:labels: .*\n)?(?:note: .*\n)?(?=prompt: .*\n---\n)")
"""What is in front matter for people alone; the service reads for models."""

Scalar = str | int | float | bool | None

SESSION = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""The names of session folders."""

TEMPORARY = re.compile(rf"\.(?:{READABLE.pattern})\.[a-z0-9_]{{8}}\.tmp")
"""The names of files that are not whole yet, as ``_Writing`` makes them."""

_FENCE = "---\n"

# What JSON lets stand unescaped, but YAML, an editor or UTF-8 does not.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class MarkdownArtifacts:
    """``<root>/<root session>/<id>.md`` for every finished delegation of a project."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._together: Together[_Writing] | None = None

    async def write(self, delegation: Delegation, result: str) -> Path:
        # Here, since programs that only read have no loop, and need no asyncio.
        from background_agents.adapters.files.together import Together

        path = self.path(delegation)
        if self._together is None:
            self._together = Together(_write_all)
        try:
            await self._together.do(_Writing(path, delegation, result))
        except OSError as error:
            raise _unwritten(path, error) from error
        return path

    def rewrite(self, delegation: Delegation) -> None:
        """Write its front matter anew, for programs that may block. Raises as ``write``."""
        path = self.path(delegation)
        (error,) = _write_all([_Writing(path, delegation, body(self.content(delegation)))])
        if isinstance(error, OSError):
            raise _unwritten(path, error) from error
        if error is not None:
            raise error

    async def read(self, delegation: Delegation) -> str:
        from asyncio import to_thread

        return _PEOPLES.sub("", await to_thread(self.content, delegation), 1)

    async def result(self, delegation: Delegation) -> str:
        return body(await self.read(delegation))

    def content(self, delegation: Delegation) -> str:
        """Return the whole artifact, as ``read`` does, for programs that may block."""
        return self.raw(delegation).decode(errors="replace")

    def raw(self, delegation: Delegation) -> bytes:
        """Return the artifact byte by byte. Raises ``StoreUnavailable`` when there is none."""
        path = self.path(delegation)
        try:
            for folder in (self._root.parent, self._root, path.parent):
                refuse_link(folder)
            return read_file(path, MAX_BYTES)
        except OSError as error:
            raise StoreUnavailable(
                f"The artifact {path} of {delegation.id} cannot be read ({_reason(error)}); "
                "it may have been moved or deleted."
            ) from error

    def path(self, delegation: Delegation) -> Path:
        if not is_readable_id(delegation.id):
            raise InvalidRequest(f"{quote(delegation.id)} is not a delegation's id.")
        return self.folder(delegation.root_session) / f"{delegation.id}.md"

    def folder(self, root_session: str) -> Path:
        if not SESSION.fullmatch(root_session):
            raise InvalidRequest(f"{quote(root_session)} is not a session's id.")
        return self._root / root_session


def _unwritten(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The artifact {path} cannot be written ({_reason(error)}); "
        "check the disk and the permissions of its folder."
    )


def render(delegation: Delegation, result: str) -> str:
    """Return the text of an artifact; ``parse`` takes it apart again, exactly."""
    lines = (f"{key}: {_scalar(value)}\n" for key, value in _front_matter(delegation).items())
    return f"{_FENCE}{''.join(lines)}{_FENCE}\n{result}"


def parse(text: str) -> tuple[dict[str, Scalar], str]:
    """Return the front matter and the result of an artifact.

    Raises:
        ValueError: the text does not begin with front matter as ``render`` writes it.
    """
    if not text.startswith(_FENCE):
        raise ValueError(f"Front matter begins with '---', not with {quote(text[:20])}.")
    # A value is JSON, which holds no line break: the first fence is the end.
    head, fence, rest = text[len(_FENCE) - 1 :].partition(f"\n{_FENCE}")
    if not fence:
        raise ValueError("Front matter has no closing '---'.")
    pairs = (line.partition(": ") for line in head.split("\n") if line)
    return {key: _value(key, raw) for key, _, raw in pairs}, rest.removeprefix("\n")


def body(artifact: str) -> str:
    """Return the result in an artifact; of one that another program wrote, all of it."""
    try:
        return parse(artifact)[1]
    except ValueError:
        return artifact


def _front_matter(delegation: Delegation) -> Mapping[str, Scalar]:
    ended, usage = delegation.ended_at, delegation.usage
    return {
        "id": delegation.id,
        "title": delegation.title,
        "summary": delegation.summary,
        "agent": delegation.agent,
        "model": delegation.model,
        "ran_on": ", then ".join(delegation.models) or None,
        "state": delegation.status.value,
        "error": delegation.error,
        "cut": delegation.cut,
        "session": delegation.session,
        "parent_session": delegation.parent_session,
        "root_session": delegation.root_session,
        "started": (delegation.launched_at or delegation.registered_at).isoformat(),
        "ended": ended.isoformat() if ended else None,
        "elapsed_s": delegation.elapsed(ended).total_seconds() if ended else None,
        "tokens": usage.tokens,
        "cost_usd": usage.cost_usd,
        "tool_calls": usage.tool_calls,
        "changed_files": delegation.changes.files,
        "lines_added": delegation.changes.added,
        "lines_removed": delegation.changes.removed,
        "changed_uncertain": delegation.changes.uncertain,
        "changed": ", ".join(delegation.changes.names) or None,
        "still_writing": "; ".join(delegation.changes.open) or None,
        "steers": len(delegation.steers),
        "resumed": delegation.relaunches,
        "continued_from": delegation.continued_from,
        **({"retry_of": delegation.retry_of} if delegation.retry_of else {}),
        **(_apart(delegation) if delegation.tree else {}),
        **({"depth": delegation.depth, "above": delegation.above} if delegation.above else {}),
        **({"labels": " ".join(delegation.labels)} if delegation.labels else {}),
        **({"note": delegation.note} if delegation.note else {}),
        "prompt": delegation.prompt[:PROMPT_CHARS],
    }


def _apart(delegation: Delegation) -> dict[str, Scalar]:
    """Return what is told of one that worked in an isolated tree."""
    changes = delegation.changes
    return {
        "tree": delegation.tree,
        "isolated": changes.apart or None,
        "left_its_tree": changes.strayed or None,
    }


def _scalar(value: Scalar) -> str:
    """Write a value as JSON on one line that is YAML too."""
    return _UNPRINTABLE.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False)
    )


def _value(key: str, raw: str) -> Scalar:
    # Seen before it is parsed: what is nested deep enough would end in a RecursionError.
    if raw.lstrip()[:1] in ("[", "{"):
        raise ValueError(f"Front matter has more than one value after {quote(key)}.")
    try:
        scalar: Scalar = json.loads(raw)
    except ValueError as error:
        raise ValueError(f"Front matter has no JSON after {quote(key)}.") from error
    return scalar


def _write_all(writings: Sequence[_Writing]) -> list[Exception | None]:
    """Put each artifact at its path, all or nothing, and past any power cut.

    Returns what went wrong with each. All are written before the first fsync, and those of one
    folder share its fsync.
    """
    for step in (_Writing.write, _Writing.sync, _Writing.rename):
        for one in writings:
            one.attempt(step)
    renamed = [one for one in writings if one.error is None]
    for folder in dict.fromkeys(one.path.parent for one in renamed):
        try:
            sync_folder(folder)
        except OSError as error:
            for one in renamed:
                if one.path.parent == folder:
                    one.error = error
    for one in writings:
        one.clean_up()
    return [one.error for one in writings]


class _Writing:
    """An artifact on its way: written beside the file whose place it takes."""

    def __init__(self, path: Path, delegation: Delegation, result: str) -> None:
        self.path = path
        self.error: Exception | None = None
        """What went wrong, for whoever waits for this one, and nobody else."""
        self._delegation, self._result = delegation, result
        self._temporary = ""
        self._file: BinaryIO | None = None

    def attempt(self, step: Callable[[_Writing], None]) -> None:
        """Do the next step, unless one before it went wrong."""
        if self.error is None:
            try:
                step(self)
            except Exception as error:
                self.error = error

    def write(self) -> None:
        import tempfile

        path, folder = self.path, self.path.parent
        private_folder(folder.parent)
        private_folder(folder)
        # A run's output may hold half a surrogate pair; UTF-8 cannot.
        text = render(self._delegation, self._result).encode(errors="replace")
        descriptor, self._temporary = tempfile.mkstemp(".tmp", f".{path.stem}.", folder)
        self._file = open(descriptor, "wb")  # noqa: SIM115  # closed by clean_up
        os.fchmod(descriptor, FILE_MODE)
        self._file.write(text)
        self._file.flush()

    def sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())

    def rename(self) -> None:
        os.replace(self._temporary, self.path)
        self._temporary = ""

    def clean_up(self) -> None:
        """Close the file; delete it if it was not renamed."""
        if self._file is not None:
            with suppress(OSError):  # what could not be flushed was told of already
                self._file.close()
        if self._temporary:
            Path(self._temporary).unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
