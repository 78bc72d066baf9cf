"""``background-agents diff``: which files a delegation changed, and how."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from background_agents.client.changes import Changed, between, changed, names_for
from background_agents.client.place import Place
from background_agents.domain.change_sums import fold, sum_of
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NoSuchRecord
from background_agents.domain.ids import is_readable_id
from background_agents.domain.text import counted
from background_agents.hosts.cli import output, pager
from background_agents.hosts.cli.arguments import add_id, add_paths, add_place, found_of
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.text import diff as diff_text
from background_agents.views.diffs import Row, matching, rows


def add_arguments(parser: ArgumentParser) -> None:
    """Take an id, files, and how they are written."""
    parser.epilog = (
        "What was undone is not shown. `sure` is what a tool of the delegation wrote; `likely` "
        "changed while a command of it ran; `shared` is what others may have written at the same "
        "time. With a second ID, where both worked in trees of their own, it shows what leads "
        "from the result of the first to that of the second. --patch writes what `git apply` "
        "takes at the top of the tree."
    )
    add_id(parser)
    add_paths(parser, "only these files, or what is in these folders")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--stat", action="store_true", help="the files alone, without their lines")
    form.add_argument("--patch", action="store_true", help="a patch for `git apply`")
    form.add_argument("--json", action="store_true", help=output.JSON_HELP)
    add_place(parser)


def run(given: Namespace) -> None:
    """Show what a delegation changed; of one that runs, so far."""
    place, one = found_of(given)
    other = _other(place, one, given.paths)
    found = between(place, one, other) if other else changed(place, one)
    chosen = _chosen(given.paths[bool(other) :], one, rows(found.segments, found.content))
    if given.json:
        from background_agents.views.json_changes import diff_sheet

        output.write_json(diff_sheet(one, found.segments, found.content, chosen))
    elif given.patch:
        from background_agents.adapters.changes.patches import patch

        pieces = (piece for row in chosen for piece in row.pieces)
        for part in patch(pieces, found.content):
            sys.stdout.buffer.write(part)
    else:
        pager.show(_lines(one, found, chosen, with_lines=not given.stat))


def _other(place: Place, one: Delegation, paths: Sequence[str]) -> Delegation | None:
    """Return the second of two isolated tries, where the first path is its id."""
    if not (one.tree and paths and is_readable_id(paths[0])):
        return None
    with place.records() as records:
        try:
            other = records.resolve(paths[0])
        except NoSuchRecord:
            return None
    return other if other.tree and other.id == paths[0] else None


def _chosen(paths: Sequence[str], one: Delegation, found: Sequence[Row]) -> list[Row]:
    if not paths:
        return list(found)
    chosen = [row for path in paths for row in matching(found, one.id, *names_for(path, one))]
    return [row for row in found if row in chosen]


def _lines(
    one: Delegation, found: Changed, chosen: Sequence[Row], *, with_lines: bool
) -> Iterator[str]:
    yield from diff_text.head(one, sum_of(found.segments, found.content, one.changes.open))
    if chosen:
        yield ""
    yield from diff_text.listed(chosen)
    for row in chosen if with_lines else ():
        yield from diff_text.shown(row, found.content)
    undone = sum(bool(file.undone) for file in fold(found.segments))
    if undone:
        yield ""
        told = f"{counted(undone, 'file')} undone; `background-agents redo {one.id}` redoes that."
        yield painted(told, Colour.FAINT)
