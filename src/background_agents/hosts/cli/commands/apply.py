"""``background-agents apply``: take over what a delegation has changed in a tree of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from background_agents.client.tries import Try
from background_agents.domain.errors import NotApplied
from background_agents.domain.isolation import State
from background_agents.domain.text import counted
from background_agents.hosts.cli import output
from background_agents.hosts.cli.arguments import add_id, add_paths, add_place, found_of
from background_agents.hosts.cli.asking import confirm
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.text import apply as apply_text


def add_arguments(parser: ArgumentParser) -> None:
    """Take which, and what of it."""
    parser.epilog = (
        "It is merged with what the project's folder holds now. Where something does not fit, no "
        "file is written, and the paths are listed; name others to take over a part. What was "
        "written is taken back by `undo`."
    )
    add_id(parser)
    add_paths(parser, "only these files, or what is in these folders")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written")
    add_place(parser)


def run(given: Namespace) -> int:
    """Show what would be written, and write it once that is confirmed."""
    place, one = found_of(given)
    found = Try(place, one)
    plan = found.plan(given.paths)
    for line in apply_text.lines(plan):
        output.show(line)
    if plan.left:
        if given.dry_run:
            return Exit.DONE
        raise NotApplied(found.one.id, [one.path for one in plan.left])
    if given.dry_run:
        return Exit.DONE
    if plan.steps:
        files = counted(len(plan.steps), "file")
        confirm(f"Write {files} into {place.directory}?", given, "Nothing was written.")
    found.apply(plan)
    if plan.steps:
        rest = "" if found.state is State.APPLIED else "; the rest of it is not applied"
        print(f"Applied {found.one.id}{rest}.")
    return Exit.DONE
