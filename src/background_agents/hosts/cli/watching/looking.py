"""Looks at a project again and again, on a thread of its own, so that no key has to wait.

The store is read for what there is, and owners are asked for what runs. An owner that hangs
makes a look slow; the board shows the last one meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from background_agents.adapters.files.artifacts import MarkdownArtifacts, parse
from background_agents.adapters.system.processes import has_ended
from background_agents.client.owners import as_told, client_of
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.hosts.cli.watching.drawing import ENDED_SHOWN
from background_agents.hosts.cli.watching.model import Peeked, Seen
from background_agents.views import board
from background_agents.views.errors import for_people

PACE_S = 1.0
"""Between two looks at the board; elapsed times count seconds."""

FOLLOW_PACE_S = 0.25
"""The same while somebody reads along; a look takes milliseconds."""


def look(place: Place, peeked: str, before: Seen | None = None) -> Seen:
    """Return the project as it is now; what cannot be read is as it was ``before``, and said."""
    now = datetime.now(UTC)
    if place.is_fresh:
        return Seen(at=now, trouble="Nothing has been delegated in this project yet.")
    try:
        with place.records() as records:
            stored = records.active()
            ended = tuple(records.newest_ended(ENDED_SHOWN))
    except DelegationError as error:
        last = before or Seen(at=now)
        return Seen(now, last.active, last.gone, last.ended, for_people(error), last.peeked)
    return Seen(
        at=now,
        active=board.urgent_first(as_told(place.folder, stored)),
        gone=frozenset(one.id for one in stored if has_ended(one.owner)),
        ended=ended,
        peeked=_peek(place, peeked) if peeked else None,
    )


def _peek(place: Place, delegation: str) -> Peeked:
    try:
        with place.records() as records:
            one = records.resolve(delegation)
        if one.is_terminal:
            return Peeked(one.id, said=_left_by(one, place))
        with client_of(one, place) as client:
            return Peeked(one.id, client.peek(place.project, one.id))
    except DelegationError as error:
        return Peeked(delegation, said=for_people(error))


def _left_by(one: Delegation, place: Place) -> str:
    """Return how a delegation has ended, and its result."""
    _, body = parse(MarkdownArtifacts(place.folder).content(one))
    return f"{body}\n\n{board.ended(one)}; `background-agents read {one.id}` shows this again."


class Looker:
    """Looks at a place until the program ends; ``wake`` is called after each look."""

    def __init__(self, place: Place, wake: Callable[[], None]) -> None:
        self._place = place
        self._wake = wake
        self._again = threading.Event()
        self._looked = threading.Event()
        self._peeked = ""
        self._seen: Seen | None = None
        self._fault: Exception | None = None

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._work, name="looker", daemon=True).start()

    def wait(self, limit_s: float) -> None:
        """Return after the first look, or when ``limit_s`` is over."""
        self._looked.wait(limit_s)

    def peek(self, delegation: str) -> None:
        """Look into a run too, from now on; into none with an empty id."""
        if delegation != self._peeked:
            self._peeked = delegation
            self.again()

    def again(self) -> None:
        """Look at once."""
        self._again.set()

    def newest(self) -> Seen | None:
        """Return what was seen last. Raises what a look must not raise, which is a bug."""
        if self._fault is not None:
            raise self._fault
        return self._seen

    def _work(self) -> None:
        while True:
            peeked = self._peeked
            try:
                self._seen = look(self._place, peeked, self._seen)
            except Exception as fault:
                self._fault = fault  # the loop raises it, and the terminal is given back
                return
            finally:
                self._looked.set()
                self._wake()
            self._again.wait(FOLLOW_PACE_S if peeked else PACE_S)
            self._again.clear()
