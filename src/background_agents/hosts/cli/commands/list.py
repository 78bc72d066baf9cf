"""``background-agents list``: which delegations there are, newest first."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from background_agents.client.projects import Project
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.query import Query
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

LIMIT = 20
"""What fits on a screen beside what was there before."""


class Shown(NamedTuple):
    """A line, and which project it is of; empty where that is clear."""

    line: Line
    project: str


class Page(NamedTuple):
    """What is shown of one project."""

    lines: Sequence[Shown]
    total: int


def add_arguments(parser: ArgumentParser) -> None:
    """Take a query, options, and how much is shown."""
    parser.formatter_class = RawDescriptionHelpFormatter
    add_query(parser)
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
    if given.rank and (projects.are_many or not query.is_full_text):
        raise InvalidRequest("--rank orders by words, within one project; give words, and no "
                             "--all-projects.")  # fmt: skip
    limit = given.limit or None
    if given.json:
        return _write_json(projects, query, limit, by_rank=given.rank)

    def page(project: Project) -> Page:
        found = project.find(query, limit, by_rank=given.rank)
        label = project.label if projects.are_many else ""
        lines = [Shown(one, label) for one in project.records.lines(found.numbers)]
        return Page(lines, found.total)

    pages = projects.each(page)
    shown = [one for page in pages for one in page.lines]
    if projects.are_many:
        shown = sorted(shown, key=lambda one: one.line.registered_at, reverse=True)[:limit]
    _show(shown, sum(page.total for page in pages), projects.nothing or list_text.NOTHING)
    return projects.code


def _show(shown: Sequence[Shown], total: int, nothing: str) -> None:
    now = datetime.now(UTC)
    is_cut = output.is_terminal() or "COLUMNS" in os.environ
    cells = [list_text.cells(one.line, one.project, now) for one in shown]
    rows = table.fit(cells, output.width() if is_cut else None, last=7, spare=(4, 3, 6, 5))
    for one, row in zip(shown, rows, strict=True):
        faint = dict.fromkeys((3, 4, 5, 6), Colour.FAINT)
        colours = {1: OF_STATUS[one.line.status], 2: Colour.STRONG, **faint}
        output.show(table.line(row, colours))
    if not shown:
        print(nothing, file=sys.stderr)
    elif total > len(shown):
        print(list_text.more(len(shown), total), file=sys.stderr)


def _write_json(projects: ToldProjects, query: Query, limit: int | None, *, by_rank: bool) -> int:
    from background_agents.client.owners import sheets
    from background_agents.views.json import ListSheet

    def page(project: Project) -> ListSheet:
        found = project.find(query, limit, by_rank=by_rank)
        stored = list(project.records.delegations(found.numbers))
        return ListSheet(total=found.total, delegations=tuple(sheets(project.folder, stored)))

    pages = projects.each(page)
    listed = [one for page in pages for one in page.delegations]
    if projects.are_many:
        listed = sorted(listed, key=lambda one: one.registered_at, reverse=True)[:limit]
    total = sum(page.total for page in pages)
    output.write_json(ListSheet(total=total, delegations=tuple(listed)))
    return projects.code
