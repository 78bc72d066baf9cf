"""The files of the npm plugin that defined the ``delegate`` tools before us, in its place.

Format (from its public documentation and files): ``<root session>/<id>.md`` with a title, a
description, a block of ``**Name:** value`` lines, ``---`` and the result; and while a
delegation runs ``<id>.state.json`` beside it, ``{"version": 1, "record": {...}}``. They are
read and never written to: the plugin may still be in use elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from background_agents.adapters.files.private import read_file, subfolders
from background_agents.domain import delegation as domain
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable, quote
from background_agents.domain.status import Status
from background_agents.domain.text import SUMMARY_CHARS, one_line, title_of
from background_agents.ports.storage import ArtifactStore

OWNER = "npm-plugin"
"""Stands for the process that supervised a delegation: none that lives has such a name."""

_STATE = ".state.json"

_STATE_BYTES = 16 * 2**20
"""It holds one prompt and one message; an agent may write long ones."""

_STATUSES: Mapping[str, Status] = {
    "complete": Status.COMPLETED,
    "error": Status.FAILED,
    "cancelled": Status.STOPPED,
    "timeout": Status.TIMED_OUT,
    "registered": Status.INTERRUPTED,
    "running": Status.INTERRUPTED,
}

_ERRORS: Mapping[Status, str] = {
    Status.FAILED: "It failed.",
    Status.STOPPED: "Stopped by the supervisor.",
    Status.TIMED_OUT: "Its time was up.",
    Status.INTERRUPTED: "The npm plugin that ran it ended before it did.",
}

_NO_DESCRIPTION = "(No description generated)"

_HEAD = re.compile(
    r"\A# (?P<title>[^\n]*)\n\n(?P<summary>.*?)\n\n(?P<fields>\*\*ID:\*\* [^\n]*\n.*?)\n+---\n\n?",
    re.DOTALL,
)
"""A description may have several lines: without a small model it is the result's beginning."""

_HEAD_CHARS = 4096
"""The plugin keeps titles below 40 characters and descriptions below 160; the rest is names."""

_FIELD = re.compile(r"^\*\*(\w+):\*\* (.*)$", re.MULTILINE)

_log = logging.getLogger(__name__)

_Name = Annotated[str, msgspec.Meta(min_length=1)]


def is_plugins(text: str) -> bool:
    """Return whether an artifact begins as the plugin's do."""
    return text.startswith("# ")


def was_its(artifact: Path) -> bool:
    """Return whether an artifact of ours ends what the plugin had begun."""
    return artifact.with_name(f"{artifact.stem}{_STATE}").exists()


def parse(text: str) -> tuple[dict[str, str | None], str]:
    """Return what an artifact of the plugin says, under the names of our front matter.

    Raises:
        ValueError: it does not begin as the plugin's artifacts do.
    """
    head = _HEAD.match(text[:_HEAD_CHARS])
    if head is None:
        raise ValueError("It has not all of the plugin's lines between its title and '---'.")
    fields = dict(_FIELD.findall(head["fields"]))
    missing = {"ID", "Agent", "Status", "Started"} - fields.keys()
    if missing:
        raise ValueError(f"It does not tell its {', '.join(sorted(missing))}.")
    status = _STATUSES.get(fields["Status"])
    if status is None:
        raise ValueError(f"Its status is {quote(fields['Status'])}, which the plugin has not.")
    completed = fields.get("Completed", "N/A")
    body = text[head.end() :]
    front = {
        "id": fields["ID"],
        "title": head["title"],
        "summary": "" if head["summary"] == _NO_DESCRIPTION else head["summary"],
        "agent": fields["Agent"],
        "state": status.value,
        "error": _error(status, body),
        "session": fields.get("Session"),
        "started": fields["Started"],
        "ended": fields["Started"] if completed == "N/A" else completed,
    }
    return front, body


def _error(status: Status, body: str) -> str | None:
    if status is Status.FAILED and body.startswith("Error: "):
        return one_line(body.removeprefix("Error: "), SUMMARY_CHARS)
    return _ERRORS.get(status)


# --- what it had not finished ----------------------------------------------------------


class _Progress(msgspec.Struct, rename="camel"):
    tool_calls: int = 0
    last_message: str = ""


class _Record(msgspec.Struct, rename="camel"):
    """A running delegation, as far as it concerns us."""

    id: _Name
    root_session_id: _Name = msgspec.field(name="rootSessionID")
    session_id: _Name = msgspec.field(name="sessionID")
    parent_session_id: _Name = msgspec.field(name="parentSessionID")
    agent: _Name
    created_at: datetime
    prompt: str = ""
    model: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    timeout_at: datetime | None = None
    progress: _Progress = msgspec.field(default_factory=_Progress)


class _State(msgspec.Struct):
    version: Literal[1]
    record: _Record


_decode = msgspec.json.Decoder(_State).decode


async def finish_what_it_left(
    root: Path, artifacts: ArtifactStore, project: str, directory: str
) -> None:
    """Write an artifact for every delegation that the plugin had begun and not finished.

    It says ``interrupted``, and what the agent had said last. With it the delegation is as
    complete as any other: it is listed, read, and found again if the database is lost. One
    whose time is not up yet may still be running elsewhere and is left for the next time.
    """
    for path, record in await asyncio.to_thread(lambda: list(_unfinished(root))):
        delegation = _interrupted(record, project, directory)
        said = record.progress.last_message or "(Nothing had been written yet.)"
        try:
            await artifacts.write(delegation, f"[INTERRUPTED] {delegation.error}\n\n{said}")
        except (StoreUnavailable, InvalidRequest) as error:
            _log.warning("%s is not taken over: %s", path, error)


def _unfinished(root: Path) -> Iterator[tuple[Path, _Record]]:
    for path in _states(root):
        try:
            record = _decode(read_file(path, _STATE_BYTES)).record
        except (OSError, StoreUnavailable, UnicodeDecodeError, msgspec.DecodeError) as error:
            _log.warning("%s is not taken over: %s", path, error)
            continue
        if (record.root_session_id, f"{record.id}{_STATE}") != (path.parent.name, path.name):
            _log.warning("%s is not taken over: it tells of something else", path)
        elif record.timeout_at and utc(record.timeout_at) > datetime.now(UTC):
            _log.info("%s may still be at work and is left alone", path)
        else:
            yield path, record


def _states(root: Path) -> Iterator[Path]:
    """Yield the state files that have no artifact beside them; looks at names alone."""
    try:
        for folder in subfolders(root):
            names = set(os.listdir(root / folder))
            for name in sorted(names):
                if name.endswith(_STATE) and f"{name.removesuffix(_STATE)}.md" not in names:
                    yield root / folder / name
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _log.warning("Files of the npm plugin cannot be looked for: %s", error)


def _interrupted(record: _Record, project: str, directory: str) -> Delegation:
    created = utc(record.created_at)
    first = ev.Registered(
        at=created,
        id=record.id,
        project=project,
        directory=directory,
        root_session=record.root_session_id,
        parent_session=record.parent_session_id,
        prompt=record.prompt,
        agent=record.agent,
        title=title_of(record.prompt),
        owner=OWNER,
        model=record.model,
    )
    ended = ev.Interrupted(
        at=max(created, utc(record.updated_at or record.created_at)),
        summary=one_line(record.progress.last_message, SUMMARY_CHARS),
        error=_ERRORS[Status.INTERRUPTED],
        usage=ev.Usage(tool_calls=record.progress.tool_calls),
    )
    started = utc(record.started_at or record.created_at)
    launched = ev.Launched(at=started, session=record.session_id, message="")
    return reduce(domain.apply, (launched, ended), domain.register(first))


def utc(at: datetime) -> datetime:
    """Return a time that may be told without its zone, which is then UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
