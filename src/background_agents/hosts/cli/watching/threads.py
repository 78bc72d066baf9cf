"""Looks at a project and acts in it, on threads of their own, so that no key has to wait.

The store is read for what there is, and owners are asked for what runs. An owner that hangs
makes a look slow; the board shows the last one meanwhile. A stop waits until a session is quiet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import assert_never

from background_agents.client.owners import as_told, left_behind, refuse_ended
from background_agents.client.place import Place
from background_agents.client.results import result
from background_agents.client.synchronous import Client, Handle
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.domain.text import printable
from background_agents.hosts.cli.watching.drawing import ENDED_SHOWN, Note
from background_agents.hosts.cli.watching.model import Answer, Command, Peeked, Seen, Steer, Stop
from background_agents.views import board
from background_agents.views.errors import for_people

_PACE_S = 1.0
"""Between two looks at the board; elapsed times count seconds."""

_FOLLOW_PACE_S = 0.25
"""The same while somebody reads along; a look takes milliseconds."""

News = Seen | Note | Exception
"""What was seen, what has come of a command, or a bug for the loop to raise."""


class Threads:
    """Looks at a place until the program ends, and carries out commands meanwhile."""

    def __init__(self, place: Place, tell: Callable[[News], None]) -> None:
        self._place = place
        self._tell = tell
        self._again = threading.Event()
        self._peeked = ""

    def start(self) -> None:
        """Begin to look."""
        self._begin(self._look)

    def peek(self, delegation: str) -> None:
        """Look into a run too, from now on; into none with an empty id."""
        if delegation != self._peeked:
            self._peeked = delegation
            self.again()

    def again(self) -> None:
        """Look at once."""
        self._again.set()

    def carry_out(self, command: Command) -> None:
        """Begin to carry out a command, beside others."""
        self._begin(lambda: self._tell(_outcome(command, self._place)))

    def _begin(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as fault:
                self._tell(fault)  # the loop raises it, once the terminal is given back

        threading.Thread(target=guarded, daemon=True).start()

    def _look(self) -> None:
        seen = None
        while True:
            peeked = self._peeked
            seen = _seen(self._place, peeked, seen)
            self._tell(seen)
            self._again.wait(_FOLLOW_PACE_S if peeked else _PACE_S)
            self._again.clear()


def _seen(place: Place, peeked: str, before: Seen | None) -> Seen:
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
        gone=frozenset(one.id for one in left_behind(stored)),
        ended=ended,
        peeked=_peeked(place, peeked) if peeked else None,
    )


def _peeked(place: Place, delegation: str) -> Peeked:
    try:
        with place.records() as records:
            one = records.resolve(delegation)
        if one.is_terminal:
            return Peeked(one.id, said=_left_by(one, place))
        return Peeked(one.id, Client(place, takeover_s=0).get(one.id).peek())
    except DelegationError as error:
        return Peeked(delegation, said=for_people(error))


def _left_by(one: Delegation, place: Place) -> str:
    """Return how a delegation has ended, and its result."""
    left = result(one, place.folder)
    return f"{left}\n\n{board.ended(one)}; `background-agents read {one.id}` shows this again."


def _outcome(command: Command, place: Place) -> Note:
    """Carry out a command, and say in one line that it is done, or why it is not."""
    try:
        with place.records() as records:
            one = records.resolve(command.id)
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
