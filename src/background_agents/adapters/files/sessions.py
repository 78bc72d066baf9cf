"""What the markdown in a project's folder tells of delegations, without any database.

Ours and the npm plugin's. A file is only ever read; one that cannot be understood is named
in the log and left as it is. Everything here blocks and belongs on a worker thread.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from background_agents.adapters.files import npm_plugin
from background_agents.adapters.files.artifacts import MAX_BYTES, parse
from background_agents.adapters.files.private import read_file, subfolders
from background_agents.adapters.sqlite.rebuild import Known, Told
from background_agents.domain import events as ev
from background_agents.domain.actor import Actor
from background_agents.domain.changes import Changes
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.ids import is_readable_id
from background_agents.domain.status import CUT_SHORT, TERMINAL, Status
from background_agents.domain.text import SUMMARY_CHARS, TITLE_CHARS, one_line, title_of

MOST_S = 100 * 365 * 86_400.0
"""Of a run: a century, beyond which times cannot be reckoned with."""

OWNER = "files"
"""Stands for the process that supervised a delegation: none that lives has such a name."""

_NO_ARTIFACT = (OSError, StoreUnavailable, ValueError, msgspec.DecodeError)
"""What reading one raises, or understanding what it says."""

_log = logging.getLogger(__name__)


class _Front(msgspec.Struct, frozen=True):
    """What front matter must say and may say."""

    id: str
    agent: str
    state: Status
    started: datetime
    ended: datetime
    title: str = ""
    summary: str = ""
    prompt: str = ""
    model: str | None = None
    ran_on: str | None = None
    cut: str | None = None
    elapsed_s: float | None = None
    error: str | None = None
    session: str | None = None
    parent_session: str | None = None
    continued_from: str | None = None
    retry_of: str | None = None
    depth: int = 1
    above: str = ""
    tokens: int = 0
    cost_usd: float = 0.0
    tool_calls: int = 0
    changed_files: int = 0
    lines_added: int = 0
    lines_removed: int = 0
    changed_uncertain: int = 0
    changed: str | None = None
    still_writing: str | None = None
    tree: str = ""
    isolated: str | None = None
    left_its_tree: str | None = None
    labels: str = ""
    note: str = ""


class SessionFiles:
    """``<root>/<root session>/<id>.md``, as what it tells of a delegation.

    Folder and file name say which session and which delegation it is, since that is where a
    reader looks for it.
    """

    def __init__(self, root: Path, directory: str) -> None:
        """Tell of the project in ``root``; its delegations count as those of ``directory``."""
        self._root = root
        self._directory = directory

    def __call__(self, known: Known) -> Iterator[Told]:
        """Yield what is told of delegations that are not known; nothing else is opened."""
        for session in _listed(subfolders, self._root):
            for name in _listed(_artifacts, self._root / session):
                if (name, session) in known:
                    continue
                path = self._root / session / f"{name}.md"
                try:
                    yield self._told(path)
                except _NO_ARTIFACT as error:
                    _log.warning("%s is torn or not an artifact, and is left out: %s", path, error)

    def _told(self, path: Path) -> Told:
        text = read_file(path, MAX_BYTES).decode(errors="replace")
        is_plugins = npm_plugin.is_plugins(text)
        front, body = npm_plugin.parse(text) if is_plugins else parse(text)
        whole = {key: _whole(value) for key, value in front.items()}
        facts = msgspec.convert(whole, _Front, strict=False)
        if facts.state not in TERMINAL:
            raise ValueError(f"it says that it is {facts.state}, which is no end")
        if facts.id != path.stem:
            raise ValueError(f"it is the artifact of {one_line(facts.id, 80)}")
        foreign = is_plugins or npm_plugin.was_its(path)
        return Told(self._first(path, facts), tuple(_later(facts, body)), foreign)

    def _first(self, path: Path, facts: _Front) -> ev.Registered:
        return ev.Registered(
            at=npm_plugin.utc(facts.started),
            id=path.stem,
            project=self._root.name,
            directory=self._directory,
            root_session=path.parent.name,
            parent_session=facts.parent_session or path.parent.name,
            prompt=facts.prompt,
            agent=facts.agent,
            title=one_line(facts.title, TITLE_CHARS) or title_of(facts.prompt),
            owner=OWNER,
            model=facts.model,
            continued_from=facts.continued_from,
            retry_of=facts.retry_of,
            depth=facts.depth,
            above=facts.above,
            tree=facts.tree if is_readable_id(facts.tree) else "",
        )


def _listed(names: Callable[[Path], list[str]], folder: Path) -> list[str]:
    try:
        return names(folder)
    except OSError as error:
        _log.warning("%s cannot be looked through: %s", folder, error)
        return []


def _artifacts(folder: Path) -> list[str]:
    """Return the ids in the names of a folder's files; people may keep other files there."""
    with os.scandir(folder) as found:
        names = [one.name for one in found if one.is_file(follow_symlinks=False)]
    stems = (name.removesuffix(".md") for name in names if name.endswith(".md"))
    return sorted(stem for stem in stems if is_readable_id(stem))


def _later(facts: _Front, body: str) -> Iterator[ev.Event]:
    """Yield what happened after the registration, as far as it is told.

    Only the sum of the tokens is. Whether somebody read the result is not told either: it
    counts as read, since a loss should not end in a flood of old news.
    """
    started = npm_plugin.utc(facts.started)
    ended = max(started, npm_plugin.utc(facts.ended))
    if facts.session or facts.state is Status.COMPLETED:
        yield ev.Launched(at=started, session=facts.session or "", message="")
    is_told = facts.elapsed_s is not None and 0 <= facts.elapsed_s <= MOST_S
    common: dict[str, Any] = {
        "at": ended,
        "summary": one_line(facts.summary, SUMMARY_CHARS),
        "usage": ev.Usage(facts.tokens, cost_usd=facts.cost_usd, tool_calls=facts.tool_calls),
        "result_chars": len(body),
        "models": tuple(facts.ran_on.split(", then ")) if facts.ran_on else (),
        "changes": Changes(
            facts.changed_files,
            facts.lines_added,
            facts.lines_removed,
            facts.changed_uncertain,
            tuple(facts.changed.split(", ")) if facts.changed else (),
            (facts.still_writing,) if facts.still_writing else (),
            facts.isolated or "",
            facts.left_its_tree or "",
        ),
        "ran_for": timedelta(seconds=facts.elapsed_s or 0) if is_told else None,
    }
    if facts.state is Status.COMPLETED:
        yield ev.Completed(**common, cut=facts.cut or None)
    else:
        error = facts.error or "Its artifact does not say why."
        yield CUT_SHORT[facts.state](**common, error=error)
    if facts.labels or facts.note:
        labels = tuple(facts.labels.split())
        yield ev.Annotated(at=ended, labels=labels, note=facts.note, by=Actor.COMMAND_LINE)
    yield ev.Read(at=ended)


def _whole(value: object) -> object:
    """Return a value without halves of surrogate pairs, which no database takes."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
