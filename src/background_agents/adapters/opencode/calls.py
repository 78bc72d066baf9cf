"""A request to OpenCode's API, whichever line it is of, and what becomes of a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from background_agents.adapters.opencode.transport import Transport
from background_agents.domain.errors import Conflict, NotFound, RuntimeRefused
from background_agents.domain.text import one_line

REFUSALS: Mapping[int, type[RuntimeRefused]] = {404: NotFound, 409: Conflict}
"""By the status of the answer; any other that is no success is ``RuntimeRefused`` itself."""


class _Words(msgspec.Struct):
    message: str = ""


class Calls:
    """Requests over a transport; each raises ``RuntimeRefused`` or ``RuntimeUnreachable``.

    ``directory_of`` returns the directory of a session, if it is known: each has its own list of
    what works and what is asked there.
    """

    def __init__(self, transport: Transport, directory_of: Callable[[str], str]) -> None:
        self._transport = transport
        self._directory_of = directory_of

    async def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        session: str | None = None,
        directory: str = "",
    ) -> bytes:
        """Ask about a session where that works; else in a directory, or in our own."""
        directory = self._directory_of(session) if session else directory
        response = await self._transport.request(method, path, body, directory)
        if response.status < 300:
            return response.body
        kind = REFUSALS.get(response.status, RuntimeRefused)
        words = one_line(_words(response.body), 300)
        raise kind(f"OpenCode refused {method} {path} ({response.status}): {words}")


def _words(body: bytes) -> str:
    """Return what an error says, or all of it where it has no sentence of its own."""
    try:
        said = msgspec.json.decode(body, type=_Words).message
    except (ValueError, RecursionError):
        said = ""
    return said or body.decode(errors="replace")
