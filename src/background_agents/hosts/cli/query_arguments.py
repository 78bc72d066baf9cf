"""The query of a command, and the projects it is about; what may be asked is ``domain.query``'s."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from background_agents.client.projects import Projects
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.query import STATES, Query, parse
from background_agents.hosts.cli import complete
from background_agents.hosts.cli.arguments import completed, nothing_in, place_of
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.typed import moment
from background_agents.views.errors import for_people

_WORTH_TELLING = 2_000
"""Delegations that take more than a second to index."""

_LANGUAGE = """\
what QUERY may hold:
  oauth token        words, all of them, in title, summary, prompt or result;
                     each is the beginning of a word if it has three letters
  "token refresh"    a phrase, as it stands (in a shell: '"token refresh"')
  id:brave           ids that begin so
  @researcher        by agent
  model:acme/large   by provider/model-id, or a part of it
  state:failed       by state, also active, ended and unread
  label:release      by what `label` has called it
Of one kind any is enough; different kinds must all hold.
"""


def add_query(parser: ArgumentParser) -> None:
    """Let a command be told which delegations it is about."""
    parser.epilog = _LANGUAGE
    parser.add_argument("query", nargs="*", metavar="QUERY", help="which ones; see below")
    states = parser.add_argument(
        "--state", action="append", default=[], metavar="S", help=f"one of: {', '.join(STATES)}"
    )
    completed(states, complete.states)
    parser.add_argument(
        "--since", type=moment, metavar="WHEN", help="delegated since: 2h, 3d, 4w or 2026-11-01"
    )
    agents = parser.add_argument(
        "--agent", action="append", default=[], metavar="A", help="by this agent"
    )
    completed(agents, complete.agents)
    parser.add_argument(
        "--label", action="append", default=[], metavar="L", help="that are labelled so"
    )
    parser.add_argument("--unread", action="store_true", help="ended, and not read by the model")


def add_all_projects(parser: ArgumentParser) -> None:
    """Let a command look at all projects."""
    parser.add_argument(
        "--all-projects", action="store_true", help="all projects of yours, not just this one"
    )


def query_of(given: Namespace) -> Query:
    """Return what is asked for. Raises ``InvalidRequest``."""
    return parse(
        given.query,
        states=given.state,
        agents=given.agent,
        labels=given.label,
        only_unread=given.unread,
        since=given.since,
        sort=getattr(given, "sort", ""),
    )


class ToldProjects(Projects):
    """The projects that the arguments mean; ``code`` tells whether all could be read.

    What could not is said on stderr, and how far indexing is, where somebody looks. Raises
    ``InvalidRequest`` where the folder that is named cannot be meant.
    """

    def __init__(self, given: Namespace) -> None:
        self.code = Exit.DONE
        self._has_drawn = False
        place = None if given.all_projects else place_of(given)
        super().__init__(place, unread=self._say, progress=self._draw)

    @property
    def nothing(self) -> str | None:
        """What is said where nothing was ever delegated; None where something was."""
        if self._place is None:
            return None if self._folders else "Nothing has been delegated in any project yet."
        return nothing_in(self._place) if self._place.is_fresh else None

    def _say(self, error: StoreUnavailable) -> None:
        print(for_people(error), file=sys.stderr)
        self.code = Exit.NOT_WELL

    def _draw(self, done: int, total: int) -> None:
        """Write over the line that a terminal shows, past the stream that would keep us from it."""
        is_over = done == total
        if not self._has_drawn and (is_over or total - done < _WORTH_TELLING):
            return
        if not sys.stderr.isatty():
            return
        told = f"Indexing for search, once: {done:,} of {total:,} (Ctrl-C loses nothing) "
        self._has_drawn = not is_over
        sys.stderr.flush()
        sys.stderr.buffer.write(b"\r\033[K" if is_over else f"\r{told}".encode("ascii"))
        sys.stderr.buffer.flush()


def count(text: str) -> int:
    """Return a whole number from 0; for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ArgumentTypeError(f"{text!r:.60} is no number; write a whole one, 0 for all")
    return int(text)
