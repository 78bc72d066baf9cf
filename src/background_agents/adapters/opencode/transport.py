"""What the OpenCode adapter needs from a way to reach OpenCode.

Two exist: the bridge (``transport_bridge``), inside the OpenCode process, and HTTP
with server-sent events (``transport_http``). The adapter above cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from background_agents.domain.errors import RuntimeRefused

T = TypeVar("T")

WireListener = Callable[[str, msgspec.Raw], None]
"""Takes an event's type and its properties, still encoded."""


class Response(msgspec.Struct, frozen=True):
    """An answer of OpenCode's API."""

    status: int
    body: bytes


class Transport(Protocol):
    """Carries requests to one project of one OpenCode, and its events back."""

    ends_with_turn: bool
    """The OpenCode at its other end was started for one turn, and ends with it."""
    on_event: WireListener
    on_restored: Callable[[], None]
    """Called when the event stream is back after a break in which events may be lost."""

    async def request(
        self, method: str, path: str, body: object = None, directory: str = ""
    ) -> Response:
        """Ask the API of ``directory``, or else of our own.

        Raises ``RuntimeUnreachable`` when no answer came in time.
        """

    async def opened(self, directory: str) -> None:
        """Return once what happens in another directory than our own is carried, too.

        Whoever has asked for something there has had it opened; what comes of that takes OpenCode
        a moment. Returns in any case after some seconds.
        """

    def follow(self, session: str) -> None:
        """Carry everything about a session from now on; else only what is told of all of them."""

    def release(self, session: str) -> None:
        """Carry the details of a session no longer."""

    def guard(self, session: str, *, on: bool) -> None:
        """Have tools that the session calls wait for our word, or no longer."""


def naming(directory: str) -> dict[str, str]:
    """Return the header by which a request names its directory."""
    # OpenCode decodes it, so that other than ASCII may stand in a path.
    return {"x-opencode-directory": quote(directory)} if directory else {}


def read_answer(body: bytes, path: str, kind: type[T]) -> T:
    """Return the answer to a request. Raises ``RuntimeRefused`` if it is none, whatever it is."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:
        # Not JSON (a proxy's page), not UTF-8, of another shape, or nested without an end.
        raise RuntimeRefused(f"OpenCode's answer to {path} is not readable: {error}") from error
