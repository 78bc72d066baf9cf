"""What ``undo`` and ``redo`` share: their arguments, the plan that is shown, and the question."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from background_agents.adapters.changes.writing import Done
from background_agents.client.changes import names_for
from background_agents.client.undoing import Undoing
from background_agents.domain.change_sums import fold
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotChanged
from background_agents.domain.undoing import Asked, Left, Plan, Step
from background_agents.hosts.cli import output, table
from background_agents.hosts.cli.arguments import add_id, add_paths, add_place, found_of
from background_agents.hosts.cli.asking import confirm
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.exits import Exit
from background_agents.views import undoing as words
from background_agents.views.undoing import Deed

_OF_DEED = {
    Deed.RESTORE: Colour.RUNNING,
    Deed.MERGE: Colour.WARNING,
    Deed.DELETE: Colour.BAD,
    Deed.CREATE: Colour.GOOD,
}


def add_arguments(parser: ArgumentParser) -> None:
    """Take an id, files, and how much is asked before."""
    add_id(parser)
    add_paths(parser, "only these files, or what is in these folders")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, no more")
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace, by: str, *, likely: bool = False) -> int:
    """Show what would be done, ask, and do it; exit 1 where something was left alone."""
    place, one = found_of(given)
    it = Undoing(place, one)
    plan = it.plan(by, Asked(_paths(given.paths, one, it), likely))
    if not given.json:
        for line in _lines(plan.steps, plan.left):
            output.show(line)
        sys.stdout.flush()  # what follows goes to stderr
    if given.dry_run or not plan.steps:
        _tell(given, by, one.id, plan, None)
        return Exit.DONE if given.dry_run or not plan.left else Exit.NOT_WELL
    confirm(words.question(by, len(plan.steps)), given, "Nothing was changed.")
    done = it.do(by, plan)
    it.note()
    _tell(given, by, one.id, plan, done)
    return Exit.NOT_WELL if done.left else Exit.DONE


def _paths(given: Sequence[str], one: Delegation, it: Undoing) -> tuple[str, ...]:
    """Return the paths that are meant, as the journal calls them. Raises ``NotChanged``."""
    known = [file.path for file in fold(it.journal.segments(one.id))]

    def meant(path: str) -> str:
        for name in names_for(path, one):
            if name == "." or any(Asked((name,)).means(at) for at in known):
                return name
        raise NotChanged(one.id, path)

    return tuple(meant(path) for path in given)


def _lines(steps: Sequence[Step], left: Sequence[Left]) -> Iterator[str]:
    width = output.width() if output.is_terminal() else None
    cells = [(words.deed(one).value, words.path(one.path), words.how(one)) for one in steps]
    for one, fitted in zip(steps, table.fit(cells, width, last=2), strict=True):
        yield f" {table.line(fitted, {0: _OF_DEED[words.deed(one)], 2: Colour.FAINT})}"
    if not left:
        return
    if steps:
        yield ""
    yield painted("Left alone:", Colour.STRONG)
    reasons = [(words.path(one.path), words.why(one)) for one in left]
    for fitted in table.fit(reasons, width, last=1):
        yield f" {table.line(fitted, {1: Colour.WARNING})}"


def _tell(given: Namespace, by: str, delegation: str, plan: Plan, done: Done | None) -> None:
    """Say what has come of it; ``done`` is None where nothing was to be done, or only shown."""
    steps, left = (plan.steps, plan.left) if done is None else (done.steps, done.left)
    if given.json:
        from background_agents.views.json_changes import undo_sheet

        output.write_json(undo_sheet(delegation, by, plan, steps, left, dry=given.dry_run))
        return
    if done is not None:
        for line in _lines((), [one for one in left if one not in plan.left]):
            output.show(line)
        sys.stdout.flush()
        told = words.done(by, delegation, len(steps), len(left))
    elif not plan.steps and not plan.left:
        told = words.nothing(by, delegation, plan)
    else:
        told = "Nothing was changed."
    print(told, file=sys.stderr)
