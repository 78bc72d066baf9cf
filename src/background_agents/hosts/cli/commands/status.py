"""``background-agents status``: what runs now."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.owners import as_told
from background_agents.domain.text import one_line
from background_agents.hosts.cli.arguments import add_place
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.output import add_json, width, write_json
from background_agents.hosts.cli.query_arguments import ToldProjects, add_all_projects
from background_agents.hosts.cli.text import status as status_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take no more than where to look."""
    add_all_projects(parser)
    add_json(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Show every active delegation, as its owner tells of it."""
    projects = ToldProjects(given)
    shown = [
        one
        for part in projects.each(lambda p: as_told(p.folder, p.records.active()))
        for one in part
    ]
    if given.json:
        write_json(shown)
    elif not shown:
        there_was = "Nothing is active. `background-agents list` shows what there was."
        print(projects.nothing or there_was)
    directory = ""
    for one in () if given.json else shown:
        if projects.are_many and one.delegation.directory != directory:
            directory = one.delegation.directory
            print(painted(f"{one_line(directory)}:", Colour.STRONG))
        print(status_text.active(one, width()))
    return projects.code
