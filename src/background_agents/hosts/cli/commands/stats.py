"""``background-agents stats``: how many, how they ended, how long they ran, what they used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import datetime

from background_agents.client.owners import sheets
from background_agents.client.projects import Project
from background_agents.domain.events import Usage
from background_agents.domain.statistics import MEASURES, By, Fact, Order, Summary, summarize
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
    parser.add_argument(
        "--sort", choices=[one.value for one in Order],
        help="what puts one group before another and is drawn (default: count; days and states "
        "have an order of their own)",
    )  # fmt: skip
    add_all_projects(parser)
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> int:
    """Show the numbers of a project, or of all."""
    projects, by = ToldProjects(given), By(given.by)
    order = Order(given.sort) if given.sort else None
    since: datetime | None = given.since

    found = projects.each(lambda project: _facts(project, since))
    whole, groups = summarize((fact for listed in found for fact in listed), by, order)
    if given.json:
        from background_agents.views.json import stats_sheet

        output.write_json(stats_sheet(whole, groups, by, since))
    else:
        _show(whole, groups, by, since, order)
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
        models=one.models,
        status=Status(one.state),
        launched_at=one.started_at,
        ended_at=one.ended_at,
        usage=Usage(
            input_tokens=one.tokens,
            cost_usd=one.cost_usd,
            tool_calls=one.tool_calls,
            unpriced_turns=one.unpriced_turns,
        ),
    )


def _show(
    whole: Summary, groups: Sequence[Summary], by: By, since: datetime | None, order: Order | None
) -> None:
    for sentence in stats_text.sentences(whole, since):
        output.show(sentence)
    # Of days the newest; of all else those that come first, which are the largest.
    is_by_time = by is By.DAY and order is None
    shown = groups[-MOST_GROUPS:] if is_by_time else groups[:MOST_GROUPS]
    if not shown:
        return
    measure = MEASURES[order or Order.COUNT]
    most = max(map(measure, shown)) or 1.0
    heads = (by.value, *stats_text.HEADS)
    _table([heads, *map(stats_text.row, shown)], [measure(one) / most for one in shown])
    if sum(whole.spent):
        print()
        output.show("Where their time went:")
        _table([(by.value, *stats_text.SPENT), *map(stats_text.spent_row, shown)])
    if len(groups) > len(shown):
        print(f"… and {len(groups) - len(shown):,} more; --json tells all.")


def _table(rows: Sequence[Sequence[str]], shares: Sequence[float] = ()) -> None:
    """Show a line of heads, and one for each group; each ends with its share, if any, drawn."""
    width = output.width()
    bar = min(BAR, width // 4) if shares else -len(table.GAP)
    numbers = range(1, len(rows[0]))
    spare = (5, 4, 3, 6, 2) if shares else (5, 4, 3, 2)
    fitted = table.fit(rows, width - bar - len(table.GAP), last=0, spare=spare, right=numbers)
    blocks = table.in_unicode("█▏", "") != ""
    print()
    output.show(painted(table.line(fitted[0], {}), Colour.FAINT))
    drawn = [painted(stats_text.bar(one, bar, blocks=blocks), Colour.RUNNING) for one in shares]
    for index, cells in enumerate(fitted[1:]):
        output.show(table.line([*cells, *drawn[index : index + 1]], {}))
