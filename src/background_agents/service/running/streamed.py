"""Keeps what agents stream, a second behind at most, in case all of this machine dies.

OpenCode stores a text when it is complete. What was streamed of an unfinished one would be
lost with the processes; here it is stored as it grows, all runs in one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from background_agents.ports.storage import DelegationStore, Piece

PACE = timedelta(seconds=0.8)
"""Between two commits; with the commit itself, less than the second that may be lost."""


KEPT_CHARS = 2_000_000
"""Of one message. Of a text that grows without end a runtime gives up the middle, but not so
early: what is kept here never moves."""


class Streamed:
    """What one delegation has streamed and how much of it is kept."""

    def __init__(self, delegation: str) -> None:
        self.has_grown = False
        """There may be something new to keep."""
        self._delegation = delegation
        self._message = ""
        self._kept_chars = 0

    def grown_to(self, message: str, text: str) -> Piece | None:
        """Return what is to be kept of a message that now has this text."""
        text = text[:KEPT_CHARS]
        if message != self._message:
            self._message, self._kept_chars = message, 0
        start, self._kept_chars = self._kept_chars, len(text)
        if len(text) <= start:
            return None
        piece = text[start:]
        return Piece(delegation=self._delegation, message=message, start=start, text=piece)


class TextKeeper:
    """Keeps what the runs of one project stream; ``unsaved`` gives what is new of them."""

    def __init__(self, store: DelegationStore, unsaved: Callable[[], Iterable[Piece]]) -> None:
        self._store = store
        self._unsaved = unsaved
        self._left: list[Piece] = []
        """What the store did not take."""

    async def keep(self) -> None:
        """Store what is new, and what could not be stored before. Raises ``StoreUnavailable``."""
        self._left += self._unsaved()
        if self._left:
            await self._store.keep(self._left)
            self._left.clear()
