"""Carries out what a key has asked for, on threads: a stop waits until a session is quiet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import assert_never

from background_agents.client.owners import client_of, refuse_ended
from background_agents.client.place import Place
from background_agents.domain.errors import DelegationError
from background_agents.domain.text import printable
from background_agents.hosts.cli.watching.drawing import Note
from background_agents.hosts.cli.watching.model import Answer, Command, Steer, Stop
from background_agents.views.errors import for_people


def carry_out(command: Command, place: Place) -> str:
    """Do it, and say in one line that it is done. Raises ``DelegationError``."""
    with place.records() as records:
        one = records.resolve(command.id)
    refuse_ended(one, "nothing more can be done to it")
    with client_of(one, place) as client:
        match command:
            case Steer():
                client.steer(place.project, one.id, command.text)
                return f"Sent to {one.id}; its pane shows when the agent has taken it up."
            case Answer():
                client.answer(place.project, one.id, command.text, command.request)
                return f"Answered; {one.id} goes on."
            case Stop():
                after = client.stop(place.project, one.id)
                return f"{one.id} is {printable(after.state)}."
            case _:
                assert_never(command)


class Hands:
    """Does one thing beside another; ``wake`` is called when there is something to say."""

    def __init__(self, place: Place, wake: Callable[[], None]) -> None:
        self._place = place
        self._wake = wake
        self._done: SimpleQueue[Note | Exception] = SimpleQueue()

    def begin(self, command: Command) -> None:
        """Begin to carry out a command."""
        threading.Thread(target=self._work, args=(command,), daemon=True).start()

    def finished(self) -> Note | None:
        """Return what is to be said of something that is done, or could not be done."""
        try:
            done = self._done.get_nowait()
        except Empty:
            return None
        if isinstance(done, Exception):
            raise done
        return done

    def _work(self, command: Command) -> None:
        try:
            self._done.put(Note(carry_out(command, self._place)))
        except DelegationError as error:
            self._done.put(Note(for_people(error), is_error=True))
        except Exception as fault:
            self._done.put(fault)  # a bug: the loop raises it, once the terminal is restored
        self._wake()
