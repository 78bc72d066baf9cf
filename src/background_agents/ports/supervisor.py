"""How a supervisor's model and its human are reached."""

from __future__ import annotations

from typing import Protocol

import msgspec


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a supervisor that carries one or more notices."""

    session: str
    message: str
    parts: tuple[tuple[str, str], ...]
    """Pairs of part id and text."""
    description: str = ""
    """One line for the human, where the host shows one in the chat in place of a toast."""
    wakes: bool = True
    """Whether a supervisor that rests is to take it up at once."""


class SupervisorChannel(Protocol):
    """Reaches a supervisor's model and its human."""

    async def deliver(self, message: OutgoingMessage) -> None:
        """Put the message into the supervisor's transcript, hidden from the human.

        Returns when it was seen there. An idle supervisor wakes, unless its user
        stopped it or the message wakes nobody; then it is read with the next turn.
        Delivering the same ids again leaves one copy. Raises ``SupervisorGone``,
        ``RuntimeRefused`` or ``RuntimeUnreachable``; and ``MessagesUndone`` while its user
        has undone messages, which the message would make final: not now, but once they are
        back, or the user went on without them.
        """

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        """Raise ``MessagesUndone`` if ``deliver`` would; asks only where events have not told."""

    async def toast(self, title: str, message: str, variant: str) -> None:
        """Show the human a short message; ``variant`` is info, success, warning or error."""
