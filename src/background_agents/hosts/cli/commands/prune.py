"""``background-agents prune``: delete old delegations, with all that is stored of them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from background_agents import config
from background_agents.adapters.changes import upkeep
from background_agents.adapters.changes.journal import FOLDER, FileJournal
from background_agents.adapters.files.artifacts import MarkdownArtifacts
from background_agents.adapters.files.set_aside import files_of, left_over, set_aside, settle
from background_agents.adapters.isolation.applying import IsolatedWorktrees
from background_agents.adapters.sqlite.amending import Prunable, Pruning
from background_agents.adapters.sqlite.folder_lock import SOLE, held
from background_agents.client.place import Place
from background_agents.domain.errors import InvalidRequest, StoreUnavailable
from background_agents.domain.query import UNREAD, parse
from background_agents.domain.status import ACTIVE, TERMINAL, Status
from background_agents.hosts.cli import complete, output
from background_agents.hosts.cli.arguments import add_place, completed, nothing_in, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.text import list as list_text
from background_agents.hosts.cli.typed import seconds

YOUNGEST = timedelta(hours=1)
"""What ended less than this ago may still be written to by the service that ran it."""

BATCH = 200
"""Delegations that go together: a service that wants to write waits for some 50 ms."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take how old, and which."""
    parser.epilog = (
        "What is active is never deleted, and what the model has not read only with --unread. "
        "Deleted are the record, its history and notices, the result's file, what is kept of its "
        "changes and its entry in the search index; there is no way back. What was changed in a "
        "tree of its own and not applied is kept."
    )
    parser.add_argument(
        "--older-than", type=seconds, required=True, metavar="AGE",
        help="ended longer ago than this: 12h, 30d, 8w",
    )  # fmt: skip
    states = parser.add_argument(
        "--state", action="append", default=[], metavar="S",
        help=f"only those: {', '.join(one for one in Status if one in TERMINAL)}",
    )  # fmt: skip
    completed(states, complete.states)
    parser.add_argument("--unread", action="store_true", help="also those that nobody has read")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show which, and delete nothing")
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> int:
    """Delete what is old enough, once that is confirmed."""
    states, age = _states(given), timedelta(seconds=given.older_than)
    if age < YOUNGEST:
        raise InvalidRequest("--older-than must be an hour or more; the rest may be at work yet.")
    place, now = place_of(given), datetime.now(UTC)
    if place.is_fresh:
        if given.json:
            _write_json([], 0, [], dry_run=given.dry_run)
        else:
            print(nothing_in(place))
        return Exit.DONE
    with _opened(place) as pruning:
        found = pruning.find(now - age, states)
        read = [one for one in found if given.unread or one.line.read_at is not None]
        apart = _needed(place, read)
        chosen = [one for one in read if one not in apart]
        if given.dry_run:
            _show(chosen, now, as_json=given.json)
        elif chosen:
            _confirm(len(chosen), given)
            _delete(pruning, place.folder, chosen)
    if given.json:
        _write_json(chosen, len(found) - len(read), apart, dry_run=given.dry_run)
    else:
        _tell(chosen, len(found) - len(read), apart, dry_run=given.dry_run)
    return _forget(place.folder) if chosen and not given.dry_run else Exit.DONE


def _states(given: Namespace) -> frozenset[Status]:
    states = parse(states=given.state).states
    if UNREAD in given.state:
        raise InvalidRequest("--state unread cannot be meant here; --unread deletes these, too.")
    if states & ACTIVE:
        raise InvalidRequest(
            f"Only what has ended can be deleted, and --state is {', '.join(given.state)}; stop "
            "it first."
        )
    return states or TERMINAL


@contextmanager
def _opened(place: Place) -> Iterator[Pruning]:
    """Open the database, and mend what a prune that was killed had left behind."""
    pruning = Pruning.open(place.folder / config.DATABASE)
    if pruning is None:
        raise InvalidRequest(nothing_in(place))
    with pruning:
        with _alone(place.folder):
            settle(left_over(place.folder), pruning.is_there)
        yield pruning


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other prunes and rebuilds away, and name what the system refuses."""
    try:
        with held(folder, SOLE):
            yield
    except OSError as error:
        raise StoreUnavailable(
            f"Nothing more can be deleted in {folder} ({error.strerror}); what was deleted so "
            "far is gone as a whole. Check the permissions of the folder."
        ) from error


def _delete(pruning: Pruning, folder: Path, chosen: Sequence[Prunable]) -> None:
    artifacts, trees = MarkdownArtifacts(folder), IsolatedWorktrees(folder)
    journal = FileJournal(folder / FOLDER)
    for begin in range(0, len(chosen), BATCH):
        batch = chosen[begin : begin + BATCH]
        names = [one.line.id for one in batch]
        paths = [artifacts.folder(one.root_session) / f"{one.line.id}.md" for one in batch]
        asides = files_of(paths)
        with _alone(folder):
            try:
                set_aside(asides)
                pruning.delete(names)
            finally:
                settle(asides, pruning.is_there)
        for name in names:
            trees.discard(name)
            upkeep.forget(journal, name)
    upkeep.clear(journal)


def _needed(place: Place, found: Sequence[Prunable]) -> list[Prunable]:
    """Return those whose trees have something that the project does not, or somebody in them."""
    trees = IsolatedWorktrees(place.folder)
    if not trees.folder.is_dir():
        return []
    with place.records() as records:
        used = {one.tree for one in records.active()}
    return [one for one in found if one.line.id in used or trees.is_needed(one.line.id)]


def _confirm(count: int, given: Namespace) -> None:
    if given.yes:
        return
    what = f"{count:,} delegation{'' if count == 1 else 's'}"
    if not sys.stdin.isatty():
        raise InvalidRequest(
            f"{what} would be deleted, and nobody can be asked; --yes says so, --dry-run shows "
            "which."
        )
    print(
        f"Delete {what} with their results, for good? [y/N] ", end="", file=sys.stderr, flush=True
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest("Nothing was deleted.")


def _show(chosen: Sequence[Prunable], now: datetime, *, as_json: bool) -> None:
    if not as_json:
        for one in chosen:
            cells = list_text.cells(one.line, ("id", "state", "age", "title"), "", now)
            output.show("  ".join(cells))


def _tell(
    chosen: Sequence[Prunable], unread: int, apart: Sequence[Prunable], *, dry_run: bool
) -> None:
    print(list_text.pruned(len(chosen), unread, dry_run=dry_run), file=sys.stderr)
    if apart:
        names = ", ".join(one.line.id for one in apart)
        why = "what they have changed is not applied, or somebody works in their trees"
        print(f"Kept, since {why}: {names}.", file=sys.stderr)
        print("`apply` takes it over, `discard` deletes it.", file=sys.stderr)


def _write_json(
    chosen: Sequence[Prunable], unread: int, apart: Sequence[Prunable], *, dry_run: bool
) -> None:
    from background_agents.views.json import PruneSheet

    names = tuple(one.line.id for one in chosen)
    output.write_json(
        PruneSheet(
            deleted=names,
            kept_unread=unread,
            kept_unapplied=tuple(one.line.id for one in apart),
            dry_run=dry_run,
        )
    )


def _forget(folder: Path) -> int:
    """Take what is gone out of the search index, if there is one."""
    from background_agents.client.indexing import index_of

    index = index_of(folder)
    if not index.path.exists():
        return Exit.DONE
    try:
        index.forget()
    except StoreUnavailable as error:
        print(error, file=sys.stderr)
        return Exit.NOT_WELL
    return Exit.DONE
