"""Sheets and boards for tests that draw or press keys: plain data, told from no service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import msgspec
from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from background_agents.domain.status import Status
from background_agents.hosts.cli.watching.keys import TEXT, Key
from background_agents.hosts.cli.watching.model import Model, see
from background_agents.hosts.cli.watching.seen import Ended, Seen
from background_agents.ports.storage import Line
from background_agents.views.json import ActiveSheet, LiveFacts, RequestSheet, Sheet

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

_SHEET = Sheet(
    id="quick-silent-heron",
    title="Look into the OAuth flow",
    summary="",
    agent="general",
    model=None,
    ran_on=None,
    models=(),
    state="running",
    unread=False,
    error=None,
    cut=None,
    project="p1",
    directory="/src/project",
    root_session="ses_root",
    parent_session="ses_root",
    session="ses_child",
    registered_at=NOW,
    started_at=NOW,
    ended_at=None,
    read_at=None,
    elapsed_s=134.0,
    timeout_s=900.0,
    tokens=12_345,
    cost_usd=0.0123,
    tool_calls=3,
    steers_confirmed=0,
    steers_pending=0,
    requests=(),
    resumed=0,
    continued_from=None,
    result_chars=0,
    as_of=NOW,
    owner="1:2",
)

_FACTS = LiveFacts(
    time_left_s=766.0, place=None, heard_at=NOW, retry=None, last="bash completed: Run the tests"
)


def asks(text: str, name: str = "per_1", kind: str = "permission") -> RequestSheet:
    return RequestSheet(id=name, kind=kind, text=text, asked_at=NOW)


def active(name: str, *requests: RequestSheet, live: bool = True, **more: object) -> ActiveSheet:
    """Return an active delegation; ``more`` are members of its sheet or of its live facts."""
    facts = {key: more.pop(key) for key in list(more) if key in LiveFacts.__struct_fields__}
    state = {"state": "waiting"} if requests else {}
    sheet = msgspec.structs.replace(_SHEET, id=name, requests=requests, **{**state, **more})
    return ActiveSheet(
        delegation=sheet, live=msgspec.structs.replace(_FACTS, **facts) if live else None
    )


def over(
    name: str,
    status: Status = Status.COMPLETED,
    summary: str = "All is well.",
    title: str = "Something",
    project: str = "p1",
) -> Ended:
    line = Line(
        id=name,
        title=title,
        agent="general",
        status=status,
        summary=summary,
        registered_at=NOW - timedelta(hours=1),
        ended_at=NOW - timedelta(minutes=3),
        read_at=None,
    )
    return Ended(line, project)


def seen(*found: ActiveSheet, **more: object) -> Seen:
    return replace(Seen(at=NOW, active=found), **more)  # type: ignore[arg-type]


def model(found: Seen, **more: object) -> Model:
    """Return the model of somebody who has just begun to look."""
    return replace(see(Model(), found), **more)  # type: ignore[arg-type]


def key(name: str) -> Key:
    """Return a key by its name, or by the one letter that it types."""
    return Key(TEXT, name) if len(name) == 1 else Key(name)


def plain(lines: list[Text], width: int) -> list[str]:
    """Return lines as a terminal of that width shows them; none may be wider."""
    for line in lines:
        assert line.cell_len <= width, line.plain
    console = Console(file=StringIO(), width=width, height=len(lines), color_system=None)
    console.print(Group(*lines))
    shown = str(console.file.getvalue()).split("\n")[:-1]  # type: ignore[attr-defined]
    assert len(shown) == len(lines), "a line was wrapped"
    assert all(cell_len(one) <= width for one in shown)
    return [one.rstrip() for one in shown]
