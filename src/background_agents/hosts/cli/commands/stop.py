"""``background-agents stop``: end delegations, and keep what they wrote."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from background_agents.client.place import Place
from background_agents.client.projects import Project
from background_agents.client.synchronous import Client
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.text import counted
from background_agents.hosts.cli.arguments import add_ids, add_place, found_of
from background_agents.hosts.cli.asking import confirm
from background_agents.hosts.cli.exits import Exit, code_of
from background_agents.hosts.cli.query_arguments import ToldProjects, add_all_projects
from background_agents.views.errors import for_people
from background_agents.views.json import Sheet


def add_arguments(parser: ArgumentParser) -> None:
    """Take which."""
    add_ids(parser, "an id, or enough of it", active=True)
    parser.add_argument("--all", action="store_true", help="all that are active in the project")
    add_all_projects(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask, with --all-projects")
    add_place(parser)


def run(given: Namespace) -> int:
    """Stop them in one act for each project; all are quiet when they are named."""
    ids: list[str] = given.ids
    if bool(ids) == given.all or (ids and given.all_projects):
        raise InvalidRequest("Name what to stop, or say --all; not both.")
    projects = ToldProjects(given)
    if given.all:
        meant = [pair for several in projects.each(_active) for pair in several]
    else:
        meant = [found_of(given, one) for one in ids]
    if not meant:
        print("Nothing is active.")
    by_project: dict[Path, list[tuple[Place, Delegation]]] = defaultdict(list)
    for place, one in meant:
        by_project[place.folder].append((place, one))
    if by_project and given.all_projects:
        what = f"{counted(len(meant), 'delegation')} in {counted(len(by_project), 'project')}"
        confirm(f"Stop {what}?", given, "Nothing was stopped.")
    stopped = (_stop(there[0][0], [one for _, one in there]) for there in by_project.values())
    return max([projects.code, *stopped])


def _active(project: Project) -> Sequence[tuple[Place, Delegation]]:
    return [(project.place(one), one) for one in project.records.active()]


def _stop(place: Place, meant: Sequence[Delegation]) -> Exit:
    """Stop some in one act, of which their supervisor is told once."""
    worst = Exit.DONE
    for one in meant:
        if one.is_terminal:
            print(f"{one.id} had ended already ({one.status}).", flush=True)
    active = [one.id for one in meant if not one.is_terminal]
    for after in Client(place, takeover_s=0).stop_all(active):
        if isinstance(after, Sheet):
            print(_told(after), flush=True)
        else:
            # The others are stopped all the same.
            print(for_people(after), file=sys.stderr)
            worst = max(worst, code_of(after))
    return worst


def _told(after: Sheet) -> str:
    if after.state != "stopped":
        return f"{after.id} had just ended ({after.state})."
    return f"{after.id} is stopped; {after.result_chars:,} characters of partial output are kept."
