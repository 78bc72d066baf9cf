"""Joins keys, looks and commands to a board: one thread decides, and it never waits for others."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import assert_never

from background_agents.client.place import Place
from background_agents.hosts.cli.watching import model as board
from background_agents.hosts.cli.watching.drawing import Note, draw, overflow
from background_agents.hosts.cli.watching.keys import Key, KeyDecoder, as_typed
from background_agents.hosts.cli.watching.model import Mode, Model
from background_agents.hosts.cli.watching.seen import Seen
from background_agents.hosts.cli.watching.terminal import Terminal
from background_agents.hosts.cli.watching.threads import News, Threads

_NOTE_S = 5.0
"""How long something is said in the footer; an error, which is longer, twice that."""

_FIRST_S = 0.5
"""How long the first screen waits for the first look, which takes some milliseconds."""

_PAUSE_S = 1.0
"""Without a key, after which what is typed is no longer meant for an input that did not open; words
are typed faster."""

_NOT_YET = "A process that runs delegations has not answered yet."


class Watch:
    """The board of a place in a terminal."""

    def __init__(
        self, place: Place, terminal: Terminal, *, all_projects: bool, rings: bool
    ) -> None:
        self._terminal = terminal
        self._at = "all projects" if all_projects else _shortened(place.directory)
        self._decoder = KeyDecoder()
        self._news: SimpleQueue[News] = SimpleQueue()
        self._threads = Threads(place, self._tell, all_projects=all_projects)
        self._rings = rings
        self._model = Model()
        self._seen = Seen(at=datetime.now(UTC), trouble=_NOT_YET)
        self._typed_at = 0.0
        self._note: Note | None = None
        self._note_ends = 0.0

    def run(self) -> None:
        """Show it until the user leaves. Raises ``Ended``."""
        self._threads.start()
        with suppress(Empty):
            self._hear(self._news.get(timeout=_FIRST_S))
        goes_on = True
        while goes_on:
            self._look()
            self._draw()
            goes_on = self._take(self._keys())

    def _keys(self) -> list[Key]:
        """Return what was pressed, once something was or there is something else to do."""
        data = self._terminal.wait(self._patience())
        if data:
            now = time.monotonic()
            if now - self._typed_at >= _PAUSE_S:
                self._model = board.rest(self._model)
            self._typed_at = now
            return as_typed(self._decoder.feed(data))
        held = self._held_s()
        return self._decoder.flush() if held is not None and held <= 0 else []

    def _held_s(self) -> float | None:
        """Return how long half a key is still held back; None where there is none."""
        patience = self._decoder.patience_s
        return None if patience is None else self._typed_at + patience - time.monotonic()

    def _look(self) -> None:
        """Take in what the threads have told."""
        with suppress(Empty):
            while True:
                self._hear(self._news.get_nowait())
        was_deaf = self._model.deaf
        self._model = board.see(self._model, self._seen)
        if self._model.deaf and not was_deaf:
            # An input has closed by itself: whoever was thinking has not seen that yet.
            self._typed_at = time.monotonic()
        if self._model.note:
            self._say(Note(self._model.note))
            self._model = replace(self._model, note="")
        if time.monotonic() >= self._note_ends:
            self._note = None
        self._threads.peek(self._model.chosen, self._model.pane)

    def _tell(self, news: News) -> None:
        """Keep what a thread has to say, and wake the loop; called by that thread."""
        self._news.put(news)
        self._terminal.wake()

    def _hear(self, news: News) -> None:
        match news:
            case Seen():
                shown = self._seen.peeked
                if self._model.scrolled and shown is not None and not shown.is_whole:
                    # Whoever reads back must not have the text move below their eyes.
                    news = replace(news, peeked=shown)
                if self._rings and news.has_news(self._seen):
                    self._terminal.ring()
                self._seen = news
            case Note():
                self._say(news)
                self._threads.again()
            case Exception():
                raise news

    def _draw(self) -> None:
        size = self._terminal.size
        most = overflow(self._model, self._seen, size)
        self._model = replace(self._model, scrolled=min(self._model.scrolled, most))
        self._terminal.show(draw(self._model, self._seen, size, self._note, self._at))

    def _patience(self) -> float | None:
        """Return how long nothing may happen; None where a look will wake us anyway."""
        note = None if self._note is None else self._note_ends - time.monotonic()
        limits = [max(one, 0.0) for one in (self._held_s(), note) if one is not None]
        return min(limits, default=None)

    def _take(self, keys: list[Key]) -> bool:
        """Do what keys of one read mean; return whether the board goes on."""
        for key in keys:
            asked = self._model.mode is Mode.STOP
            if not self._pressed(key):
                return False
            if self._model.mode is Mode.STOP and not asked:
                break  # what came with it was typed before the question was seen
        return True

    def _pressed(self, key: Key) -> bool:
        """Do what a key means; return whether the board goes on."""
        self._model, action = board.press(self._model, key, self._seen)
        match action:
            case None:
                return True
            case board.Wish.QUIT:
                return False
            case board.Wish.SUSPEND:
                self._terminal.suspend()
            case board.Wish.REDRAW:
                self._terminal.clear()
                self._threads.again()
            case board.Copy():
                self._terminal.copy(action.id)
                self._say(Note(f"Copied {action.id}, if your terminal lets programs copy."))
            case board.Steer() | board.Answer() | board.Stop():
                self._say(Note("…"))
                self._threads.carry_out(action)
            case _:
                assert_never(action)
        return True

    def _say(self, note: Note) -> None:
        self._note = note
        self._note_ends = time.monotonic() + _NOTE_S * (2 if note.is_error else 1)


def _shortened(directory: Path) -> str:
    try:
        return f"~/{directory.relative_to(Path.home())}"
    except ValueError:
        return str(directory)
