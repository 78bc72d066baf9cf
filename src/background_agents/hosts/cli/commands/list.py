"""``background-agents list``: which delegations there are, newest first."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from background_agents.client.projects import Project
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.query import SORTS, Query
from background_agents.hosts.cli import output, table
from background_agents.hosts.cli.arguments import add_place
from background_agents.hosts.cli.colours import OF_STATUS, Colour
from background_agents.hosts.cli.query_arguments import (
    ToldProjects,
    add_all_projects,
    add_query,
    count,
    query_of,
)
from background_agents.hosts.cli.text import list as list_text
from background_agents.ports.storage import Line

if TYPE_CHECKING:
    from background_agents.views.json import Sheet

_WIDTH = 19
"""Of what the help explains, as that of queries."""

LIMIT = 20
"""What fits on a screen beside what was there before."""


class Shown(NamedTuple):
    """A delegation, and which project it is of; empty where that is clear."""

    one: Line | Delegation
    project: str
    key: str | float | datetime
    """Where it stands among those of several projects."""
    told: Sheet | None = None
    """The same for programs."""


class Page(NamedTuple):
    """What is shown of one project."""

    lines: Sequence[Shown]
    total: int


def add_arguments(parser: ArgumentParser) -> None:
    """Take a query, options, and how much is shown."""
    parser.formatter_class = RawDescriptionHelpFormatter
    add_query(parser)
    told = (f"  {name:<{_WIDTH}}{column.about}" for name, column in list_text.COLUMNS.items())
    parser.epilog = "\n".join([parser.epilog or "", "what --columns may name:", *told])
    parser.add_argument(
        "--sort", default="", metavar="KEY[,desc]",
        help=f"by one of: {', '.join(SORTS)}; the least first, with ,desc the greatest",
    )  # fmt: skip
    parser.add_argument(
        "--columns", metavar="A,B,C",
        help=f"show these (default {','.join(list_text.USUAL)}); see below",
    )  # fmt: skip
    parser.add_argument(
        "-n", "--limit", type=count, default=LIMIT, metavar="N",
        help=f"show so many (default {LIMIT}); 0 = all",
    )  # fmt: skip
    parser.add_argument(
        "--rank", action="store_true", help="the best matches of the words first, not the newest"
    )
    add_all_projects(parser)
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> int:
    """Show the delegations that are asked for.

    Newest first, with words too: what is looked for is mostly what was last seen, the ages stand
    in order, and a line stays where it was. ``--rank`` is for old things.
    """
    query = query_of(given)
    projects = ToldProjects(given)
    if given.rank and (projects.are_many or query.sort or not query.is_full_text):
        raise InvalidRequest("--rank orders by words, within one project; give words, and neither "
                             "--all-projects nor --sort.")  # fmt: skip
    if given.json and given.columns is not None:
        raise InvalidRequest("--columns is for people; --json has all there is.")
    columns = list_text.chosen(given.columns)
    is_whole = given.json or not set(columns) <= set(list_text.USUAL)
    pages = projects.each(lambda project: _page(project, query, given, is_whole=is_whole))
    shown = [one for page in pages for one in page.lines]
    if projects.are_many:
        is_down = query.sort.descends if query.sort else True
        shown = sorted(shown, key=lambda one: one.key, reverse=is_down)[: given.limit or None]
    total = sum(page.total for page in pages)
    if given.json:
        from background_agents.views.json import ListSheet

        told = (one.told for one in shown if one.told)
        output.write_json(ListSheet(total=total, delegations=tuple(told)))
        return projects.code
    _show(shown, columns)
    if not shown:
        print(projects.nothing or list_text.NOTHING, file=sys.stderr)
    elif total > len(shown):
        print(list_text.more(len(shown), total), file=sys.stderr)
    return projects.code


def _page(project: Project, query: Query, given: Namespace, *, is_whole: bool) -> Page:
    found = project.find(query, given.limit or None, by_rank=given.rank)
    label = project.label if given.all_projects else ""
    read = project.records.delegations if is_whole else project.records.lines
    shown = [
        Shown(one, label, key if query.sort else one.registered_at)
        for number, key in zip(found.numbers, found.keys, strict=True)
        for one in read([number])
    ]
    if given.json:
        from background_agents.client.owners import sheets

        stored = [one.one for one in shown if isinstance(one.one, Delegation)]
        told = sheets(project.folder, stored)
        shown = [one._replace(told=sheet) for one, sheet in zip(shown, told, strict=True)]
    return Page(shown, found.total)


def _show(shown: Sequence[Shown], columns: Sequence[str]) -> None:
    now = datetime.now(UTC)
    cells = [list_text.cells(one, columns, project, now) for one, project, *_ in shown]
    has_head = output.is_terminal() and bool(shown)
    if has_head:
        is_there = [any(row[at].strip() for row in cells) for at in range(len(columns))]
        heads = (name.upper() if name != "unread" else "" for name in columns)
        cells.insert(0, [head * is_there[at] for at, head in enumerate(heads)])
    last = columns.index("title") if "title" in columns else len(columns) - 1
    rows = table.fit(
        cells,
        output.width() if output.is_terminal() or "COLUMNS" in os.environ else None,
        last=last,
        spare=[at for at in list_text.spare(columns) if at != last],
        right=[at for at, name in enumerate(columns) if list_text.COLUMNS[name].is_number],
    )
    if has_head:
        output.show(table.line(rows.pop(0), dict.fromkeys(range(len(columns)), Colour.STRONG)))
    usual = {at: list_text.COLUMNS[name].colour for at, name in enumerate(columns)}
    for one, row in zip(shown, rows, strict=True):
        colours = {at: colour for at, colour in usual.items() if colour}
        if "state" in columns:
            colours[columns.index("state")] = OF_STATUS[one.one.status]
        output.show(table.line(row, colours))
