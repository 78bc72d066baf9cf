"""``background-agents stats``: how many, how they ended, how long they ran, what they used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import datetime

from background_agents.client.owners import sheets
from background_agents.client.projects import Project
from background_agents.domain.events import Usage
from background_agents.domain.statistics import By, Fact, Summary, summarize
from background_agents.domain.status import TERMINAL, Status
from background_agents.hosts.cli import output, table
from background_agents.hosts.cli.arguments import add_place
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.query_arguments import ToldProjects, add_all_projects
from background_agents.hosts.cli.text import stats as stats_text
from background_agents.hosts.cli.typed import moment
from background_agents.views.json import Sheet

MOST_GROUPS = 31
"""A month of days; more lines are no picture."""

BAR = 24
"""Columns of the longest bar, where there is room."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take since when, and by what."""
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="delegated since: 2h, 3d, 4w or 2026-11-01"
    )
    parser.add_argument(
        "--by", choices=[one.value for one in By], default=By.AGENT.value,
        help="what to tell apart (default: agent)",
    )  # fmt: skip
    add_all_projects(parser)
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> int:
    """Show the numbers of a project, or of all."""
    projects, by = ToldProjects(given), By(given.by)
    since: datetime | None = given.since

    found = projects.each(lambda project: _facts(project, since))
    whole, groups = summarize((fact for listed in found for fact in listed), by)
    if given.json:
        from background_agents.views.json import stats_sheet

        output.write_json(stats_sheet(whole, groups, by, since))
    else:
        _show(whole, groups, by, since)
    return projects.code


def _facts(project: Project, since: datetime | None) -> list[Fact]:
    """Return what counts of each delegation; of those that run, what their owners tell."""
    stored = project.records.facts(since)
    ended = [fact for fact in stored if fact.status in TERMINAL]
    active = [
        one for one in project.records.active() if since is None or one.registered_at >= since
    ]
    return [*ended, *map(_fact, sheets(project.folder, active))]


def _fact(one: Sheet) -> Fact:
    return Fact(
        agent=one.agent,
        registered_at=one.registered_at,
        model=one.model,
        models=one.models,
        status=Status(one.state),
        launched_at=one.started_at,
        ended_at=one.ended_at,
        usage=Usage(input_tokens=one.tokens, cost_usd=one.cost_usd, tool_calls=one.tool_calls),
    )


def _show(whole: Summary, groups: Sequence[Summary], by: By, since: datetime | None) -> None:
    for sentence in stats_text.sentences(whole, since):
        output.show(sentence)
    # Of days the newest; of all else those that come first, which are the largest.
    shown = groups[-MOST_GROUPS:] if by is By.DAY else groups[:MOST_GROUPS]
    if not shown:
        return
    print()
    rows: list[tuple[str, ...]] = [(by.value, *stats_text.HEADS), *map(stats_text.row, shown)]
    width = output.width()
    bar = min(BAR, width // 4)
    numbers = range(1, len(rows[0]))
    fitted = table.fit(rows, width - bar - 2, last=0, spare=(6, 5, 4, 3, 2), right=numbers)
    most = max(group.count for group in shown)
    blocks = table.in_unicode("█▏", "") != ""
    output.show(painted(table.line(fitted[0], {}), Colour.FAINT))
    for group, cells in zip(shown, fitted[1:], strict=True):
        drawn = painted(stats_text.bar(group.count / most, bar, blocks=blocks), Colour.RUNNING)
        output.show(table.line([*cells, drawn], {}))
    if len(groups) > len(shown):
        print(f"… and {len(groups) - len(shown):,} more; --json tells all.")
