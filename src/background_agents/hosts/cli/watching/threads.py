"""Looks at a project and acts in it, on threads of their own, so that no key has to wait.

The store is read for what there is, and owners are asked for what runs. An owner that hangs
makes a look slow; the board shows the last one meanwhile. A stop waits until a session is quiet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, assert_never

from background_agents.client.owners import as_told, left_behind, refuse_ended
from background_agents.client.place import Place
from background_agents.client.projects import Project, Projects
from background_agents.client.results import note_read, result, shown
from background_agents.client.synchronous import Client, Handle
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.domain.text import printable
from background_agents.hosts.cli.text import show as show_text
from background_agents.hosts.cli.watching.drawing import Note
from background_agents.hosts.cli.watching.model import Answer, Command, Steer, Stop
from background_agents.hosts.cli.watching.seen import Ended, Pane, Peeked, Seen
from background_agents.views import board
from background_agents.views.errors import for_people
from background_agents.views.json import ActiveSheet

MOST_ENDED = 200
"""Of a project's that have ended; reading them takes a millisecond or two. `list` shows all."""

_PACE_S = 1.0
"""Between two looks at the board; elapsed times count seconds."""

_FOLLOW_PACE_S = 0.25
"""The same while somebody reads along; a look takes milliseconds."""

News = Seen | Note | Exception
"""What was seen, what has come of a command, or a bug for the loop to raise."""


class Threads:
    """Looks at a place until the program ends, and carries out commands meanwhile.

    Looks at all projects of the user if ``all_projects``.
    """

    def __init__(self, place: Place, tell: Callable[[News], None], *, all_projects: bool) -> None:
        self._place = place
        self._all_projects = all_projects
        self._tell = tell
        self._again = threading.Event()
        self._pane: tuple[str, Pane] | None = None
        self._names: dict[str, str] = {}

    def start(self) -> None:
        """Begin to look."""
        self._begin(self._look)

    def peek(self, key: str, pane: Pane | None) -> None:
        """Look at one delegation too, from now on; at none without a pane."""
        wanted = (key, pane) if pane else None
        if wanted != self._pane:
            self._pane = wanted
            self.again()

    def again(self) -> None:
        """Look at once."""
        self._again.set()

    def carry_out(self, command: Command) -> None:
        """Begin to carry out a command, beside others."""
        self._begin(lambda: self._tell(_outcome(command, self._place_of(command.key))))

    def _place_of(self, key: str) -> Place:
        """Return where the delegation is that a key names."""
        project = key.rpartition("/")[0] or self._place.project
        return Place(self._place.directory, self._place.data_root, project)

    def _begin(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as fault:
                self._tell(fault)  # the loop raises it, once the terminal is given back

        threading.Thread(target=guarded, daemon=True).start()

    def _look(self) -> None:
        seen = Seen(at=datetime.now(UTC))
        while True:
            pane = self._pane
            seen = self._seen(seen, pane)
            self._tell(seen)
            self._again.wait(_FOLLOW_PACE_S if pane else _PACE_S)
            self._again.clear()

    def _seen(self, before: Seen, pane: tuple[str, Pane] | None) -> Seen:
        """Return what there is now; what cannot be read is as it was ``before``, and said."""
        now = datetime.now(UTC)
        if self._place.is_fresh and not self._all_projects:
            return Seen(at=now, trouble="Nothing has been delegated in this project yet.")
        trouble: list[str] = []
        projects = Projects(
            None if self._all_projects else self._place,
            unread=lambda error: trouble.append(for_people(error)),
            progress=lambda _done, _total: None,
        )
        try:
            parts = projects.each(self._part)
        except DelegationError as error:
            return replace(before, at=now, trouble=for_people(error))
        found = Seen(
            at=now,
            active=tuple(one for part in parts for one in part.active),
            ended=tuple(one for part in parts for one in part.ended),
            projects=dict(self._names),
            trouble=" ".join(trouble),
        )
        newest = sorted(found.ended, key=lambda one: one.line.registered_at, reverse=True)
        gone = {one for part in parts for one in part.gone}
        return replace(
            found,
            ended=tuple(newest[:MOST_ENDED]),
            gone=frozenset(found.key(one) for one in found.active if one.delegation.id in gone),
            peeked=_peeked(self._place_of(pane[0]), *pane) if pane else None,
        )

    def _part(self, project: Project) -> _Part:
        """Return what there is in one project."""
        name = project.folder.name
        if self._all_projects and name not in self._names:
            self._names[name] = project.label
        stored = project.records.active()
        ended = [Ended(one, name) for one in project.records.newest_ended(MOST_ENDED)]
        gone = [one.id for one in left_behind(stored)]
        return _Part(as_told(project.folder, stored), ended, gone)


class _Part(NamedTuple):
    """What was seen of one project."""

    active: Sequence[ActiveSheet]
    ended: Sequence[Ended]
    gone: Sequence[str]


def _peeked(place: Place, key: str, pane: Pane) -> Peeked:
    """Return what a pane shows of a delegation."""
    delegation = key.rpartition("/")[2]
    try:
        if pane is Pane.FACTS:
            return Peeked(key, pane, said=_facts(delegation, place), is_whole=True)
        with place.records() as records:
            one = records.resolve(delegation)
        if one.is_terminal:
            return Peeked(key, said=_left_by(one, place), is_whole=True)
        return Peeked(key, sheet=Client(place, takeover_s=0).get(one.id).peek())
    except DelegationError as error:
        return Peeked(key, pane, said=for_people(error))


def _facts(delegation: str, place: Place) -> str:
    """Return what ``show`` tells of a delegation."""
    found = shown(delegation, place)
    is_there = Path(found.artifact or "").is_file()
    return "\n".join(show_text.lines(found, datetime.now(UTC), has_artifact=is_there))


def _left_by(one: Delegation, place: Place) -> str:
    """Return how a delegation has ended, and its result; its reader has read it."""
    left = result(one, place.folder)
    note_read(one, place)
    return f"{board.ended(one)}\n\n{left}"


def _outcome(command: Command, place: Place) -> Note:
    """Carry out a command, and say in one line that it is done, or why it is not."""
    try:
        with place.records() as records:
            one = records.resolve(command.key.rpartition("/")[2])
        refuse_ended(one, "nothing more can be done to it")
        handle = Handle(Client(place, takeover_s=0), one.id)
        match command:
            case Steer():
                handle.steer(command.text)
                return Note(f"Sent to {one.id}; its pane shows when the agent has taken it up.")
            case Answer():
                handle.answer(command.text, request=command.request)
                return Note(f"Answered; {one.id} goes on.")
            case Stop():
                return Note(f"{one.id} is {printable(handle.stop().state)}.")
            case _:
                assert_never(command)
    except DelegationError as error:
        return Note(for_people(error), is_error=True)
